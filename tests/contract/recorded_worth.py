"""What a recording is worth, worked out independently of the product: tokens by class, and money.

Tokens follow each provider's documentation, by provider and not by arithmetic on totals; money is the price
catalogue's own `calc_price` on those tokens. Neither imports anything of the proxy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from genai_prices import Usage, calc_price

from tests.support.wire import Recording

CATALOGUE_NAMES = {"xai": "x-ai", "gemini": "google"}
# What providers say a call cost: OpenRouter in credits (1 credit = 1 USD,
# https://openrouter.ai/docs/use-cases/usage-accounting), xAI in ticks of 10^-10 USD.
USD_PER_TICK = Decimal(10) ** -10


@dataclass(frozen=True, slots=True)
class Worth:
    """Tokens: all input, of which cached, written and audio ones; all output, of which reasoning."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    audio_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0


def recorded_tokens(recording: Recording) -> Worth | None:
    """None where the provider reported nothing."""
    usage = recording.usage
    if usage is None:
        return None
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    given = usage.get("prompt_tokens") or 0
    output = usage.get("completion_tokens") or 0
    reasoning = completion.get("reasoning_tokens") or 0
    cached = prompt.get("cached_tokens") or 0
    audio = prompt.get("audio_tokens") or 0
    if recording.provider == "xai":
        output += reasoning  # billed as output, counted beside it: https://docs.x.ai/docs/guides/reasoning
    if recording.provider == "mistral":
        cached = cached or usage.get("num_cached_tokens") or 0
        given += audio  # Voxtral: total_tokens = prompt + audio + completion
    return Worth(
        input=given,
        cache_read=cached,
        cache_write=prompt.get("cache_write_tokens") or 0,
        audio_input=audio,
        output=output,
        reasoning=min(reasoning, output),  # one OpenRouter recording reports 11 of 10
        audio_output=completion.get("audio_tokens") or 0,
    )


def service_tier(recording: Recording) -> str:
    """Of a whole answer, or of a Responses stream's last event; no other recorded stream names one that has a
    price of its own."""
    if not recording.is_stream:
        return str(json.loads(recording.body).get("service_tier") or "")
    if recording.endpoint != "responses":
        return ""
    last = [line for line in recording.body.splitlines() if line.startswith(b"data: {")][-1]
    return str((json.loads(last[6:]).get("response") or {}).get("service_tier") or "")


def calculated_usd(recording: Recording, worth: Worth, when: datetime | None = None) -> Decimal | None:
    """Exact dollars by the catalogue; None where it has no price for the model."""
    usage = Usage(
        input_tokens=worth.input,
        cache_read_tokens=worth.cache_read,
        cache_write_tokens=worth.cache_write,
        input_audio_tokens=worth.audio_input,
        output_tokens=worth.output,
        output_audio_tokens=worth.audio_output,
    )
    tier = service_tier(recording)
    try:
        found = calc_price(
            usage,
            recording.model,
            provider_id=CATALOGUE_NAMES.get(recording.provider, recording.provider),
            genai_request_timestamp=when or datetime.now(UTC),
            price_context={"service_tier": tier} if tier else None,
        )
    except LookupError:
        return None
    # Some models are listed without any price: unknown, not free.
    return found.total_price if any(vars(found.model_price).values()) else None


def picousd(usd: Decimal) -> int:
    return int((usd * 10**12).to_integral_value(ROUND_HALF_EVEN))


def stated_usd(recording: Recording) -> Decimal | None:
    """What the provider itself says the call cost."""
    usage = recording.usage or {}
    if usage.get("cost_in_usd_ticks") is not None:
        return Decimal(usage["cost_in_usd_ticks"]) * USD_PER_TICK
    if usage.get("cost") is not None:
        return Decimal(str(usage["cost"]))
    return None
