"""What can be said of a policy by itself: of a route's, or of an experiment's variant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from headgate.policy.conditions import Condition
from headgate.rules.errors import Path, Problem
from headgate.rules.names import did_you_mean, is_name, name_problem
from headgate.rules.references import MAX_POLICY_NODES, NOT_RACED, raced, walk
from headgate.rules.units import parse_decimal, parse_duration_ns
from headgate.v1 import policy_pb2

STRATEGIES = ("cheapest", "fastest", "race")
MEASURES = ("first_token", "throughput", "total")
# Each that runs is paid for: more at once is a mistake.
MAX_WIDTH = 8
MAX_STAGGER_NS = 60 * 10**9


def policy_problems(at: Path, policy: policy_pb2.Policy) -> Iterator[Problem]:
    nodes = list(walk(policy, at))
    if len(nodes) > MAX_POLICY_NODES:
        yield Problem(at, f"has {len(nodes)} nodes, more than {MAX_POLICY_NODES}")
    for path, node in nodes:
        kind = node.WhichOneof("node")
        if kind is None:
            yield Problem(path, "a model or a node (fallback, weighted …) is missing")
        elif kind == "model" and not is_name(node.model):
            yield Problem(path, name_problem(node.model) or "")
        elif kind == "fallback" and not node.fallback.of:
            yield Problem((*path, "fallback"), "names nothing to try")
        elif kind == "weighted":
            weights = [item.weight if item.HasField("weight") else 1.0 for item in node.weighted.of]
            yield from weight_problems((*path, "weighted"), weights)
        elif kind in ("route", "experiment") and not is_name(getattr(node, kind)):
            yield Problem((*path, kind), name_problem(getattr(node, kind)) or "")
        elif kind == "cases":
            yield from _cases((*path, kind), node.cases)
        elif kind in ("cheapest", "fastest", "race"):
            yield from _choice((*path, kind), kind, getattr(node, kind))
    for path, node in raced(policy, at):
        if problem := NOT_RACED.get(node.WhichOneof("node") or ""):
            yield Problem(path, problem)


def weight_problems(path: Path, weights: Sequence[float]) -> Iterator[Problem]:
    for index, weight in enumerate(weights):
        if not (math.isfinite(weight) and weight >= 0):
            yield Problem((*path, index, "weight"), "must be zero or more")
    if not sum(weight for weight in weights if weight > 0) > 0:
        yield Problem(path, "needs at least one weight above zero")


def _choice(path: Path, kind: str, node: Any) -> Iterator[Problem]:
    """`node`: a Cheapest, Fastest or Race message; `path` ends with its kind."""
    if not node.of:
        yield Problem((*path, "of"), "names nothing to choose from")
    if kind == "cheapest":
        yield from _amount((*path, "max_usd_per_call"), node.max_usd_per_call)
        quality = node.min_quality
        if node.HasField("min_quality") and not (math.isfinite(quality) and 0 <= quality <= 1):
            yield Problem((*path, "min_quality"), "must be from 0 to 1")
    elif kind == "fastest":
        if node.by and node.by not in MEASURES:
            known = ", ".join(MEASURES)
            hint = did_you_mean(node.by, MEASURES)
            yield Problem((*path, "by"), f"unknown measure {node.by!r}{hint}; known are {known}")
    else:
        yield from _amount((*path, "max_usd"), node.max_usd)
        if node.width and not 2 <= node.width <= MAX_WIDTH:
            yield Problem((*path, "width"), f"must be from 2 to {MAX_WIDTH}")
        if node.stagger and node.stagger != "auto":
            yield from _stagger((*path, "stagger"), node.stagger)


def _cases(path: Path, cases: policy_pb2.Cases) -> Iterator[Problem]:
    if not cases.of:
        yield Problem(path, "names no case")
    for index, case in enumerate(cases.of):
        if not case.HasField("use"):
            yield Problem((*path, index), "needs a `use`: what answers in this case")
        if case.when:
            try:
                Condition(case.when)
            except ValueError as error:
                yield Problem((*path, index, "when"), str(error))
        elif index + 1 < len(cases.of):
            yield Problem((*path, index), "has no `when`, so that no case after it is ever reached")


def _stagger(path: Path, text: str) -> Iterator[Problem]:
    try:
        nanoseconds = parse_duration_ns(text)
    except ValueError as error:
        yield Problem(path, f"{error}; or `auto`")
        return
    if not 0 <= nanoseconds <= MAX_STAGGER_NS:
        yield Problem(path, "must be from 0s to 60s, or `auto`")


def _amount(path: Path, text: str) -> Iterator[Problem]:
    if not text:
        return
    try:
        parse_decimal(text)
    except ValueError as error:
        yield Problem(path, str(error))
