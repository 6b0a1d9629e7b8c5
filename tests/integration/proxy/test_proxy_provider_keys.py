"""Provider keys: rate limits put one key to rest and not its sisters; refused keys are passed over."""

from __future__ import annotations

import time

from tests.integration.proxy.gateway import Gateway, chat, outcome, reason
from tests.support.provider import presets


def keys_used(gateway: Gateway) -> list[str]:
    return [
        (attempt.header("authorization") or "").removeprefix("Bearer ")
        for attempt in gateway.provider.wait_done(0)
    ]


def test_several_keys_share_the_load(gateway: Gateway) -> None:
    for _ in range(10):
        assert gateway.post(chat("pair")).status == 200
    used = keys_used(gateway)
    assert used.count("pk-pair-a") == used.count("pk-pair-b") == 5


def test_a_rate_limited_key_rests_alone_and_its_sister_answers_at_once(gateway: Gateway) -> None:
    gateway.provider.script("pair-model", presets.rate_limited("2"), key="pk-pair-a")
    begun = time.monotonic()
    for _ in range(8):
        assert gateway.post(chat("pair")).status == 200
    assert time.monotonic() - begun < 1.5
    used = keys_used(gateway)
    assert used.count("pk-pair-a") == 1
    assert used.count("pk-pair-b") == 8
    time.sleep(2.1)
    gateway.provider.reset()
    for _ in range(4):
        assert gateway.post(chat("pair")).status == 200
    assert keys_used(gateway).count("pk-pair-a") == 2


def test_a_refused_key_is_passed_over_as_long_as_there_is_another(gateway: Gateway) -> None:
    gateway.provider.reject_keys("pk-bad")
    for _ in range(6):
        assert gateway.post(chat("pair-rejected")).status == 200
    assert keys_used(gateway).count("pk-bad") == 1


def test_the_row_names_the_key_that_was_used_by_name_never_by_value(gateway: Gateway) -> None:
    answer = gateway.post(chat("pair"))
    call = gateway.call(answer.request_id)
    assert "pk-pair" not in str(call)
    assert "pk-pair" not in gateway.get(f"/headgate/v1/receipts/{answer.request_id}").body.decode()


def test_a_short_retry_after_is_obeyed_when_there_is_nobody_else(gateway: Gateway) -> None:
    gateway.provider.script("limited-model", presets.rate_limited("1"))
    begun = time.monotonic()
    answer = gateway.post(chat("limited"))
    assert answer.status == 200
    assert time.monotonic() - begun >= 1.0
    first, second = gateway.attempts(2)
    assert second.received_at_seconds - first.received_at_seconds >= 1.0
    assert reason(gateway.call(answer.request_id).attempt_list[0]) == "rate_limited"


def test_a_rate_limit_without_retry_after_rests_the_key_for_a_second(gateway: Gateway) -> None:
    gateway.provider.script("limited-mute-model", presets.rate_limited(None))
    assert gateway.post(chat("limited-mute")).status == 200
    first, second = gateway.attempts(2)
    assert 0.9 <= second.received_at_seconds - first.received_at_seconds < 3


def test_a_long_retry_after_is_told_and_nobody_is_asked_until_then(gateway: Gateway) -> None:
    gateway.provider.always("limited-long-model", presets.rate_limited("120"))
    first = gateway.post(chat("limited-long"))
    assert first.status == 429
    error = first.error()
    assert error["code"] == "rate_limit_exceeded"
    assert error["message"] == "Rate limit reached."  # the provider's own words
    assert first.header("retry-after") == "120"
    assert first.header("x-should-retry") == "false"
    assert [tried["reason"] for tried in error["attempts"]] == ["rate_limited"]
    second = gateway.post(chat("limited-long"))
    assert second.status == 429
    error = second.error()
    assert error["code"] == "rate_limit_exceeded"
    assert [tried["reason"] for tried in error["attempts"]] == ["keys_cooling_down"]
    assert 110 <= int(second.header("retry-after") or 0) <= 120
    assert second.header("x-headgate-attempts") == "0"
    gateway.attempts(1)


def test_a_rate_limited_target_gives_way_to_the_next_and_is_passed_over_while_it_rests(
    gateway: Gateway,
) -> None:
    gateway.provider.script("limited-first-model", presets.rate_limited("30"))
    for _ in range(3):
        begun = time.monotonic()
        answer = gateway.post(chat("limited-then-beta"))
        assert (answer.status, answer.header("x-headgate-model")) == (200, "fake/beta-upstream")
        assert time.monotonic() - begun < 1.0
    assert [attempt.model for attempt in gateway.attempts(4)] == [
        "limited-first-model",
        *["beta-upstream"] * 3,
    ]


def test_the_list_of_attempts_is_in_their_order_and_the_last_decides_the_status(gateway: Gateway) -> None:
    gateway.provider.script("limited-order-model", presets.rate_limited("30"))
    gateway.provider.always("beta-upstream", presets.server_error(500))
    for expected in ("rate_limited", "keys_cooling_down"):
        answer = gateway.post(chat("limited-then-down"))
        assert answer.status == 502
        assert [(tried["model"], tried["reason"]) for tried in answer.error()["attempts"]] == [
            ("limited-order/limited-order-model", expected),
            ("fake/beta-upstream", "upstream_error"),
        ]


def test_a_provider_without_keys_is_called_without_a_credential(gateway: Gateway) -> None:
    answer = gateway.post(chat("keyless"))
    assert answer.status == 200
    assert gateway.attempts(1)[0].header("authorization") is None
    assert outcome(gateway.call(answer.request_id)) == "ok"
