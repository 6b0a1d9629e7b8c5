"""What can be said by itself of how an experiment is judged, stopped and guarded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import urlsplit

from google.protobuf.json_format import MessageToDict

from headgate.policy.experiments import MODES, STOP_METRICS
from headgate.rules.errors import Path, Problem
from headgate.rules.names import did_you_mean, is_name, name_problem
from headgate.rules.schemas import validator
from headgate.v1 import resources_pb2

MAX_RUBRIC_CHARACTERS = 20_000
MAX_JUDGES = 5
MAX_CHECKS = 20
MAX_HOOK_SECONDS = 60
MAX_SAMPLES = 10_000_000
ENDS = ("promote", "notify")


def judge_problems(path: Path, judge: resources_pb2.Judge, variants: int) -> Iterator[Problem]:
    """`variants`: how many the experiment has, shadows included."""
    names = [*([judge.model] if judge.model else []), *judge.models]
    for name in names:
        if not is_name(name):
            yield Problem((*path, "model"), name_problem(name) or "")
    if not names and not judge.checks:
        yield Problem(path, "needs a `model`, `models` or `checks`: somebody has to judge")
    if len(set(names)) != len(names):
        yield Problem((*path, "models"), "names a model twice")
    if len(names) > MAX_JUDGES:
        yield Problem((*path, "models"), f"has {len(names)}, more than {MAX_JUDGES}")
    if judge.mode and judge.mode not in MODES:
        hint = did_you_mean(judge.mode, MODES)
        yield Problem(
            (*path, "mode"), f"unknown mode {judge.mode[:80]!r}{hint}; known are {', '.join(MODES)}"
        )
    if judge.mode == "pairwise" and (not names or variants < 2):
        yield Problem((*path, "mode"), "pairwise needs a model as judge, and two variants to compare")
    if judge.HasField("sample") and not 0 < judge.sample <= 1:
        yield Problem((*path, "sample"), "must be more than 0 and at most 1")
    if judge.HasField("success") and not 0 <= judge.success <= 1:
        yield Problem((*path, "success"), "must be from 0 to 1")
    if len(judge.rubric) > MAX_RUBRIC_CHARACTERS:
        yield Problem((*path, "rubric"), f"is longer than {MAX_RUBRIC_CHARACTERS} characters")
    if judge.rubric_name and not is_name(judge.rubric_name):
        yield Problem((*path, "rubric_name"), name_problem(judge.rubric_name) or "")
    yield from money_problems((*path, "max_usd_per_day"), judge.max_usd_per_day)
    yield from _checks((*path, "checks"), judge)


def money_problems(path: Path, amount: str) -> Iterator[Problem]:
    if amount and Decimal(amount) <= 0:
        yield Problem(path, "must be more than 0; leave it out for no limit")


def _checks(path: Path, judge: resources_pb2.Judge) -> Iterator[Problem]:
    if len(judge.checks) > MAX_CHECKS:
        yield Problem(path, f"has {len(judge.checks)}, more than {MAX_CHECKS}")
    seen: set[str] = set()
    for index, check in enumerate(judge.checks):
        here: Path = (*path, index)
        kind = check.WhichOneof("check")
        if kind is None:
            yield Problem(here, "needs one of json, schema, regex, length, exact, http")
            continue
        if check.name and not is_name(check.name):
            yield Problem((*here, "name"), name_problem(check.name) or "")
        name = check.name or kind
        if name in seen:
            yield Problem(here, f"another check is called {name!r}; give it a `name`")
        seen.add(name)
        yield from _check((*here, kind), kind, check)


def _check(path: Path, kind: str, check: resources_pb2.Check) -> Iterator[Problem]:
    if kind == "json" and not check.json:
        yield Problem(path, "is true or not there")
    elif kind == "schema":
        yield from _schema(path, check)
    elif kind == "regex":
        import re2  # only where there is one

        try:
            re2.compile(check.regex)
        except re2.error as error:
            yield Problem(path, f"is no pattern that RE2 knows: {str(error)[:200]}")
    elif kind == "length":
        if not check.length.min and not check.length.max:
            yield Problem(path, "needs `min` or `max`")
        elif check.length.max and check.length.min > check.length.max:
            yield Problem(path, "has a `min` above its `max`")
    elif kind == "http":
        yield from _hook(path, check.http)


def _schema(path: Path, check: resources_pb2.Check) -> Iterator[Problem]:
    try:
        validator(MessageToDict(check.schema))
    except ValueError as error:
        yield Problem(path, f"is no JSON schema: {str(error).splitlines()[0][:200]}")


def _hook(path: Path, hook: resources_pb2.HttpCheck) -> Iterator[Problem]:
    try:
        parts = urlsplit(hook.url)
        host = parts.hostname
    except ValueError:
        host = None
    ok = host and parts.scheme in ("http", "https") and parts.username is None
    if not ok or any(ord(c) < 33 or ord(c) > 126 for c in hook.url):
        yield Problem((*path, "url"), f"{hook.url[:200]!r} is not an http or https address")
    elif parts.scheme == "http" and not hook.private_network:
        yield Problem((*path, "url"), "answers would go over the net in plain text: use https")
    if not 0 <= hook.timeout.ToNanoseconds() <= MAX_HOOK_SECONDS * 10**9:
        yield Problem((*path, "timeout"), f"must be at most {MAX_HOOK_SECONDS}s")


def stop_problems(path: Path, spec: resources_pb2.Experiment) -> Iterator[Problem]:
    stop = spec.stop
    if stop.HasField("confidence") and not 0.5 <= stop.confidence <= 0.9999:
        yield Problem((*path, "confidence"), "must be from 0.5 to 0.9999")
    if max(stop.min_samples, stop.max_samples) > MAX_SAMPLES:
        yield Problem(path, f"samples must be at most {MAX_SAMPLES}")
    if stop.max_samples and stop.min_samples > stop.max_samples:
        yield Problem((*path, "max_samples"), "is less than `min_samples`")
    if stop.then and stop.then not in ENDS:
        hint = did_you_mean(stop.then, ENDS)
        yield Problem((*path, "then"), f"unknown {stop.then[:80]!r}{hint}; known are {', '.join(ENDS)}")
    if stop.eliminate and stop.then != "promote":
        yield Problem((*path, "eliminate"), "takes traffic from variants: it needs `then: promote`")
    if stop.by and stop.by not in STOP_METRICS:
        hint = did_you_mean(stop.by, STOP_METRICS)
        known = ", ".join(STOP_METRICS)
        yield Problem((*path, "by"), f"unknown figure {stop.by[:80]!r}{hint}; known are {known}")
    if stop.by in ("quality", "cost_per_success") and not spec.HasField("judge"):
        yield Problem((*path, "by"), f"{stop.by} needs a `judge`")


def guardrail_problems(path: Path, rails: resources_pb2.Guardrails) -> Iterator[Problem]:
    if not 0 <= rails.error_rate < 1:
        yield Problem((*path, "error_rate"), "must be from 0 to 1")
    for name in ("cost_ratio", "latency_ratio"):
        value = getattr(rails, name)
        if value and not (math.isfinite(value) and value >= 1):
            yield Problem((*path, name), "must be at least 1: the first variant's own")
    if not (rails.error_rate or rails.cost_ratio or rails.latency_ratio):
        yield Problem(path, "needs one of error_rate, cost_ratio, latency_ratio")
