"""What a route's policy decides, and what headers, receipts and rows say of it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway, chat, outcome, reason, same_id
from tests.integration.proxy.gateway_manifest import BETA, GAMMA, NARROW, OTHER_TENANT
from tests.integration.proxy.raw_client import request_bytes
from tests.support.fake_provider import Behaviour, Usage
from tests.support.provider import presets

CALLS = 200


def test_a_fallback_goes_in_order_until_one_answers(gateway: Gateway) -> None:
    gateway.provider.always("alpha-upstream", presets.server_error(500))
    gateway.provider.always("beta-upstream", presets.server_error(503))
    answer = gateway.post(chat("chain"))
    assert (answer.status, answer.header("x-headgate-attempts")) == (200, "3")
    assert answer.header("x-headgate-route") == "chain"
    assert [attempt.model for attempt in gateway.attempts(3)] == [
        "alpha-upstream",
        "beta-upstream",
        "gamma-upstream",
    ]


def test_when_all_fail_the_last_decides_and_all_are_listed(gateway: Gateway) -> None:
    gateway.provider.always("alpha-upstream", presets.server_error(500))
    gateway.provider.always("beta-upstream", Behaviour(status=404))
    gateway.provider.always("gamma-upstream", presets.cut_before_headers())
    gateway.forget_connections()
    answer = gateway.post(chat("chain"))
    assert answer.status == 502
    assert [(tried["model"], tried["reason"], tried["status"]) for tried in answer.error()["attempts"]] == [
        ("fake/alpha-upstream", "upstream_error", 500),
        ("fake/beta-upstream", "model_not_found", 404),
        ("fake/gamma-upstream", "connection_reset", None),
    ]
    receipt = gateway.receipt(answer.request_id)
    assert [attempt["outcome"] for attempt in receipt["attempts"]] == ["error"] * 3
    assert receipt["status"] == 502
    assert receipt["cost_usd"] == "0"


def asked_of(gateway: Gateway, route: str, count: int = CALLS) -> dict[str, int]:
    """How often each model was called, over one connection."""
    body = json.dumps(chat(route, messages=[])).encode()
    models: dict[str, int] = {}
    with gateway.connect() as client:
        for _ in range(count):
            client.send(request_bytes(body, gateway.key))
            answer = client.answer()
            assert answer.status == 200
            model = answer.header("x-headgate-model") or ""
            models[model] = models.get(model, 0) + 1
    return models


def test_weights_are_kept_within_three_sigma(gateway: Gateway) -> None:
    sigma = (CALLS * 0.75 * 0.25) ** 0.5
    # One fair sample of 370 lies outside: it may be drawn again, once.
    for _ in range(2):
        models = asked_of(gateway, "weighted")
        assert set(models) == {"fake/alpha-upstream", "fake/beta-upstream"}  # weight 0 is never chosen
        if abs(models["fake/alpha-upstream"] - CALLS * 0.75) < 3 * sigma:
            return
    pytest.fail(f"{models} of {CALLS}, twice outside three sigma")


def test_a_weighted_choice_inside_a_fallback_falls_back_as_one(gateway: Gateway) -> None:
    gateway.provider.always("alpha-upstream", presets.server_error(500))
    gateway.provider.always("beta-upstream", presets.server_error(500))
    for _ in range(10):
        answer = gateway.post(chat("nested"))
        assert answer.header("x-headgate-model") == "fake/gamma-upstream"
        assert answer.header("x-headgate-attempts") == "2"
    models = {attempt.model for attempt in gateway.attempts(20)}
    assert models == {"alpha-upstream", "beta-upstream", "gamma-upstream"}


def test_a_fallback_costs_what_its_attempts_cost_each_at_its_own_price(gateway: Gateway) -> None:
    gateway.provider.script("alpha-upstream", presets.silence())
    used = Usage(prompt_tokens=1_000, completion_tokens=100, cached_tokens=400)
    gateway.provider.script("beta-upstream", Behaviour(usage=used))
    answer = gateway.post(chat("chain", stream=True))
    assert answer.status == 200
    first, second = gateway.call(answer.request_id).attempt_list
    # The silent one took the request: it may have been worked on, so it is estimated, at alpha's price.
    assert first.estimated
    assert Decimal(first.cost_usd) == first.input_tokens * Decimal("0.15") / 10**6
    assert Decimal(second.cost_usd) == Decimal(BETA.picousd(used)) / 10**12
    total = Decimal(gateway.call(answer.request_id).cost_usd)
    assert total == Decimal(first.cost_usd) + Decimal(second.cost_usd)
    assert Decimal(gateway.receipt(answer.request_id)["cost_usd"]) == total


def test_prices_below_a_pico_dollar_a_token_are_rounded_once_half_to_even(gateway: Gateway) -> None:
    # 1.3, 0.1 and 0.7 pico-dollars a token: 3 × 1.3 + 2 × 0.1 + 2 × 0.7 = 5.5, to the even 6.
    used = Usage(prompt_tokens=5, completion_tokens=2, cached_tokens=2)
    gateway.provider.script("gamma-upstream", Behaviour(usage=used))
    answer = gateway.post(chat("gamma"))
    assert GAMMA.picousd(used) == 6
    assert answer.header("x-headgate-cost-usd") == "0.000000000006"


def test_an_unpriced_model_is_unpriced_and_never_free(gateway: Gateway) -> None:
    answer = gateway.post(chat("unpriced"))
    assert answer.header("x-headgate-cost-usd") == "unpriced"
    call = gateway.call(answer.request_id)
    assert not call.HasField("cost_usd")
    assert not call.attempt_list[0].HasField("cost_usd")


def check_receipt(receipt: dict[str, Any], gateway: Gateway) -> None:
    [attempt] = gateway.attempts(1)
    assert receipt["route"] == "chat"
    assert receipt["model"] == "fake/alpha-upstream"
    assert (receipt["tenant"], receipt["key"]) == ("default", "quickstart")
    assert (receipt["status"], receipt["outcome"], receipt["cache"]) == (200, "ok", "off")
    assert (receipt["input_tokens"], receipt["output_tokens"]) == (9, 16)
    assert receipt["cost_usd"] == "0.00001095"
    [one] = receipt["attempts"]
    assert same_id(one["id"], attempt.client_request_id)
    assert one["upstream_request_id"] == f"req_fake_{attempt.number}"
    assert (one["outcome"], one["status"], one["reason"]) == ("ok", 200, None)
    assert not one["estimated"]
    assert one["latency_ms"] >= 0


def test_the_receipt_of_a_whole_answer_stands_in_its_body(gateway: Gateway) -> None:
    answer = gateway.post(chat(), headers={"x-headgate-receipt": "inline"})
    document = answer.document()
    receipt = document.pop("headgate")
    assert document["choices"][0]["message"]["content"]
    assert receipt["request_id"] == answer.request_id
    check_receipt(receipt, gateway)
    assert gateway.receipt(answer.request_id) == receipt


@pytest.mark.parametrize("asked", [True, False], ids=["usage asked", "usage not asked"])
def test_the_receipt_of_a_stream_stands_in_its_last_event(gateway: Gateway, asked: bool) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if asked else {}
    answer = gateway.post(chat(stream=True, **options), headers={"x-headgate-receipt": "inline"})
    *events, done = answer.events()
    assert done == "[DONE]"
    with_receipt = [event for event in events if "headgate" in event]
    assert with_receipt == [events[-1]]
    if asked:
        assert events[-1]["usage"]["prompt_tokens"] == 9
    else:
        assert events[-1]["choices"][0]["finish_reason"] == "stop"
        assert not any(event.get("usage") for event in events)
    receipt = events[-1]["headgate"]
    assert receipt["request_id"] == answer.request_id
    check_receipt(receipt, gateway)
    assert gateway.receipt(answer.request_id) == receipt


def test_the_receipt_of_a_stream_is_there_when_its_last_byte_is(gateway: Gateway) -> None:
    for _ in range(20):
        answer = gateway.post(chat(stream=True, messages=[]))
        assert gateway.receipt(answer.request_id)["outcome"] == "ok"


def test_a_receipt_is_for_the_key_that_called(gateway: Gateway) -> None:
    path = f"/headgate/v1/receipts/{gateway.post(chat()).request_id}"
    assert gateway.get(path).status == 200
    for other in (NARROW, OTHER_TENANT):
        answer = gateway.get(path, key=other)
        assert answer.status == 404
        assert answer.error()["code"] == "not_found"


def test_a_receipt_lists_every_attempt_with_its_reason(gateway: Gateway) -> None:
    gateway.provider.script("alpha-upstream", presets.server_error(503))
    answer = gateway.post(chat(), headers={"x-headgate-receipt": "inline"})
    first, second = answer.document()["headgate"]["attempts"]
    assert (first["outcome"], first["status"], first["reason"]) == ("error", 503, "overloaded")
    assert (second["outcome"], second["status"], second["reason"]) == ("ok", 200, None)
    assert second["started_ms"] >= first["started_ms"] + 40  # the pause between two tries
    rows = gateway.call(answer.request_id).attempt_list
    assert (outcome(rows[0]), reason(rows[0])) == ("error", "overloaded")
    for row, said in zip(rows, (first, second), strict=True):
        assert same_id(row.id, said["id"])
        assert (row.input_tokens, row.output_tokens, row.cost_usd) == (
            said["input_tokens"],
            said["output_tokens"],
            said["cost_usd"],
        )


def test_usage_by_route_counts_calls_and_attempts_apart(gateway: Gateway) -> None:
    def of_nested() -> dict[str, Any]:
        rows = gateway.headgate.usage("--by", "route")
        return next(
            (row for row in rows if row["route"] == "nested"), {"calls": 0, "attempts": 0, "errors": 0}
        )

    before = of_nested()
    gateway.provider.script("alpha-upstream", presets.server_error(500))
    gateway.provider.script("beta-upstream", presets.server_error(500))
    gateway.call(gateway.post(chat("nested")).request_id)
    after = of_nested()
    assert after["calls"] - before["calls"] == 1
    assert after["attempts"] - before["attempts"] == 2
