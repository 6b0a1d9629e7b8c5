"""Token counts from the Responses API's `usage`, by class.

https://platform.openai.com/docs/api-reference/responses/object#responses-object-usage. xAI and OpenRouter
add a cost of their own, as in their chat answers.
"""

from __future__ import annotations

from typing import Any

from headgate.rules.money import Tokens
from proxy.dialects.counts import clamped, counted

_NOTHING: dict[str, Any] = {}


def tokens_of(usage: dict[str, Any]) -> tuple[Tokens, bool]:
    """(counts, whether one of them had to be mended)."""
    given = usage.get("input_tokens_details")
    made = usage.get("output_tokens_details")
    if given.__class__ is not dict:
        given = _NOTHING
    if made.__class__ is not dict:
        made = _NOTHING
    counts, mended = counted(
        usage.get("input_tokens"),
        given.get("cached_tokens"),
        given.get("cache_write_tokens"),
        given.get("audio_tokens"),
        usage.get("output_tokens"),
        made.get("reasoning_tokens"),
        made.get("audio_tokens"),
    )
    total, cached, written, audio_in, output, reasoning, audio_out = counts
    if reasoning and usage.get("total_tokens") == total + output + reasoning:
        output += reasoning  # xAI counts it beside the output in its chat answers
    tokens, beyond = clamped(Tokens(total, cached, written, 0, audio_in, output, reasoning, audio_out))
    missing = usage.get("input_tokens") is None or usage.get("output_tokens") is None
    return tokens, mended or beyond or missing


def usage_document(tokens: Tokens) -> dict[str, Any]:
    """Counts in this dialect's shape."""
    written = tokens.cache_write_5m + tokens.cache_write_1h
    details = {"cached_tokens": tokens.cache_read, "cache_write_tokens": written}
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": details,
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }
