"""Streams that fail: before the first real event the next target answers, after it the client is told."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.raw_client import Answer
from tests.support.fake_provider import Behaviour, Cut, Cuts, ErrorEvent
from tests.support.provider import presets

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
CLOSED = HEAD + b"connection: close\r\n\r\n"
ROLE = b'data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
WORD = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"word"}}]}\n\n'
FINISH = b'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def text_of(answer: Answer) -> str:
    return "".join(
        choice["delta"].get("content") or ""
        for event in answer.events()
        if event != "[DONE]"
        for choice in event.get("choices", ())
    )


def error_of(answer: Answer) -> dict[str, Any]:
    """The error that the stream ends with; nothing but it comes after."""
    last = answer.events()[-1]
    assert set(last) == {"error"}, answer.body[-300:]
    error: dict[str, Any] = last["error"]
    assert {"message", "type", "code", "param"} <= set(error)
    return error


# Nothing real has been said yet: the client must not notice. (behaviour, reason)
UNBEGUN: dict[str, tuple[Behaviour, str]] = {
    "reset before the head": (presets.cut_before_headers(), "connection_reset"),
    "silence": (presets.silence(), "first_token_timeout"),
    "a head and then silence": (presets.stall_after_events(0), "first_token_timeout"),
    "a role and then silence": (presets.stall_after_events(1), "first_token_timeout"),
    "a 503 that never ends": (
        presets.server_error(503, cut=Cut("body_bytes", 1, "stall")),
        "first_token_timeout",
    ),
    "heartbeats and nothing else": (
        Behaviour(heartbeats=30, first_event_delay_seconds=3),
        "first_token_timeout",
    ),
    "a role and then a cut": (presets.cut_after_events(1), "connection_reset"),
    "a role and half an event": (presets.cut_mid_event(1, "close"), "connection_reset"),
    "a role and then the end": (Behaviour(raw=CLOSED + ROLE), "stream_cut"),
    "nothing at all": (Behaviour(raw=CLOSED), "stream_cut"),
    "done and nothing else": (Behaviour(raw=CLOSED + DONE), "protocol_error"),
    "garbage": (presets.garbage(), "protocol_error"),
    "a malformed event": (Behaviour(malformed_event_at=0), "protocol_error"),
    "an event that is no object": (Behaviour(raw=CLOSED + b"data: 7\n\n" + WORD), "protocol_error"),
    "an error event": (presets.error_in_stream(after_events=0), "stream_error"),
    "an error event after the role": (presets.error_in_stream(after_events=1), "stream_error"),
    "an overloaded event": (presets.error_in_stream("groq", 1), "overloaded"),
    "a long prelude": (Behaviour(raw=CLOSED + (b": wait\n\n" * 200_000)), "protocol_error"),
    "a malformed chunk": (Behaviour(framing="malformed-chunked"), "protocol_error"),
    "a 503": (presets.server_error(503), "overloaded"),
    "an error inside a whole 200": (
        Behaviour(stream=False, body={"error": {"message": "x", "code": 500}}),
        "upstream_error",
    ),
}


@pytest.mark.parametrize("fault", UNBEGUN)
def test_a_stream_that_fails_before_it_begins_is_given_by_the_next_target(
    gateway: Gateway, fault: str
) -> None:
    behaviour, expected = UNBEGUN[fault]
    gateway.forget_connections()
    gateway.provider.script("alpha-upstream", behaviour)
    begun = time.monotonic()
    answer = gateway.post(chat("chain", stream=True))
    assert time.monotonic() - begun < 2.0
    assert answer.status == 200
    assert answer.header("x-headgate-model") == "fake/beta-upstream"
    assert text_of(answer).startswith("The answer of beta-upstream")
    assert b"alpha-upstream" not in answer.body
    assert answer.events()[-1] == "[DONE]"
    first, second = gateway.tried(answer.request_id)
    assert first["reason"] == expected
    assert second["outcome"] == "ok"
    gateway.attempts(2)


@pytest.mark.parametrize("fault", UNBEGUN)
def test_a_stream_that_fails_before_it_begins_is_a_real_status_when_nobody_else_can(
    gateway: Gateway, fault: str
) -> None:
    behaviour, expected = UNBEGUN[fault]
    gateway.forget_connections()
    gateway.provider.script("alpha-upstream", behaviour)
    answer = gateway.post(chat("hasty", stream=True))
    assert answer.status == (504 if expected.endswith("timeout") else 502)
    assert answer.error()["attempts"][0]["reason"] == expected
    gateway.attempts(1)


# The client has read some of it. (behaviour, reason, content events that it must have got)
BEGUN: dict[str, tuple[Behaviour, str, int]] = {
    "reset": (presets.cut_after_events(4), "connection_reset", 0),
    "close": (presets.cut_after_events(4, "close"), "connection_reset", 3),
    "half an event": (presets.cut_mid_event(4, "close"), "connection_reset", 3),
    "stall": (presets.stall_after_events(4), "idle_timeout", 3),
    "no terminal event": (presets.no_terminal_event(), "stream_cut", 16),
    "closed without one": (Behaviour(raw=CLOSED + ROLE + WORD * 3), "stream_cut", 3),
    "a malformed chunk": (Behaviour(raw=CHUNKED + chunk(ROLE + WORD * 3) + b"XYZ\r\n"), "protocol_error", 0),
    # Something real first, then an event that never ends.
    "an event over 16 MiB": (
        Behaviour(raw=CHUNKED + chunk(WORD) + chunk(b'data: {"x":"' + b"x" * 17 * 2**20)),
        "protocol_error",
        0,
    ),
    "an error event": (presets.error_in_stream(after_events=4), "stream_error", 3),
}


@pytest.mark.parametrize("fault", BEGUN)
def test_a_stream_that_fails_after_it_began_ends_in_an_error_event(gateway: Gateway, fault: str) -> None:
    behaviour, expected, events = BEGUN[fault]
    gateway.forget_connections()
    gateway.provider.script("alpha-upstream", behaviour)
    begun = time.monotonic()
    answer = gateway.post(chat("chain", stream=True))
    assert time.monotonic() - begun < 2.0
    assert answer.status == 200
    error = error_of(answer)
    if fault != "an error event":
        assert error["code"] == ("upstream_timeout" if expected == "idle_timeout" else "upstream_error")
        assert error["request_id"] == answer.request_id
    said = len(answer.events()) - 1
    assert said >= events
    assert "[DONE]" not in answer.events()
    [tried] = gateway.tried(answer.request_id)
    assert tried["reason"] == expected
    assert tried["outcome"] == ("timeout" if expected == "idle_timeout" else "error")
    assert tried["estimated"]
    assert tried["input_tokens"] > 0
    assert tried["output_tokens"] >= events
    gateway.attempts(1)  # nothing falls back after the first byte


def test_what_was_said_before_a_cut_is_counted_event_by_event_however_the_network_joins_them(
    gateway: Gateway,
) -> None:
    joined = CHUNKED + chunk(ROLE) + chunk(WORD)
    gateway.provider.script(
        "alpha-upstream",
        Behaviour(raw=joined + chunk(WORD * 50) + chunk(WORD * 50)),
    )
    answer = gateway.post(chat("hasty", stream=True))
    error_of(answer)
    assert gateway.tried(answer.request_id)[0]["output_tokens"] == 101


@pytest.mark.parametrize(
    ("name", "behaviour"),
    [
        ("finish and no done", Behaviour(done=False)),
        ("finish and then no end of chunks", Behaviour(raw=CHUNKED + chunk(ROLE + WORD + FINISH))),
        ("carriage returns", Behaviour(newline="\r\n")),
        ("heartbeats", Behaviour(heartbeats=5)),
        ("one byte at a time", Behaviour(cuts=Cuts((1,), repeat=True))),
        ("all in one", Behaviour(cuts=Cuts((1_000_000,)))),
        ("delimited by closing", Behaviour(framing="close")),
        ("with a length", Behaviour(framing="content-length")),
        ("no blank line at the end", Behaviour(raw=CLOSED + ROLE + WORD + FINISH + DONE.rstrip())),
        ("no space after the colon", Behaviour(raw=CLOSED + (WORD + FINISH + DONE).replace(b": ", b":", 1))),
        ("only a finish", Behaviour(raw=CLOSED + FINISH + DONE)),
        ("an unknown field", Behaviour(raw=CLOSED + b"id: 7\nretry: 10\n" + WORD + FINISH + DONE)),
    ],
)
@pytest.mark.parametrize("inline", [False, True], ids=["plain", "inline receipt"])
def test_every_lawful_form_of_a_stream_is_complete(
    gateway: Gateway, name: str, behaviour: Behaviour, inline: bool
) -> None:
    gateway.provider.script("alpha-upstream", behaviour)
    headers = {"x-headgate-receipt": "inline"} if inline else {}
    answer = gateway.post(chat("hasty", stream=True), headers=headers)
    assert answer.status == 200, (name, answer.body)
    documents = [event for event in answer.events() if event != "[DONE]"]
    assert any(c.get("finish_reason") == "stop" for event in documents for c in event["choices"]), name
    assert not any("error" in event for event in documents)
    assert sum("headgate" in event for event in documents) == int(inline)
    assert gateway.tried(answer.request_id)[0]["outcome"] == "ok"


def test_a_stream_is_passed_on_byte_for_byte(gateway: Gateway) -> None:
    body = (
        b": hello\n\n"
        + ROLE
        + b'event: x\ndata: {"id": "x" , "choices":[{"delta":{"content":"\xc3\xa4"}}]}\n\n'
    )
    body += WORD * 3 + b": beat\n\n" + FINISH + DONE
    gateway.provider.script("alpha-upstream", Behaviour(raw=CLOSED + body))
    assert gateway.post(chat("hasty", stream=True)).body == body


def test_a_provider_that_does_not_stream_is_answered_whole(gateway: Gateway) -> None:
    gateway.provider.script("alpha-upstream", Behaviour(stream=False))
    answer = gateway.post(chat("hasty", stream=True))
    assert answer.status == 200
    assert answer.header("content-type") == "application/json"
    assert answer.document()["choices"][0]["message"]["content"]
    assert gateway.call(answer.request_id).output_tokens == 16


def test_a_slow_but_steady_stream_outlives_the_idle_and_first_token_timeouts(gateway: Gateway) -> None:
    gateway.provider.script("alpha-upstream", Behaviour(tokens_per_second=12))
    begun = time.monotonic()
    answer = gateway.post(chat("hasty", stream=True))
    assert time.monotonic() - begun > 1.0
    assert answer.events()[-1] == "[DONE]"
    assert gateway.receipt(answer.request_id)["outcome"] == "ok"


def test_an_error_that_a_stream_begins_with_falls_back_in_every_providers_form(gateway: Gateway) -> None:
    for form in ("openai", "groq", "openrouter", "openrouter_top"):
        event = ErrorEvent(form, after_events=1)
        gateway.provider.script("alpha-upstream", Behaviour(error_event=event))
        answer = gateway.post(chat("chain", stream=True))
        assert text_of(answer).startswith("The answer of beta-upstream"), form
    gateway.attempts(8)
