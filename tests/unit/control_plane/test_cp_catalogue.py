"""The catalogue's prices as integers, held against the library's own arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.rules.catalogue import (
    CATALOGUE_PROVIDERS,
    catalogue_models,
    catalogue_version,
    price_list,
)
from headgate.rules.money import ATTO_PER_USD, Price, Tokens, atto_of

# What they charge that is in none of our classes of tokens; such models are compared without them.
_OURS = {
    "input_mtok",
    "output_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "cache_write_5m_mtok",
    "cache_write_1h_mtok",
    "input_audio_mtok",
    "output_audio_mtok",
    "requests_kcount",
}
# All that the catalogue has for our kinds, by a name that it itself finds.
ALL = [
    (kind, model.id)
    for kind, provider_id in CATALOGUE_PROVIDERS.items()
    for provider in get_snapshot().providers
    if provider.id == provider_id
    for model in provider.models
    if provider.find_model(model.id) is not None
]
EDGES = (0, 1, 32_000, 32_001, 128_000, 128_001, 199_999, 200_000, 200_001, 256_001, 272_000, 272_001)
MOMENTS = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=30 * n, hours=7 * n) for n in range(48)]


def chosen(prices: tuple[Price, ...], tokens: Tokens, when: datetime, tier: str) -> Price | None:
    found = None
    for price in prices:
        if price.applies(tokens.input, int(when.timestamp() * 1000), tier):
            found = price
    return found


def their_tokens(tokens: Tokens) -> dict[str, int]:
    plain = tokens.input - tokens.cache_read - tokens.cache_write_5m - tokens.cache_write_1h
    return {
        "input_tokens": tokens.input,
        "cache_read_tokens": tokens.cache_read,
        "cache_write_tokens": tokens.cache_write_5m + tokens.cache_write_1h,
        "cache_write_1h_tokens": tokens.cache_write_1h,
        "input_audio_tokens": min(tokens.audio_input, plain),
        "cache_audio_read_tokens": 0,
        "cache_audio_write_tokens": 0,
        "cache_audio_write_1h_tokens": 0,
        "output_tokens": tokens.output,
        "output_audio_tokens": tokens.audio_output,
    }


@st.composite
def usages(draw: st.DrawFn) -> Tokens:
    count = st.one_of(st.sampled_from(EDGES), st.integers(0, 600_000))
    plain, read, write_5m, write_1h = (draw(count) for _ in range(4))
    output = draw(count)
    return Tokens(
        input=plain + read + write_5m + write_1h,
        cache_read=read,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        audio_input=draw(st.integers(0, plain)),
        output=output,
        audio_output=draw(st.integers(0, output)),
    )


@settings(max_examples=1_500, deadline=None)
@given(
    st.sampled_from(ALL),
    usages(),
    st.sampled_from(MOMENTS),
    st.sampled_from(["", "default", "priority", "flex", "fast", "unheard-of"]),
)
def test_a_call_costs_what_the_catalogue_says(
    pair: tuple[str, str], tokens: Tokens, when: datetime, tier: str
) -> None:
    kind, name = pair
    prices, _ = price_list(kind, "", name)
    context = {"service_tier": tier} if tier else None
    provider = next(p for p in get_snapshot().providers if p.id == CATALOGUE_PROVIDERS[kind])
    model = provider.find_model(name)
    assert model is not None
    theirs = {key for key, value in vars(model.get_prices(when, context)).items() if value is not None}
    if not prices:
        assert not theirs & {"input_mtok", "output_mtok", "requests_kcount"}
        return
    if not {"input_mtok", "output_mtok"} <= theirs <= _OURS:
        return
    mine = chosen(prices, tokens, when, tier)
    assert mine is not None
    expected = calc_price(
        Usage(**their_tokens(tokens)),
        name,
        provider_id=CATALOGUE_PROVIDERS[kind],
        genai_request_timestamp=when,
        price_context=context,
    ).total_price
    # Prices finer than an atto-dollar a token are rounded once, half an atto-dollar a token at most.
    slack = Decimal(tokens.input + tokens.output) / 2
    assert abs(Decimal(atto_of(mine, tokens)) - expected * ATTO_PER_USD) <= slack


def test_a_tier_begins_after_its_threshold() -> None:
    prices, _ = price_list("gemini", "", "gemini-2.5-pro")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    below = chosen(prices, Tokens(input=200_000), now, "")
    above = chosen(prices, Tokens(input=200_001), now, "")
    assert below is not None
    assert above is not None
    assert above.input > below.input


def test_what_the_catalogue_does_not_know_is_unpriced() -> None:
    assert price_list("openai", "", "no-such-model-anywhere") == ((), "")
    assert price_list("deepinfra", "", "gpt-4o-mini") == ((), "")
    assert price_list("openai-compatible", "http://127.0.0.1:9/v1", "gpt-4o-mini") == ((), "")


def test_the_sandbox_costs_nothing_and_says_so() -> None:
    prices, version = price_list("sandbox", "", "anything")
    assert atto_of(prices[0], Tokens(input=1_000, output=1_000)) == 0
    assert version == "sandbox"


def test_models_are_named_as_the_provider_knows_them() -> None:
    names = {model.upstream_model for model in catalogue_models("mistral")}
    assert "codestral-latest" in names
    for kind in CATALOGUE_PROVIDERS:
        assert all(price_list(kind, "", model.upstream_model)[0] for model in catalogue_models(kind))


def test_a_compatible_server_is_known_by_its_address() -> None:
    prices, version = price_list("openai-compatible", "https://api.deepseek.com/v1", "deepseek-chat")
    assert prices
    assert version == catalogue_version()
    assert version.startswith("genai-prices ")


def test_the_time_of_day_makes_windows_that_cover_the_day_once() -> None:
    prices, _ = price_list("openai-compatible", "https://api.deepseek.com/v1", "deepseek-chat")
    windows = [price for price in prices if price.day_from_seconds != price.day_to_seconds]
    if not windows:
        pytest.skip("the catalogue has no prices by the time of day now")
    for hour in range(24):
        when = int(datetime(2026, 5, 4, hour, 31, tzinfo=UTC).timestamp() * 1000)
        assert sum(price.applies(1, when, "") for price in windows if not price.from_unix_ms) == 1


def test_models_for_a_first_start_are_priced_and_not_on_their_way_out() -> None:
    for kind in CATALOGUE_PROVIDERS:
        models = catalogue_models(kind)
        assert models
        assert all(model.prices for model in models)
    assert catalogue_models("deepinfra") == catalogue_models("nvidia") == []


def test_gemini_s_own_models_are_offered_and_not_those_that_google_s_cloud_hosts() -> None:
    names = [model.upstream_model for model in catalogue_models("gemini")]
    assert "gemini-2.5-flash" in names
    assert not any("claude" in name for name in names)
