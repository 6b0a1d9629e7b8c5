"""Sizes, times and decimals as people write them: `300ms`, `5m`, `1d`, `32MiB`, `0.15`.

Times are kept in whole nanoseconds and money as text, so that nothing is rounded on the way.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|kB|MB|GB)?")
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_duration_ns(text: str) -> int:
    """`1h30m` in nanoseconds. ValueError says what was expected."""
    position = total = 0
    while match := _PART.match(text, position):
        total += int(Decimal(match.group(1)) * _NANOSECONDS[match.group(2)])
        position = match.end()
    if position == 0 or position != len(text):
        raise ValueError(f"{text!r} is not a time: write 300ms, 5s, 5m, 24h or 30d")
    return total


def format_duration_ns(nanoseconds: int) -> str:
    """The shortest exact text: `5m`, `1500ms`."""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        if nanoseconds and nanoseconds % _NANOSECONDS[unit] == 0:
            return f"{nanoseconds // _NANOSECONDS[unit]}{unit}"
    return f"{nanoseconds}ns" if nanoseconds else "0s"


def parse_size_bytes(text: str) -> int:
    """`32MiB` in bytes. ValueError says what was expected."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size: write 512KiB, 32MiB or a number of bytes")
    return int(Decimal(match.group(1)) * _BYTES[match.group(2) or "B"])


def parse_decimal(text: str) -> Decimal:
    """A finite, non-negative decimal of sane length. ValueError says what was expected."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if len(text) > 40 or not number.is_finite() or number < 0 or number.adjusted() > 15:
        raise ValueError(f"{text[:40]!r} is not an amount: write a decimal number, zero or more, like 0.15")
    return number
