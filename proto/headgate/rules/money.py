"""Money: from token counts to integer pico-dollars (10⁻¹² USD), exactly.

Prices are atto-dollars (10⁻¹⁸) per token, so a call's cost is an integer sum, rounded once,
half to even, per record. Sums of records are therefore exact. What has no price is None, never zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

ATTO_PER_PICO = 10**6
PICO_PER_USD = 10**12
# USD per million tokens → atto-dollars per token.
ATTO_PER_USD_PER_MILLION = 10**12
ATTO_PER_USD = 10**18
DISCOUNT_UNIT = 10**6
# No record costs more (9.2 million USD): beyond it a count is a lie, and the column would overflow.
MAX_PICOUSD = 2**63 - 1
# More tokens than any model can take or make in one call: larger counts are clamped and flagged (A17).
MAX_TOKENS = 10**9


@dataclass(slots=True)
class Tokens:
    """Counts by class. `input` is all input, of which cached, written and audio ones; `output` likewise."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    audio_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0


@dataclass(frozen=True, slots=True)
class Price:
    """One price of a model with the condition under which it applies. Atto-dollars per token."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    audio_input: int
    audio_output: int
    request: int = 0
    from_unix_ms: int = 0
    service_tier: str = ""
    above_input_tokens: int = 0
    day_from_seconds: int = 0
    day_to_seconds: int = 0

    def applies(self, input_tokens: int, unix_ms: int, service_tier: str) -> bool:
        if unix_ms < self.from_unix_ms or (
            self.above_input_tokens and input_tokens <= self.above_input_tokens
        ):
            return False
        if self.service_tier and self.service_tier != service_tier:
            return False
        start, end = self.day_from_seconds, self.day_to_seconds
        if start == end:
            return True
        second = unix_ms // 1000 % 86400
        return start <= second < end if start < end else second >= start or second < end


def cost_picousd(
    prices: Sequence[Price], tokens: Tokens, unix_ms: int, service_tier: str = "", discount_ppm: int = 0
) -> int | None:
    """What a call cost, in pico-dollars; None if nothing prices it.

    `discount_ppm`: millionths taken off. `unix_ms`: when the attempt began.
    """
    chosen: Price | None = None
    for price in prices:  # the last that applies
        if price.applies(tokens.input, unix_ms, service_tier):
            chosen = price
    if chosen is None:
        return None
    return round_half_even(
        atto_of(chosen, tokens) * (DISCOUNT_UNIT - discount_ppm), ATTO_PER_PICO * DISCOUNT_UNIT
    )


def atto_of(price: Price, tokens: Tokens) -> int:
    """The exact price of one call in atto-dollars, before discount and rounding."""
    plain_input = tokens.input - tokens.cache_read - tokens.cache_write_5m - tokens.cache_write_1h
    # No provider says how much of the cached input was audio: audio is counted among the uncached.
    audio_input = min(tokens.audio_input, plain_input)
    plain_input -= audio_input
    return (
        plain_input * price.input
        + audio_input * price.audio_input
        + tokens.cache_read * price.cache_read
        + tokens.cache_write_5m * price.cache_write_5m
        + tokens.cache_write_1h * price.cache_write_1h
        + (tokens.output - tokens.audio_output) * price.output
        + tokens.audio_output * price.audio_output
        + price.request
    )


def round_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator for non-negative numbers, rounded once, half to even."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return min(quotient, MAX_PICOUSD)


def usd_text(picousd: int) -> str:
    """Pico-dollars as an exact decimal string of dollars: 170700000 → "0.0001707"."""
    whole, rest = divmod(abs(picousd), PICO_PER_USD)
    sign = "-" if picousd < 0 else ""
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:012d}".rstrip("0")


def atto_per_token(usd_per_million: Decimal) -> int:
    """A catalogue price as an integer; prices finer than 10⁻¹⁸ USD a token are rounded half-even."""
    return round_half_even_decimal(usd_per_million * ATTO_PER_USD_PER_MILLION)


def atto_per_request(usd: Decimal) -> int:
    return round_half_even_decimal(usd * ATTO_PER_USD)


def round_half_even_decimal(number: Decimal) -> int:
    return int(number.to_integral_value(rounding="ROUND_HALF_EVEN"))
