"""Judges that are no models: whether an answer is JSON, has a form, a length, a text. 1 passes, 0 fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict

from headgate.rules.schemas import validator
from headgate.v1 import resources_pb2

Check = Callable[[str], bool]


def compiled(check: resources_pb2.Check) -> Check:
    """Of any kind but `http`. What it needs is imported by the first that needs it."""
    kind = check.WhichOneof("check")
    if kind == "json":
        return _is_json
    if kind == "schema":
        return _by_schema(MessageToDict(check.schema))
    if kind == "regex":
        return _by_regex(check.regex)
    if kind == "length":
        low, high = check.length.min, check.length.max
        return lambda text: low <= len(text) and (not high or len(text) <= high)
    wanted = check.exact.strip()
    return lambda text: text.strip() == wanted


def name_of(check: resources_pb2.Check) -> str:
    return check.name or check.WhichOneof("check") or ""


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        return False
    return True


def _by_schema(schema: dict[str, Any]) -> Check:
    is_valid = validator(schema)

    def passes(text: str) -> bool:
        try:
            return is_valid(orjson.loads(text))
        except (orjson.JSONDecodeError, RecursionError, ValueError):
            return False

    return passes


def _by_regex(pattern: str) -> Check:
    import re2

    found = re2.compile(pattern)
    return lambda text: found.search(text) is not None
