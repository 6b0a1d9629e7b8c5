"""Providers that fail a whole answer: what is retried, what falls back, what the client is told."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway, chat, outcome, reason
from tests.support.fake_provider import Behaviour, Cut, Cuts
from tests.support.provider import presets

JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
ANSWER = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"raw"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}'
)


def raw_answer(extra: bytes = b"", body: bytes = ANSWER, before: bytes = b"") -> Behaviour:
    return Behaviour(raw=before + JSON_HEAD + extra + b"content-length: %d\r\n\r\n" % len(body) + body)


# What one attempt makes of it: (behaviour, reason of the record, status of the record).
BROKEN: dict[str, tuple[Behaviour, str, int]] = {
    "reset before the head": (presets.cut_before_headers(), "connection_reset", 0),
    "close before the head": (presets.cut_before_headers("close"), "connection_reset", 0),
    "cut inside the head": (Behaviour(cut=Cut("wire_bytes", 20, "close")), "connection_reset", 0),
    "cut inside the body": (presets.cut_after_bytes(30), "connection_reset", 200),
    "less than was promised": (Behaviour(content_length_extra=10), "connection_reset", 200),
    "garbage": (presets.garbage(), "protocol_error", 0),
    "another protocol": (presets.garbage(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol_error", 0),
    "a switch of protocols": (
        Behaviour(raw=b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxx"),
        "protocol_error",
        0,
    ),
    "two lengths": (raw_answer(b"content-length: 3\r\n"), "protocol_error", 0),
    "length and chunked": (raw_answer(b"transfer-encoding: chunked\r\n"), "protocol_error", 0),
    "a malformed chunk": (Behaviour(framing="malformed-chunked"), "protocol_error", 200),
    "no end of chunks": (Behaviour(framing="chunked", cut=Cut("end", how="close")), "connection_reset", 200),
    "not JSON": (Behaviour(body="<html>oops</html>"), "protocol_error", 200),
    "half a JSON": (Behaviour(body='{"id":"x","choices":['), "protocol_error", 200),
    "a JSON array": (Behaviour(body="[]"), "protocol_error", 200),
    "nothing": (Behaviour(body=""), "protocol_error", 200),
    "no content": (Behaviour(raw=b"HTTP/1.1 204 No Content\r\n\r\n"), "protocol_error", 204),
    "compressed unasked": (Behaviour(gzip=True), "protocol_error", 200),
    "a redirect": (
        Behaviour(status=302, headers={"location": "http://169.254.169.254/"}, body="{}"),
        "protocol_error",
        302,
    ),
    "a stream unasked": (Behaviour(stream=True), "protocol_error", 200),
    "an endless head": (Behaviour(raw=JSON_HEAD + b"x: y\r\n" * 200_000), "protocol_error", 0),
    "endless trailers": (
        Behaviour(
            raw=JSON_HEAD
            + b"transfer-encoding: chunked\r\n\r\n"
            + b"%x\r\n%b\r\n0\r\n" % (len(ANSWER), ANSWER)
            + b"x: y\r\n" * 200_000
        ),
        "protocol_error",
        200,
    ),
    "an error inside a 200": (
        Behaviour(body={"error": {"message": "overloaded", "code": 503}}),
        "overloaded",
        200,
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_answer_is_a_502_that_lists_the_attempt(gateway: Gateway, fault: str) -> None:
    behaviour, expected, status = BROKEN[fault]
    gateway.forget_connections()
    gateway.provider.script("alpha-upstream", behaviour)
    answer = gateway.post(chat("steady"))
    assert answer.status == 502
    error = answer.error()
    assert error["code"] == "upstream_error"
    assert [(tried["model"], tried["reason"]) for tried in error["attempts"]] == [
        ("fake/alpha-upstream", expected)
    ]
    assert answer.header("x-should-retry") == "false"
    assert answer.header("x-headgate-attempts") == "1"
    assert answer.header("x-headgate-cost-usd") == "0"
    [tried] = gateway.tried(answer.request_id)
    assert (tried["outcome"], tried["reason"], tried["status"]) == ("error", expected, status or None)
    assert (tried["input_tokens"], tried["output_tokens"], tried["cost_usd"]) == (0, 0, "0")
    assert not tried["estimated"]
    gateway.attempts(1)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_answer_is_made_good_by_the_next_target(gateway: Gateway, fault: str) -> None:
    gateway.forget_connections()
    gateway.provider.script("alpha-upstream", BROKEN[fault][0])
    answer = gateway.post(chat("chain"))
    assert answer.status == 200
    assert answer.document()["model"] == "beta-upstream"
    assert answer.header("x-headgate-model") == "fake/beta-upstream"
    assert answer.header("x-headgate-attempts") == "2"
    gateway.attempts(2)


@pytest.mark.parametrize(
    ("name", "behaviour"),
    [
        ("chunked", Behaviour(framing="chunked")),
        ("delimited by closing", Behaviour(framing="close")),
        ("announced close", Behaviour(close_after="announced")),
        ("continue first", raw_answer(before=b"HTTP/1.1 100 Continue\r\n\r\n" * 3)),
        ("early hints first", raw_answer(before=b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")),
        ("HTTP/1.0", Behaviour(raw=raw_answer().raw.replace(b"/1.1", b"/1.0", 1))),  # type: ignore[union-attr]
        ("whitespace before", Behaviour(leading_whitespace=b"\n   \n" * 50)),
        ("bytes after the answer", raw_answer(body=ANSWER + b"\n")),
    ],
)
def test_every_lawful_form_of_an_answer_is_understood(
    gateway: Gateway, name: str, behaviour: Behaviour
) -> None:
    gateway.provider.script("alpha-upstream", behaviour)
    for _ in range(2):
        answer = gateway.post(chat("steady"))
        assert answer.status == 200, name
        assert answer.document()["choices"][0]["finish_reason"] == "stop"
    gateway.attempts(2)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 529])
def test_a_server_error_is_tried_again_once(gateway: Gateway, status: int) -> None:
    gateway.provider.script("alpha-upstream", presets.server_error(status))
    answer = gateway.post(chat())
    assert answer.status == 200
    assert answer.header("x-headgate-attempts") == "2"
    first, second = gateway.tried(answer.request_id)
    assert (first["outcome"], first["status"]) == ("error", status)
    assert (second["outcome"], second["status"]) == ("ok", 200)
    gateway.attempts(2)


def test_a_server_error_is_not_tried_more_often_than_the_route_says(gateway: Gateway) -> None:
    gateway.provider.always("alpha-upstream", presets.server_error(500))
    assert gateway.post(chat("steady")).status == 502
    gateway.attempts(1)
    gateway.provider.reset()
    gateway.provider.always("alpha-upstream", presets.server_error(500))
    answer = gateway.post(chat())
    assert answer.status == 502
    assert [tried["status"] for tried in answer.error()["attempts"]] == [500, 500]
    gateway.attempts(2)


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_the_clients_own_mistake_is_neither_retried_nor_sent_elsewhere(gateway: Gateway, status: int) -> None:
    gateway.provider.always("alpha-upstream", Behaviour(status=status))
    answer = gateway.post(chat("chain"))
    assert answer.status == status
    assert answer.error()["attempts"][0]["status"] == status
    assert answer.header("x-should-retry") == "false"
    gateway.attempts(1)


def test_a_model_that_a_provider_does_not_have_is_asked_of_the_next(gateway: Gateway) -> None:
    gateway.provider.always("alpha-upstream", Behaviour(status=404))
    answer = gateway.post(chat("chain"))
    assert (answer.status, answer.header("x-headgate-model")) == (200, "fake/beta-upstream")
    gateway.attempts(2)
    gateway.provider.reset()
    gateway.provider.always("alpha-upstream", Behaviour(status=404))
    alone = gateway.post(chat("chat"))
    assert alone.status == 404
    assert alone.error()["code"] == "model_not_found"
    gateway.attempts(1)


def test_nobody_listening_is_a_502_and_the_next_target_is_asked(gateway: Gateway) -> None:
    alone = gateway.post(chat("only-dead"))
    assert alone.status == 502
    assert alone.error()["attempts"][0]["reason"] == "connect_failed"
    assert alone.error()["message"] == "dead/dead: no connection: Connection refused", "and not of where"
    assert outcome(gateway.call(alone.request_id).attempt_list[0]) == "error"
    answer = gateway.post(chat("dead-first"))
    assert (answer.status, answer.header("x-headgate-attempts")) == (200, "2")
    gateway.attempts(1)


def test_silence_is_a_504_in_time(gateway: Gateway) -> None:
    gateway.provider.always("alpha-upstream", presets.silence())
    begun = time.monotonic()
    answer = gateway.post(chat("brief"))
    assert 0.6 < time.monotonic() - begun < 1.7
    assert answer.status == 504
    assert answer.error()["code"] == "upstream_timeout"
    [row] = gateway.call(answer.request_id).attempt_list
    assert (outcome(row), reason(row)) == ("timeout", "total_timeout")
    assert row.estimated
    assert row.input_tokens > 0
    [attempt] = gateway.attempts(1)
    assert attempt.client_left_how is not None


def test_when_the_time_of_the_call_is_up_no_other_target_is_asked(gateway: Gateway) -> None:
    gateway.provider.always("alpha-upstream", presets.silence())
    # A warm connection: without the check the second target would be called at no cost in time.
    assert gateway.post(chat("beta")).status == 200
    answer = gateway.post(chat("brief-chain"))
    assert answer.status == 504
    assert [tried["reason"] for tried in answer.error()["attempts"]] == ["total_timeout"]
    assert [attempt.model for attempt in gateway.attempts(2)] == ["beta-upstream", "alpha-upstream"]


def test_an_answer_that_trickles_in_is_cut_off_by_the_total_timeout(gateway: Gateway) -> None:
    gateway.provider.script("alpha-upstream", Behaviour(cuts=Cuts((1,), repeat=True, pause_seconds=0.05)))
    begun = time.monotonic()
    assert gateway.post(chat("brief")).status == 504
    assert time.monotonic() - begun < 1.7
    gateway.attempts(1)


def test_a_connection_that_died_while_idle_costs_neither_an_attempt_nor_an_error(gateway: Gateway) -> None:
    for close_after in ("silent", "on_next_request"):
        gateway.forget_connections()
        gateway.provider.reset()
        stale_before = gateway.provider.counts()["stale_closes"]
        gateway.provider.script("alpha-upstream", Behaviour(close_after=close_after))
        for _ in range(2):
            answer = gateway.post(chat("steady"))
            assert answer.status == 200
            assert answer.header("x-headgate-attempts") == "1"
        first, second = gateway.attempts(2)
        assert first.connection != second.connection
        if close_after == "on_next_request":
            assert gateway.provider.counts()["stale_closes"] == stale_before + 1


def test_a_reset_of_a_reused_connection_goes_out_again_under_the_same_id(gateway: Gateway) -> None:
    """Nobody can tell it from a connection that died while idle: no byte of an answer had come."""
    assert gateway.post(chat("steady")).status == 200
    gateway.provider.script("alpha-upstream", presets.cut_before_headers())
    answer = gateway.post(chat("steady"))
    assert answer.status == 200
    assert answer.header("x-headgate-attempts") == "1"
    _, reset, again = gateway.attempts(3)
    assert reset.client_request_id == again.client_request_id
    assert reset.connection != again.connection


def test_connections_are_used_again_also_after_errors(gateway: Gateway) -> None:
    gateway.forget_connections()
    gateway.provider.script("alpha-upstream", Behaviour(), Behaviour(status=400), Behaviour(status=404))
    for stream in (False, False, False, True, False):
        gateway.post(chat("steady", stream=stream))
    assert len({attempt.connection for attempt in gateway.attempts(5)}) == 1


def test_a_large_answer_passes_and_a_huge_one_is_a_502(gateway: Gateway) -> None:
    gateway.provider.script(
        "alpha-upstream", Behaviour(pad_bytes=8 * 2**20), raw_answer(body=b"x" * (129 * 2**20))
    )
    large = gateway.post(chat("steady"))
    assert large.status == 200
    assert len(large.body) > 8 * 2**20
    assert gateway.call(large.request_id).output_tokens == 16
    huge = gateway.post(chat("steady"))
    assert huge.status == 502
    assert huge.error()["attempts"][0]["reason"] == "response_too_large"
    gateway.attempts(2)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_provider_key_is_a_502_of_its_own_and_never_the_clients_401(
    gateway: Gateway, status: int
) -> None:
    gateway.provider.always("rejected-model", presets.key_rejected(status))
    answer = gateway.post(chat("only-rejected"))
    assert answer.status == 502
    error = answer.error()
    assert error["code"] == "provider_key_rejected"
    assert answer.header("x-headgate-error") == "provider_key_rejected"
    assert "rejected" in error["message"]
    assert "pk-rejected" not in answer.body.decode()
    assert error["attempts"] == [
        {"model": "rejected/rejected-model", "reason": "key_rejected", "status": status}
    ]
    gateway.attempts(1)


def test_a_refused_provider_key_sends_the_call_to_the_next_target(gateway: Gateway) -> None:
    gateway.provider.always("rejected-first-model", presets.key_rejected())
    answer = gateway.post(chat("rejected-then-beta"))
    assert (answer.status, answer.header("x-headgate-model")) == (200, "fake/beta-upstream")
    gateway.attempts(2)


def test_a_400_that_is_about_our_key_is_not_shown_as_the_clients(gateway: Gateway) -> None:
    body = {"error": {"message": "API key not valid. Please pass a valid API key.", "code": 400}}
    gateway.provider.always("unpaid-model", Behaviour(status=400, body=body))
    answer = gateway.post(chat("unpaid"))
    assert answer.status == 502
    assert answer.error()["code"] == "provider_key_rejected"


ERRORS: list[tuple[Any, str]] = [
    ({"error": {"message": "openai form", "type": "t", "code": None}}, "openai form"),
    ({"error": "xai form", "code": "invalid"}, "xai form"),
    ({"detail": "fastapi form"}, "fastapi form"),
    ({"detail": [{"loc": ["body"], "msg": "pydantic form"}]}, "pydantic form"),
    ({"object": "error", "message": "mistral form", "code": "1"}, "mistral form"),
    ({"error": {"message": "x" * 100_000}}, "x" * 2000),
    ({"error": {"message": None}}, "error"),
    ({"error": {"message": {"nested": 1}, "type": 7, "code": ["a"]}}, "error"),
    ([1, 2], "error"),
    ("not JSON at all", "not JSON"),
    ("", "not JSON"),
]


@pytest.mark.parametrize(("body", "said"), ERRORS, ids=lambda value: repr(value)[:30])
def test_a_providers_error_in_any_form_is_told_in_openais(gateway: Gateway, body: Any, said: str) -> None:
    gateway.provider.script("alpha-upstream", Behaviour(status=422, body=body))
    answer = gateway.post(chat("steady"))
    assert answer.status == 422
    document = answer.document()
    assert set(document) == {"error"}
    assert said in document["error"]["message"]
    assert len(answer.body) < 10_000


def test_a_providers_answer_cannot_put_headers_or_its_key_into_ours(gateway: Gateway) -> None:
    evil = {
        "set-cookie": "a=b",
        "x-headgate-cost-usd": "0",
        "x-request-id": "req_evil",
        "location": "http://evil",
        "server": "evil",
        "connection": "x-secret",
    }
    for stream in (False, True):
        gateway.provider.script("alpha-upstream", Behaviour(headers=evil))
        answer = gateway.post(chat("steady", stream=stream))
        names = {name for name, _ in answer.headers}
        assert not names & {"set-cookie", "location", "server", "connection"}
        assert answer.request_id != "req_evil"
        assert gateway.call(answer.request_id).attempt_list[0].upstream_request_id == "req_evil"
    gateway.provider.script(
        "alpha-upstream",
        Behaviour(status=422, body={"error": {"message": "a", "code": "x\r\nset-cookie: evil=1"}}),
    )
    answer = gateway.post(chat("steady"))
    assert answer.status == 422
    assert answer.header("set-cookie") is None


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": 10},
        {"prompt_tokens": 10**15, "completion_tokens": 10},
        {"prompt_tokens": "many", "completion_tokens": None},
        {"prompt_tokens": 5, "completion_tokens": True},
        {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 50}},
        {"prompt_tokens": 1.5},
        {"prompt_tokens": 5, "prompt_tokens_details": [], "completion_tokens_details": "x"},
        {},
    ],
    ids=repr,
)
def test_impossible_counts_are_mended_and_never_break_the_call(gateway: Gateway, usage: Any) -> None:
    body = {"id": "x", "choices": [], "usage": usage, "service_tier": "t\0" + "x" * 100_000}
    gateway.provider.script("alpha-upstream", Behaviour(body=body))
    answer = gateway.post(chat("steady"))
    assert answer.status == 200
    [tried] = gateway.tried(answer.request_id)
    assert 0 <= tried["input_tokens"] <= 10**9
    assert tried["cache_read_tokens"] <= tried["input_tokens"]
    assert not tried["cost_usd"].startswith("-")
