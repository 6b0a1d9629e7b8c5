"""What can be said of one spec by itself, whatever else is stored. Yields problems, raises nothing.

A field that a manifest could not express wrongly may still come in wrongly over gRPC, so texts of
amounts are read again here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from control_plane.resources.validate_experiment import experiment_problems
from control_plane.resources.validate_policy import STRATEGIES, policy_problems
from control_plane.resources.validate_provider import provider_problems
from headgate.rules.errors import Path, Problem
from headgate.rules.names import did_you_mean, is_name, name_problem
from headgate.rules.units import parse_decimal
from headgate.v1 import resources_pb2

# Built-in routes; a resource of that name would never be found, or hide them.
RESERVED_NAMES = ("cheapest", "fastest")
CAPABILITIES = ("tools", "vision", "json_schema", "thinking", "audio")
DIALECTS = ("chat", "responses", "messages", "gemini")
MAX_LIST = 1_000
MAX_METADATA_ENTRIES = 32
MAX_METADATA_CHARACTERS = 256
MAX_TIMEOUT_SECONDS = 86_400
MAX_ATTEMPTS = 10

# A name, `*`, or provider/model with `*` in either part.
_ALLOW = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*._:@+-]*(/[A-Za-z0-9*._:@+-]+)*")
_PASSTHROUGH = re.compile(r"[a-z0-9*][a-z0-9*._-]* (\*|GET|POST|PUT|PATCH|DELETE) /[!-~]*")
_UPSTREAM_MODEL = re.compile(r"[!-~]{1,256}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def spec_problems(kind: str, spec: Message) -> Iterator[Problem]:
    check = _CHECKS.get(kind)
    name: str = spec.name  # type: ignore[attr-defined]
    if problem := name_problem(name):
        yield Problem(("name",), problem)
    elif kind in ("route", "model") and name in RESERVED_NAMES:
        yield Problem(("name",), f"{name!r} is a built-in route")
    if check is not None:
        yield from check(spec)


def _model(spec: resources_pb2.Model) -> Iterator[Problem]:
    if not is_name(spec.provider):
        yield Problem(("provider",), name_problem(spec.provider) or "")
    if spec.upstream_model and not _UPSTREAM_MODEL.fullmatch(spec.upstream_model):
        yield Problem(("upstream_model",), "must be 1 to 256 visible ASCII characters")
    if spec.HasField("price"):
        yield from _price(spec.price)
    if spec.discount:
        yield from _amount(("discount",), spec.discount, most=1)
    for index, capability in enumerate(spec.capabilities):
        if capability not in CAPABILITIES:
            hint = did_you_mean(capability, CAPABILITIES)
            yield Problem(("capabilities", index), f"unknown capability {capability!r}{hint}")
    for index, dialect in enumerate(spec.dialects):
        if dialect not in DIALECTS:
            known = ", ".join(DIALECTS)
            hint = did_you_mean(dialect, DIALECTS)
            yield Problem(("dialects", index), f"unknown dialect {dialect!r}{hint}; known are {known}")
    for task, quality in spec.quality.items():
        if not 0 <= quality <= 1:
            yield Problem(("quality", task), "must be from 0 to 1")


def _price(price: resources_pb2.ModelPrice) -> Iterator[Problem]:
    given = {field.name: value for field, value in price.ListFields()}
    for name, value in given.items():
        yield from _amount(("price", name), value)
    if not given:
        yield Problem(("price",), "names no price; leave it out for the catalogue's")
    elif "input" not in given and set(given) != {"request"}:
        yield Problem(
            ("price",), "needs at least `input`, or `request` alone (write 0 where something is free)"
        )


def _amount(path: Path, text: str, most: int | None = None) -> Iterator[Problem]:
    try:
        number = parse_decimal(text)
    except ValueError as error:
        yield Problem(path, str(error))
        return
    if most is not None and number > most:
        yield Problem(path, f"must be from 0 to {most}")


def _route(spec: resources_pb2.Route) -> Iterator[Problem]:
    if not spec.HasField("policy"):
        yield Problem(("policy",), "a route needs a policy")
    else:
        yield from policy_problems(("policy",), spec.policy)
    if spec.HasField("retry") and not 1 <= spec.retry.attempts <= MAX_ATTEMPTS:
        yield Problem(("retry", "attempts"), f"must be from 1 to {MAX_ATTEMPTS}")
    for index, strategy in enumerate(spec.client_strategies):
        if strategy not in STRATEGIES:
            hint = did_you_mean(strategy, STRATEGIES)
            known = ", ".join(STRATEGIES)
            yield Problem(
                ("client_strategies", index), f"unknown strategy {strategy!r}{hint}; known are {known}"
            )
    for field, value in spec.timeouts.ListFields():
        yield from _positive(("timeouts", field.name), value, MAX_TIMEOUT_SECONDS)
    for name, text, known in (("hold", spec.hold, "whole"), ("resume", spec.resume, "exact")):
        if text and text != known:
            yield Problem((name,), f"must be {known!r}, or left out")
    if spec.hold and spec.resume:
        yield Problem(("resume",), "has nothing to do where `hold: whole` sends nothing before the end")
    if len(spec.task) > 64 or _CONTROL.search(spec.task):
        yield Problem(("task",), "must be at most 64 characters, none of them control characters")


def _key(spec: resources_pb2.Key) -> Iterator[Problem]:
    if len(spec.allow.of) > MAX_LIST:
        yield Problem(("allow",), f"has more than {MAX_LIST} patterns")
    for index, pattern in enumerate(spec.allow.of):
        if len(pattern) > 256 or not _ALLOW.fullmatch(pattern):
            yield Problem(
                ("allow", index), f"{pattern[:80]!r} is neither a name nor a pattern like 'openai/*' or '*'"
            )
    for index, pattern in enumerate(spec.passthrough):
        if len(pattern) > 256 or not _PASSTHROUGH.fullmatch(pattern):
            yield Problem(
                ("passthrough", index),
                'must be "PROVIDER METHOD PATH", like "openai POST /v1/files" or "openai * /v1/batches*"',
            )
    if len(spec.passthrough) > MAX_LIST:
        yield Problem(("passthrough",), f"has more than {MAX_LIST} patterns")
    if len(spec.metadata) > MAX_METADATA_ENTRIES:
        yield Problem(("metadata",), f"has more than {MAX_METADATA_ENTRIES} entries")
    for name, value in spec.metadata.items():
        if not name or max(len(name), len(value)) > MAX_METADATA_CHARACTERS or _CONTROL.search(name + value):
            yield Problem(
                ("metadata", name[:64]), f"must be at most {MAX_METADATA_CHARACTERS} plain characters"
            )
    if spec.HasField("expires"):
        yield from _positive(("expires",), spec.expires)
    if spec.sha256 and not _SHA256.fullmatch(spec.sha256):
        yield Problem(("sha256",), "must be the 64 hex digits of a SHA-256")


def _positive(path: Path, value: Duration, most_seconds: int | None = None) -> Iterator[Problem]:
    if value.ToNanoseconds() <= 0:
        yield Problem(path, "must be more than 0s")
    elif most_seconds is not None and value.seconds > most_seconds:
        yield Problem(path, f"must be at most {most_seconds} s")


def _tenant(spec: resources_pb2.Tenant) -> Iterator[Problem]:
    for index, region in enumerate(spec.residency):
        if not is_name(region):
            yield Problem(("residency", index), name_problem(region) or "")
    if spec.HasField("max_config_staleness"):
        yield from _positive(("max_config_staleness",), spec.max_config_staleness)


_CHECKS: dict[str, Callable[..., Iterator[Problem]]] = {
    "tenant": _tenant,
    "provider": provider_problems,
    "model": _model,
    "experiment": experiment_problems,
    "route": _route,
    "key": _key,
}
