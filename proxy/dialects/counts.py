"""Counts as providers report them: missing ones are zero, impossible ones are clamped and flagged (A17)."""

from __future__ import annotations

from headgate.rules.money import MAX_TOKENS


def counted(*values: object) -> tuple[list[int], bool]:
    """(counts in the same order, whether one of them had to be mended)."""
    found: list[int] = []
    mended = False
    for value in values:
        if value is None:
            found.append(0)
        elif type(value) is int and 0 <= value <= MAX_TOKENS:
            found.append(value)
        else:
            count, bad = mended_count(value)
            found.append(count)
            mended = mended or bad
    return found, mended


def mended_count(value: object) -> tuple[int, bool]:
    """(count, whether it was impossible). Whole floats are counts."""
    if isinstance(value, float) and value.is_integer() and 0 <= value <= MAX_TOKENS:
        return int(value), False
    too_large = isinstance(value, (int, float)) and not isinstance(value, bool) and value > MAX_TOKENS
    return MAX_TOKENS if too_large else 0, True
