"""Money is exact: every cost equals the same sum in fractions, rounded once, half to even."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headgate.rules.money import (
    DISCOUNT_UNIT,
    MAX_PICOUSD,
    MAX_TOKENS,
    Price,
    Tokens,
    atto_per_request,
    atto_per_token,
    cost_picousd,
    round_half_even,
    usd_text,
)

DAY_MS = 86_400_000


def price(given: int = 0, said: int = 0, **more: Any) -> Price:
    """Classes without their own price take that of all input or all output."""
    return dataclasses.replace(Price(given, said, given, given, given, given, said), **more)


counts = st.integers(0, 10**6)
# Up to 1,000 USD per million tokens, as fine as the unit.
attos = st.integers(0, 10**15)
prices = st.builds(Price, *[attos] * 7, request=st.integers(0, 10**18))


@st.composite
def possible_tokens(draw: st.DrawFn) -> Tokens:
    """Parts that do not exceed their wholes."""
    plain, cached, written, longer, audio, said, audio_said = (draw(counts) for _ in range(7))
    return Tokens(
        input=plain + cached + written + longer + audio,
        cache_read=cached,
        cache_write_5m=written,
        cache_write_1h=longer,
        audio_input=audio,
        output=said + audio_said,
        reasoning=draw(st.integers(0, said + audio_said)),
        audio_output=audio_said,
    )


def by_hand(one: Price, tokens: Tokens, discount_ppm: int) -> Fraction:
    """USD, exactly."""
    atto = Fraction(1, 10**18)
    plain = (
        tokens.input - tokens.cache_read - tokens.cache_write_5m - tokens.cache_write_1h - tokens.audio_input
    )
    total = plain * one.input * atto
    total += tokens.cache_read * one.cache_read * atto
    total += tokens.cache_write_5m * one.cache_write_5m * atto
    total += tokens.cache_write_1h * one.cache_write_1h * atto
    total += tokens.audio_input * one.audio_input * atto
    total += (tokens.output - tokens.audio_output) * one.output * atto
    total += tokens.audio_output * one.audio_output * atto
    total += one.request * atto
    return total * (1 - Fraction(discount_ppm, 10**6))


@given(prices, possible_tokens(), st.integers(0, DISCOUNT_UNIT))
def test_a_cost_is_the_exact_sum_rounded_once_half_to_even(
    one: Price, tokens: Tokens, discount_ppm: int
) -> None:
    exact = by_hand(one, tokens, discount_ppm) * 10**12
    assume(exact < MAX_PICOUSD)
    assert cost_picousd([one], tokens, 0, discount_ppm=discount_ppm) == round(exact)  # Python's is half-even


@given(st.integers(0, 10**30), st.integers(1, 10**15))
def test_rounding_is_half_to_even(numerator: int, denominator: int) -> None:
    assert round_half_even(numerator, denominator) == min(
        round(Fraction(numerator, denominator)), MAX_PICOUSD
    )


@pytest.mark.parametrize(
    ("atto", "pico"), [(499_999, 0), (500_000, 0), (500_001, 1), (1_500_000, 2), (2_500_000, 2)]
)
def test_half_a_pico_dollar_goes_to_the_even_side(atto: int, pico: int) -> None:
    assert cost_picousd([price(atto)], Tokens(input=1), 0) == pico


def test_rounding_happens_once_and_not_per_class() -> None:
    # Three classes of 0.4 pico-dollars each are 1.2, not three times nothing.
    one = price(400_000, 400_000)
    assert cost_picousd([one], Tokens(input=2, cache_read=1, output=1), 0) == 1


def test_a_cost_never_leaves_its_column() -> None:
    huge = price(10**18, 10**18)
    assert cost_picousd([huge], Tokens(input=MAX_TOKENS, output=MAX_TOKENS), 0) == MAX_PICOUSD == 2**63 - 1


def test_no_price_is_unpriced_and_a_price_of_zero_is_free() -> None:
    assert cost_picousd([], Tokens(input=1), 0) is None
    assert cost_picousd([price(from_unix_ms=10)], Tokens(input=1), 9) is None
    assert cost_picousd([price()], Tokens(input=1), 0) == 0


def test_reasoning_is_part_of_the_output_and_not_paid_twice() -> None:
    one = price(said=10**6)
    with_reasoning = Tokens(output=10, reasoning=8)
    assert cost_picousd([one], with_reasoning, 0) == cost_picousd([one], Tokens(output=10), 0) == 10


def test_audio_beyond_the_uncached_input_is_not_counted_twice() -> None:
    one = dataclasses.replace(price(10**6), cache_read=10**6, audio_input=10**6)
    assert cost_picousd([one], Tokens(input=10, cache_read=8, audio_input=5), 0) == 10


# Which price holds.


def chosen(listed: list[Price], input_tokens: int = 1, unix_ms: int = 0, tier: str = "") -> int | None:
    """The price of one call, in pico-dollars, as each test sets it by `request`."""
    return cost_picousd(listed, Tokens(input=input_tokens), unix_ms, tier)


def flat(pico: int, **when: Any) -> Price:
    return price(request=pico * 10**6, **when)


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=6), st.integers(0, 1_000))
def test_the_last_price_that_has_begun_counts(begins: list[int], now: int) -> None:
    listed = [flat(number + 1, from_unix_ms=begin) for number, begin in enumerate(begins)]
    begun = [number + 1 for number, begin in enumerate(begins) if begin <= now]
    assert chosen(listed, unix_ms=now) == (begun[-1] if begun else None)


@pytest.mark.parametrize(
    ("input_tokens", "pico"), [(0, 1), (200_000, 1), (200_001, 2), (1_000_000, 2), (1_000_001, 3)]
)
def test_a_cliff_begins_after_its_number_of_input_tokens(input_tokens: int, pico: int) -> None:
    listed = [flat(1), flat(2, above_input_tokens=200_000), flat(3, above_input_tokens=1_000_000)]
    assert chosen(listed, input_tokens) == pico


@pytest.mark.parametrize(
    ("tier", "pico"), [("", 1), ("default", 1), ("flex", 2), ("Flex", 1), ("priority", 3)]
)
def test_a_service_tier_has_its_price_and_others_the_standard_one(tier: str, pico: int) -> None:
    listed = [flat(1), flat(2, service_tier="flex"), flat(3, service_tier="priority")]
    assert chosen(listed, tier=tier) == pico


@pytest.mark.parametrize(
    ("second", "pico"), [(0, 2), (1_799, 2), (1_800, 1), (59_399, 1), (59_400, 2), (86_399, 2)]
)
@pytest.mark.parametrize("day", [0, 19_000])
def test_a_daily_window_may_go_over_midnight(day: int, second: int, pico: int) -> None:
    listed = [flat(1), flat(2, day_from_seconds=59_400, day_to_seconds=1_800)]
    assert chosen(listed, unix_ms=day * DAY_MS + second * 1000) == pico
    assert chosen(listed, unix_ms=day * DAY_MS + second * 1000 + 999) == pico


@given(st.integers(0, 86_399), st.integers(0, 86_399), st.integers(0, 3 * DAY_MS))
def test_windows_that_share_the_day_never_leave_a_moment_out(start: int, end: int, unix_ms: int) -> None:
    assume(start != end)
    first = price(day_from_seconds=start, day_to_seconds=end)
    rest = price(day_from_seconds=end, day_to_seconds=start)
    assert first.applies(1, unix_ms, "") != rest.applies(1, unix_ms, "")


# Text and units.


@given(st.integers(-(2**63), 2**63))
def test_money_as_text_is_exact_and_plain(pico: int) -> None:
    text = usd_text(pico)
    assert Fraction(text) == Fraction(pico, 10**12)
    assert "e" not in text.lower()
    assert not text.startswith(".")
    assert "." not in text or not text.endswith("0")


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (0, "0"),
        (1, "0.000000000001"),
        (170_700_000, "0.0001707"),
        (10**12, "1"),
        (-1_500_000_000_000, "-1.5"),
    ],
)
def test_money_reads_as_people_write_it(pico: int, text: str) -> None:
    assert usd_text(pico) == text


@given(st.decimals(0, 10_000, places=6))
def test_a_price_per_million_is_exact_per_token(usd: Decimal) -> None:
    assert Fraction(atto_per_token(usd), 10**18) == Fraction(usd) / 10**6
    assert Fraction(atto_per_request(usd), 10**18) == Fraction(usd)


def test_a_price_finer_than_the_unit_is_rounded_half_to_even() -> None:
    assert atto_per_token(Decimal("0.0000000000005")) == 0
    assert atto_per_token(Decimal("0.0000000000015")) == 2
