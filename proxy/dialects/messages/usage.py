"""Token counts from Anthropic's `usage`, by class. Its `input_tokens` leaves the cached ones out.

In a stream `message_start` and `message_delta` are cumulative: the later count replaces the earlier.
https://docs.anthropic.com/en/api/messages-streaming,
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching#tracking-cache-performance
"""

from __future__ import annotations

from typing import Any

from headgate.rules.money import Tokens
from proxy.dialects.counts import clamped, counted

_NOTHING: dict[str, Any] = {}
# Of one sampling pass; the rest (tier, region) holds for the whole message.
_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


def merged(before: dict[str, Any] | None, update: Any) -> dict[str, Any] | None:
    """What is known after one more event."""
    if not isinstance(update, dict):
        return before
    if before is None:
        return dict(update)
    return {**before, **{name: value for name, value in update.items() if value is not None}}


def tokens_of(usage: dict[str, Any]) -> tuple[Tokens, bool]:
    """(counts, whether one of them had to be mended)."""
    passes = usage.get("iterations")
    if isinstance(passes, list) and any(_is_extra(item) for item in passes):
        # The top-level counts leave passes for compaction out: all of them are billed.
        # https://docs.anthropic.com/en/docs/build-with-claude/compaction#understanding-usage
        return _sum([_one(item) for item in passes if isinstance(item, dict)])
    return _one(usage)


def _is_extra(item: object) -> bool:
    return isinstance(item, dict) and item.get("type") == "compaction"


def _one(usage: dict[str, Any]) -> tuple[Tokens, bool]:
    creation = usage.get("cache_creation")
    details = usage.get("output_tokens_details")
    if creation.__class__ is not dict:
        creation = _NOTHING
    if details.__class__ is not dict:
        details = _NOTHING
    counts, mended = counted(
        usage.get("input_tokens"),
        usage.get("cache_read_input_tokens"),
        usage.get("cache_creation_input_tokens"),
        creation.get("ephemeral_1h_input_tokens"),
        usage.get("output_tokens"),
        details.get("thinking_tokens"),
    )
    plain, read, written, hour, output, thinking = counts
    if hour > written:
        if usage.get("cache_creation_input_tokens") is not None:
            mended = True
            hour = written
        else:
            written = hour + counted(creation.get("ephemeral_5m_input_tokens"))[0][0]
    given = plain + read + written
    tokens, beyond = clamped(Tokens(given, read, written - hour, hour, 0, output, thinking, 0))
    missing = usage.get("input_tokens") is None or usage.get("output_tokens") is None
    return tokens, mended or beyond or missing


def _sum(found: list[tuple[Tokens, bool]]) -> tuple[Tokens, bool]:
    total = Tokens()
    for tokens, _ in found:
        for name in Tokens.__slots__:
            setattr(total, name, getattr(total, name) + getattr(tokens, name))
    total, beyond = clamped(total)
    return total, beyond or any(mended for _, mended in found)


def usage_document(tokens: Tokens, *, tier: str = "") -> dict[str, Any]:
    """Counts in this dialect's shape."""
    written = tokens.cache_write_5m + tokens.cache_write_1h
    usage: dict[str, Any] = {
        "input_tokens": max(0, tokens.input - tokens.cache_read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": tokens.cache_read,
        "output_tokens": tokens.output,
    }
    if written:
        usage["cache_creation"] = {
            "ephemeral_5m_input_tokens": tokens.cache_write_5m,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        }
    if tokens.reasoning:
        usage["output_tokens_details"] = {"thinking_tokens": tokens.reasoning}
    if tier:
        usage["service_tier"] = tier
    return usage
