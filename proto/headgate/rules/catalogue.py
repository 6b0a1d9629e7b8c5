"""Prices and models of the providers we know, from the genai-prices catalogue, as plain integers.

The catalogue is imported at the first look-up and answers are kept: a look-up costs 0.1 ms there and nothing
here. What it cannot say of a model in our classes of tokens is left out (images count as input,
reasoning as output); a model without token prices, or unknown, has no price: unpriced, never zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from headgate.rules.money import Price, atto_per_request, atto_per_token

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

# Our kinds → the catalogue's providers. deepinfra and nvidia are not in it.
CATALOGUE_PROVIDERS: Mapping[str, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "groq": "groq",
    "cerebras": "cerebras",
    "mistral": "mistral",
    "xai": "x-ai",
    "openrouter": "openrouter",
}

MAX_REMEMBERED = 20_000
_DAY_SECONDS = 86_400
_PER_THOUSAND = Decimal(1000)


# The sandbox calls nobody: its price is known, and it is nothing.
_FREE = Price(0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    upstream_model: str
    context_window: int | None
    prices: tuple[Price, ...]


def catalogue_version() -> str:
    """`genai-prices 0.2.3`."""
    from genai_prices import __version__

    return f"genai-prices {__version__}"


@cache
def catalogue_models(kind: str) -> list[CatalogueModel]:
    """The models that a provider of this kind sells by the token, without those on their way out."""
    provider = _provider_of_kind(kind)
    if provider is None:
        return []
    found = []
    for model in provider.models:
        prices = tuple(_flatten(model, own=True))
        name = _api_name(provider, model)
        if prices and name and not model.deprecated and _sells(kind, name):
            found.append(CatalogueModel(name, model.context_window, prices))
    return found


@lru_cache(maxsize=MAX_REMEMBERED)
def price_list(kind: str, base_url: str, upstream_model: str) -> tuple[tuple[Price, ...], str]:
    """(prices, where they come from); no prices: unpriced.

    The last price that applies counts. `base_url` decides for openai-compatible providers only.
    """
    if kind == "sandbox":
        return (_FREE,), "sandbox"
    provider = _provider_of_kind(kind)
    if provider is None and kind == "openai-compatible":
        provider = _provider_of_url(base_url)
    if provider is None:
        return (), ""
    model = provider.find_model(upstream_model, all_providers=_providers())
    if model is None:
        return (), ""
    own = any(model is one for one in provider.models)
    prices = tuple(_flatten(model, own))
    return (prices, catalogue_version()) if prices else ((), "")


def _sells(kind: str, name: str) -> bool:
    """The catalogue's Google is also the cloud that hosts others' models; Gemini's API is not."""
    return kind != "gemini" or name.startswith(("gemini", "gemma"))


@lru_cache(maxsize=MAX_REMEMBERED)
def context_window(kind: str, base_url: str, upstream_model: str) -> int:
    """Tokens that fit into the model, by the catalogue; 0: it does not say."""
    provider = _provider_of_kind(kind)
    if provider is None and kind == "openai-compatible":
        provider = _provider_of_url(base_url)
    if provider is None:
        return 0
    model = provider.find_model(upstream_model, all_providers=_providers())
    return (model.context_window or 0) if model is not None else 0


def _api_name(provider: Provider, model: ModelInfo) -> str | None:
    """What to call it at the provider: its id, or where that is only a label, a name it answers to."""
    names = [model.id, *_equal_names(model.match)]
    return next((name for name in names if provider.find_model(name) is model), None)


def _equal_names(clause: Any) -> Iterator[str]:
    if (name := getattr(clause, "equals", None)) is not None:
        yield name
    for part in getattr(clause, "or_", ()):
        yield from _equal_names(part)


def _providers() -> list[Provider]:
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot().providers


def _provider_of_kind(kind: str) -> Provider | None:
    wanted = CATALOGUE_PROVIDERS.get(kind)
    return next((p for p in _providers() if p.id == wanted), None) if wanted else None


def _provider_of_url(base_url: str) -> Provider | None:
    return next((p for p in _providers() if base_url and re.match(p.api_pattern, base_url)), None)


def _flatten(model: ModelInfo, own: bool) -> Iterator[Price]:
    """Service tiers × dates × times of day × input sizes, so ordered that the last that applies counts.

    `own` False: borrowed from another provider, whose service tiers mean nothing here. What would only
    repeat what holds already is left out: the proxy reads the list with every call.
    """
    dates, clock = _breakpoints(model, own)
    standard = [_of_day(model, day, clock, "") for day in dates]
    for tier in ["", *(_service_tiers(model) if own else ())]:
        holds: list[Price] | None = None
        for day, plain in zip(dates, standard, strict=True):
            prices = _of_day(model, day, clock, tier) if tier else plain
            if prices == (plain if tier and holds is None else holds):
                continue
            holds = prices
            from_ms = _unix_ms(day)
            yield from (replace(price, from_unix_ms=from_ms, service_tier=tier) for price in prices)


def _of_day(model: ModelInfo, day: date | None, clock: list[int], tier: str) -> list[Price]:
    """The prices that hold from this day on, for one service tier."""
    context = {"service_tier": tier} if tier else None
    return [
        price
        for start, end, when in _windows(day, clock)
        for price in _by_input_tokens(model.get_prices(when, context), start, end)
    ]


def _breakpoints(model: ModelInfo, own: bool) -> tuple[list[date | None], list[int]]:
    """Dates from which, and seconds of the day at which, some price changes; None is the beginning."""
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint

    constraints = [p.constraint for p in model.prices] if isinstance(model.prices, list) else []
    constraints += [v.constraint for v in model.price_variants or ()] if own else []
    dates = {c.start_date for c in constraints if isinstance(c, StartDateConstraint)}
    clock = {
        second
        for c in constraints
        if isinstance(c, TimeOfDateConstraint)
        for second in (_utc_second(c.start_time), _utc_second(c.end_time))
    }
    return [None, *sorted(dates)], sorted(clock)


def _service_tiers(model: ModelInfo) -> list[str]:
    tiers = [v.when["service_tier"] for v in model.price_variants or () if set(v.when) == {"service_tier"}]
    return list(dict.fromkeys(tiers))


def _windows(day: date | None, clock: list[int]) -> Iterator[tuple[int, int, datetime]]:
    """(from, to, a moment inside): the parts of the day, or the whole of it as (0, 0)."""
    # "Since ever" is asked for at a date before all that the catalogue knows.
    midnight = datetime.combine(day or date(1990, 1, 1), time(), UTC)
    if not clock:
        yield 0, 0, midnight
        return
    for start, end in zip(clock, [*clock[1:], clock[0]], strict=True):
        yield start, end % _DAY_SECONDS, midnight + timedelta(seconds=start)


def _utc_second(value: time) -> int:
    moment = datetime.combine(date(2000, 1, 2), value)
    moment = moment.replace(tzinfo=UTC) if value.tzinfo is None else moment.astimezone(UTC)
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def _unix_ms(day: date | None) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp() * 1000) if day else 0


def _by_input_tokens(price: ModelPrice, start: int, end: int) -> Iterator[Price]:
    """One price per input size at which some class changes: all tokens of a call over it cost the new price.

    The catalogue's tier applies from more than `start` input tokens on, as above_input_tokens does.
    """
    classes: dict[str, Any] = {name: value for name, value in vars(price).items() if value is not None}
    if not classes.keys() & {"input_mtok", "output_mtok", "requests_kcount"}:
        return
    starts = {step.start for value in classes.values() for step in getattr(value, "tiers", ())}
    for above in sorted({0, *starts}):
        flat = {name: _at(value, above) for name, value in classes.items()}
        yield _price(flat, above, start, end)


def _at(value: Any, above: int) -> Decimal:
    """The amount that holds just above this many input tokens."""
    if isinstance(value, Decimal):
        return value
    amount: Decimal = value.base
    for step in value.tiers:
        if step.start <= above and above:
            amount = step.price
    return amount


def _price(flat: dict[str, Decimal], above: int, start: int, end: int) -> Price:
    zero = Decimal(0)
    plain_input = flat.get("input_mtok", zero)
    plain_output = flat.get("output_mtok", zero)
    cache_write = flat.get("cache_write_5m_mtok", flat.get("cache_write_mtok", plain_input))
    return Price(
        input=atto_per_token(plain_input),
        output=atto_per_token(plain_output),
        cache_read=atto_per_token(flat.get("cache_read_mtok", plain_input)),
        cache_write_5m=atto_per_token(cache_write),
        cache_write_1h=atto_per_token(
            flat.get("cache_write_1h_mtok", flat.get("cache_write_mtok", plain_input))
        ),
        audio_input=atto_per_token(flat.get("input_audio_mtok", plain_input)),
        audio_output=atto_per_token(flat.get("output_audio_mtok", plain_output)),
        request=atto_per_request(flat.get("requests_kcount", zero) / _PER_THOUSAND),
        above_input_tokens=above,
        day_from_seconds=start,
        day_to_seconds=end,
    )
