"""What can be said of an experiment by itself: its variants, its unit, what a variant changes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from control_plane.resources.validate_judge import (
    guardrail_problems,
    judge_problems,
    money_problems,
    stop_problems,
)
from control_plane.resources.validate_policy import policy_problems, weight_problems
from headgate.policy.experiments import METADATA, UNITS
from headgate.rules.errors import Path, Problem
from headgate.rules.names import did_you_mean, is_name, name_problem
from headgate.v1 import resources_pb2

# A variant needs traffic of its own to be told apart from the others.
MAX_VARIANTS = 20
MAX_SYSTEM_CHARACTERS = 32_000
# Parameter → lowest and highest value that some provider takes.
PARAMETERS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "max_tokens": (1, 10_000_000),
}


def experiment_problems(spec: resources_pb2.Experiment) -> Iterator[Problem]:
    if len(spec.variants) < 2 and not spec.HasField("judge"):
        yield Problem(("variants",), "needs at least two, or a judge: one is no comparison")
    elif not any(not variant.shadow for variant in spec.variants):
        yield Problem(("variants",), "needs one that is no shadow: somebody has to answer")
    elif len(spec.variants) > MAX_VARIANTS:
        yield Problem(("variants",), f"has {len(spec.variants)}, more than {MAX_VARIANTS}")
    unit = spec.unit
    if unit and unit not in UNITS and not (unit.startswith(METADATA) and unit != METADATA):
        known = f"{', '.join(UNITS)} and metadata.X"
        yield Problem(("unit",), f"unknown unit {unit[:80]!r}{did_you_mean(unit, UNITS)}; known are {known}")
    seen: set[str] = set()
    for index, variant in enumerate(spec.variants):
        path: Path = ("variants", index)
        if not is_name(variant.name):
            yield Problem((*path, "name"), name_problem(variant.name) or "")
        elif variant.name in seen:
            yield Problem((*path, "name"), f"another variant is called {variant.name!r}")
        seen.add(variant.name)
        if variant.HasField("use"):
            yield from policy_problems((*path, "use"), variant.use)
        else:
            yield Problem(path, "needs a `use`: what answers")
        if len(variant.system) > MAX_SYSTEM_CHARACTERS:
            yield Problem((*path, "system"), f"is longer than {MAX_SYSTEM_CHARACTERS} characters")
        yield from _parameters((*path, "parameters"), variant)
        yield from _shadow(path, variant)
    weights = [
        0.0 if variant.shadow else variant.weight if variant.HasField("weight") else 1.0
        for variant in spec.variants
    ]
    if any(not variant.shadow for variant in spec.variants):
        yield from weight_problems(("variants",), weights)
    first = next((index for index, variant in enumerate(spec.variants) if not variant.shadow), None)
    if spec.judge.mode == "pairwise" and first is not None and not weights[first]:
        yield Problem(("variants", first, "weight"), "all are compared with the first one: it needs calls")
    if spec.HasField("judge"):
        yield from judge_problems(("judge",), spec.judge, len(spec.variants))
    if spec.HasField("stop"):
        yield from stop_problems(("stop",), spec)
    if spec.HasField("guardrails"):
        yield from guardrail_problems(("guardrails",), spec.guardrails)
    yield from _namespace(spec)


def _shadow(path: Path, variant: resources_pb2.Variant) -> Iterator[Problem]:
    if variant.shadow and variant.HasField("weight"):
        yield Problem((*path, "weight"), "a shadow gets no traffic; `sample` is its share of copies")
    if not variant.shadow and variant.HasField("sample"):
        yield Problem((*path, "sample"), "is for shadows; a variant has a `weight`")
    if not variant.shadow and variant.max_usd_per_day:
        yield Problem((*path, "max_usd_per_day"), "is for shadows")
    if variant.HasField("sample") and not 0 < variant.sample <= 1:
        yield Problem((*path, "sample"), "must be more than 0 and at most 1")
    yield from money_problems((*path, "max_usd_per_day"), variant.max_usd_per_day)


def _namespace(spec: resources_pb2.Experiment) -> Iterator[Problem]:
    if spec.namespace and not is_name(spec.namespace):
        yield Problem(("namespace",), name_problem(spec.namespace) or "")
    if spec.HasField("share"):
        if not spec.namespace:
            yield Problem(("share",), "is a share of a `namespace`, and there is none")
        elif not (math.isfinite(spec.share) and spec.share >= 0):
            yield Problem(("share",), "must be a number of at least 0")


def _parameters(path: Path, variant: resources_pb2.Variant) -> Iterator[Problem]:
    for name, value in variant.parameters.items():
        bounds = PARAMETERS.get(name)
        if bounds is None:
            hint = did_you_mean(name, PARAMETERS)
            yield Problem((*path, name), f"unknown parameter{hint}; known are {', '.join(PARAMETERS)}")
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            yield Problem((*path, name), "must be a number")
        elif not bounds[0] <= value <= bounds[1]:
            yield Problem((*path, name), f"must be from {bounds[0]:g} to {bounds[1]:g}")
        elif name == "max_tokens" and value != int(value):
            yield Problem((*path, name), "must be a whole number")
