"""Counts as providers report them: missing ones are zero, impossible ones are clamped and flagged (A17)."""

from __future__ import annotations

from headgate.rules.money import MAX_TOKENS, Tokens


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


def clamped(tokens: Tokens) -> tuple[Tokens, bool]:
    """(tokens, whether they had to be mended): sums of possible counts may be impossible, and a part larger
    than its whole would be billed at a negative rest."""
    given, output = min(tokens.input, MAX_TOKENS), min(tokens.output, MAX_TOKENS)
    read = min(tokens.cache_read, given)
    written_5m = min(tokens.cache_write_5m, given - read)
    mended = Tokens(
        given,
        read,
        written_5m,
        min(tokens.cache_write_1h, given - read - written_5m),
        min(tokens.audio_input, given),
        output,
        min(tokens.reasoning, output),
        min(tokens.audio_output, output),
    )
    return mended, mended != tokens


def mended_count(value: object) -> tuple[int, bool]:
    """(count, whether it was impossible). Whole floats are counts."""
    if isinstance(value, float) and value.is_integer() and 0 <= value <= MAX_TOKENS:
        return int(value), False
    too_large = isinstance(value, (int, float)) and not isinstance(value, bool) and value > MAX_TOKENS
    return MAX_TOKENS if too_large else 0, True
