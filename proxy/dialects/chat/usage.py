"""Token counts from an OpenAI-dialect `usage` object, by class, whoever sent it.

https://platform.openai.com/docs/api-reference/chat/object#chat-object-usage. Known differences:
xAI leaves reasoning out of `completion_tokens` and Mistral audio out of `prompt_tokens` (their totals show
it); Mistral may put cached tokens beside the others; Groq streams usage in `x_groq`; DeepInfra, OpenRouter
and xAI add a cost of their own. Impossible counts are clamped, missing ones are zero, both flagged (A17).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from headgate.rules.money import MAX_TOKENS, PICO_PER_USD, Tokens
from proxy.dialects.counts import clamped, mended_count

# No single call costs more; a larger report is a mistake.
MAX_REPORTED_USD = 10_000
TICKS_PER_USD = 10**10

_NOTHING: dict[str, Any] = {}


def tokens_of(usage: dict[str, Any]) -> tuple[Tokens, bool]:
    """(counts, whether one of them had to be mended)."""
    prompt = usage.get("prompt_tokens_details")
    completion = usage.get("completion_tokens_details")
    if prompt.__class__ is not dict:
        prompt = _NOTHING
    if completion.__class__ is not dict:
        completion = _NOTHING
    asked, answered = usage.get("prompt_tokens"), usage.get("completion_tokens")
    counts = [
        0 if asked is None else asked,
        prompt.get("cached_tokens") or usage.get("num_cached_tokens") or 0,
        prompt.get("cache_write_tokens") or 0,
        prompt.get("audio_tokens") or 0,
        0 if answered is None else answered,
        completion.get("reasoning_tokens") or 0,
        completion.get("audio_tokens") or 0,
    ]
    # Of embeddings and the like the total is the prompt's, and nothing was completed.
    mended = asked is None or (answered is None and usage.get("total_tokens") != asked)
    for index, value in enumerate(counts):
        if value.__class__ is not int or not 0 <= value <= MAX_TOKENS:
            counts[index], bad = mended_count(value)
            mended = mended or bad
    given, cached, written, audio_input, output, reasoning, audio_output = counts
    if reasoning and usage.get("total_tokens") == given + output + reasoning:
        output += reasoning
    if audio_input and usage.get("total_tokens") == given + audio_input + output:
        given += audio_input
    tokens = Tokens(given, cached, written, 0, audio_input, output, reasoning, audio_output)
    if (
        cached + written > given
        or audio_input > given
        or audio_output > output
        or reasoning > output
        or given > MAX_TOKENS
        or output > MAX_TOKENS
    ):
        return clamped(tokens)
    return tokens, mended


def reported_picousd(usage: dict[str, Any]) -> int | None:
    """What the provider itself says the call cost, where it does; for models that nothing else prices.

    OpenRouter: `cost` in USD, beside it what a key of one's own was charged (`is_byok`); DeepInfra:
    `estimated_cost`; xAI: `cost_in_usd_ticks` of 10⁻¹⁰ USD.
    https://openrouter.ai/docs/use-cases/usage-accounting
    """
    ticks = usage.get("cost_in_usd_ticks")
    if ticks.__class__ is int and 0 <= ticks < MAX_REPORTED_USD * TICKS_PER_USD:
        return ticks * (PICO_PER_USD // TICKS_PER_USD)
    said = usage.get("cost", usage.get("estimated_cost"))
    details = usage.get("cost_details")
    amounts = [said]
    if usage.get("is_byok") and isinstance(details, dict):
        amounts.append(details.get("upstream_inference_cost"))
    total = Decimal(0)
    for amount in amounts:
        if amount is None or isinstance(amount, bool) or not isinstance(amount, (int, float)):
            return None
        # The shortest text of a float is what the provider wrote.
        total += Decimal(repr(amount))
    if not total.is_finite() or not 0 <= total < MAX_REPORTED_USD:
        return None
    return int((total * PICO_PER_USD).to_integral_value(rounding="ROUND_HALF_EVEN"))


# Bytes of JSON per token, for counts that nobody sent. English prose in messages is near 4.
_BYTES_PER_TOKEN = 4


def estimated_tokens(request_bytes: int, answer_events: int) -> Tokens:
    """A flagged guess: the request by its size, the answer by its events (about a token each)."""
    return Tokens(input=request_bytes // _BYTES_PER_TOKEN, output=answer_events)


def usage_document(tokens: Tokens) -> dict[str, Any]:
    """Counts in this dialect's shape. Cache writes stand where OpenRouter and the newer models put them."""
    prompt: dict[str, int] = {"cached_tokens": tokens.cache_read}
    written = tokens.cache_write_5m + tokens.cache_write_1h
    if written:
        prompt["cache_write_tokens"] = written
    if tokens.audio_input:
        prompt["audio_tokens"] = tokens.audio_input
    completion: dict[str, int] = {"reasoning_tokens": tokens.reasoning}
    if tokens.audio_output:
        completion["audio_tokens"] = tokens.audio_output
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }
