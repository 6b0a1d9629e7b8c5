"""What is recorded of an answer that is too large to be parsed: searched from its end.

Quotes inside strings are escaped, so that no text of a model's can be taken for a key.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

# Of a usage object.
_MAX_OBJECT_BYTES = 4096
# A value of the name, wherever the provider puts spaces.
_USAGE = re.compile(rb'"usage(?:Metadata)?"\s{0,8}:\s{0,8}(?={)')
_TIER = re.compile(rb'"service_tier"\s{0,8}:\s{0,8}"([^"\\]{1,64})"')


def usage_and_tier(body: bytes) -> tuple[dict[str, Any] | None, str]:
    """The last usage, and the last tier: beside the usage, or inside it (Anthropic)."""
    # The usage stands at the end, or at the front for some providers.
    match = _last(body, b'"usage', _USAGE)
    found = _object_at(body, match.end()) if match is not None else None
    usage = found if isinstance(found, dict) else None
    beside = _last(body, b'"service_tier"', _TIER)
    return usage, beside[1].decode("latin-1") if beside is not None else ""


def _last(body: bytes, start: bytes, form: re.Pattern[bytes]) -> re.Match[bytes] | None:
    end = len(body)
    while (position := body.rfind(start, 0, end)) >= 0:
        match = form.match(body, position)
        if match is not None:
            return match
        end = position
    return None


def _object_at(body: bytes, start: int) -> object:
    """The small flat-ish object that begins at `start`."""
    depth = 0
    for index in range(start, min(start + _MAX_OBJECT_BYTES, len(body))):
        if body[index] == 0x7B:
            depth += 1
        elif body[index] == 0x7D:
            depth -= 1
            if depth == 0:
                try:
                    return orjson.loads(body[start : index + 1])
                except orjson.JSONDecodeError:
                    return None
    return None
