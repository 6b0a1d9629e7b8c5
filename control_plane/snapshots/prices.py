"""What a model's calls are billed at and what fits into it: the manifest's word, else the catalogue's.

Resolved here once per snapshot, so that a proxy multiplies integers and knows no catalogue.
"""

from __future__ import annotations

from decimal import Decimal

from headgate.rules.catalogue import context_window, price_list
from headgate.rules.money import Price, atto_per_request, atto_per_token
from headgate.v1 import config_pb2, resources_pb2


def model_prices(
    model: resources_pb2.Model, provider: resources_pb2.Provider | None, revision: int
) -> config_pb2.PriceList:
    """An empty list: unpriced."""
    if model.HasField("price"):
        return _as_message((_override(model.price),), f"manifest@{revision}")
    if provider is None:
        return config_pb2.PriceList()
    prices, version = price_list(provider.kind, provider.base_url, model.upstream_model or model.name)
    return _as_message(prices, version)


def model_window(model: resources_pb2.Model, provider: resources_pb2.Provider | None) -> int:
    """Tokens that fit into the model: the manifest's word, else the catalogue's; 0: nobody knows."""
    if model.context_window or provider is None:
        return model.context_window
    return context_window(provider.kind, provider.base_url, model.upstream_model or model.name)


def _override(price: resources_pb2.ModelPrice) -> Price:
    """A class without its own price takes the price of `input` or `output`."""
    zero = Decimal(0)
    given = {field.name: Decimal(text) for field, text in price.ListFields()}
    plain_input = given.get("input", zero)
    plain_output = given.get("output", zero)
    write_5m = given.get("cache_write_5m", plain_input)
    return Price(
        input=atto_per_token(plain_input),
        output=atto_per_token(plain_output),
        cache_read=atto_per_token(given.get("cache_read", plain_input)),
        cache_write_5m=atto_per_token(write_5m),
        cache_write_1h=atto_per_token(given.get("cache_write_1h", plain_input)),
        audio_input=atto_per_token(given.get("audio_input", plain_input)),
        audio_output=atto_per_token(given.get("audio_output", plain_output)),
        request=atto_per_request(given.get("request", zero)),
    )


def _as_message(prices: tuple[Price, ...], version: str) -> config_pb2.PriceList:
    message = config_pb2.PriceList(version=version)
    for price in prices:
        message.prices.add(
            from_unix_ms=price.from_unix_ms,
            service_tier=price.service_tier,
            above_input_tokens=price.above_input_tokens,
            day_from_seconds=price.day_from_seconds,
            day_to_seconds=price.day_to_seconds,
            input=price.input,
            output=price.output,
            cache_read=price.cache_read,
            cache_write_5m=price.cache_write_5m,
            cache_write_1h=price.cache_write_1h,
            audio_input=price.audio_input,
            audio_output=price.audio_output,
            request=price.request,
        )
    return message
