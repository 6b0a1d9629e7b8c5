"""Every scripted fault arrives at the socket as the script says, and the ledger does not call it complete."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.fake_provider import Behaviour, Cut, Cuts, ErrorEvent, FakeProvider, Usage
from tests.support.provider import presets
from tests.support.provider.behaviour import from_json, to_json


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: FakeProvider) -> FakeProvider:
    shared_provider.reset()
    return shared_provider


def said(provider: FakeProvider, behaviour: Behaviour, *, stream: bool = True, ask: bool = False) -> bytes:
    """All bytes of one answer; `!RESET` at the end where the connection was reset."""
    provider.script("m", behaviour)
    document = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    if ask:
        document["stream_options"] = {"include_usage": True}
    body = json.dumps(document).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    data = b""
    with closing(socket.create_connection(("127.0.0.1", provider.port), timeout=5.0)) as connection:
        connection.sendall(head.encode() + body)
        try:
            while piece := connection.recv(1 << 16):
                data += piece
        except ConnectionResetError:
            data += b"!RESET"
    return data


def events(data: bytes) -> list[bytes]:
    return re.findall(rb"data: (.*?)(?:\r?\n){2}", data)


def test_a_cut_before_headers_sends_nothing(provider: FakeProvider) -> None:
    assert said(provider, presets.cut_before_headers()) == b"!RESET"
    assert said(provider, presets.cut_before_headers("close")) == b""
    assert [attempt.complete for attempt in provider.wait_done(2)] == [False, False]


def test_a_cut_after_events_sends_exactly_those(provider: FakeProvider) -> None:
    data = said(provider, presets.cut_after_events(3))
    assert len(events(data)) == 3
    assert data.endswith(b"!RESET")
    (attempt,) = provider.wait_done(1)
    assert (attempt.events_sent, attempt.complete, attempt.served.completion_tokens) == (3, False, 2)


def test_a_cut_mid_event_leaves_half_of_one(provider: FakeProvider) -> None:
    data = said(provider, presets.cut_mid_event(2, "close"))
    assert len(events(data)) == 2
    assert data.count(b"data: ") == 3
    assert not data.endswith(b"0\r\n\r\n")


def test_a_cut_after_bytes_is_exact(provider: FakeProvider) -> None:
    data = said(provider, presets.cut_after_bytes(10, "close"), stream=False)
    assert len(data.partition(b"\r\n\r\n")[2]) == 10
    assert said(provider, Behaviour(cut=Cut("wire_bytes", 12, "close"))) == b"HTTP/1.1 200"


def test_a_stall_goes_on_where_it_stopped(provider: FakeProvider) -> None:
    started = time.monotonic()
    data = said(provider, Behaviour(cut=Cut("mid_event", 2, "stall", 0.1)))
    assert time.monotonic() - started >= 0.1
    joined = re.sub(rb"\r\n[0-9a-f]+\r\n", b"", data)
    assert events(joined)[-1] == b"[DONE]"
    assert all(json.loads(event) for event in events(joined)[:-1])
    assert provider.wait_done(1)[0].complete


def test_garbage_is_sent_as_it_is(provider: FakeProvider) -> None:
    assert said(provider, presets.garbage(b"\x00\x01nonsense")) == b"\x00\x01nonsense"


def test_framing_is_what_was_asked_for(provider: FakeProvider) -> None:
    by_close = said(provider, Behaviour(framing="close"))
    assert b"transfer-encoding" not in by_close
    assert b"content-length" not in by_close
    by_length = said(provider, Behaviour(framing="content-length", heartbeats=1))
    head, _, body = by_length.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert b"\r\nXYZ\r\n" in said(provider, Behaviour(framing="malformed-chunked"))
    assert [attempt.complete for attempt in provider.wait_done(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("place", "ask", "carriers"),
    [
        ("own_chunk", False, []),
        ("own_chunk", True, ["usage, no choices"]),
        ("own_chunk_unasked", False, ["usage, no choices"]),
        ("finish_chunk", False, ["usage, choices"]),
        ("chunk_with_choices", False, ["usage, choices"]),
        ("x_groq", False, ["x_groq"]),
        ("x_groq", True, ["x_groq", "usage, no choices"]),
        ("none", True, []),
    ],
)
def test_usage_comes_in_each_providers_place(
    provider: FakeProvider, place: str, ask: bool, carriers: list[str]
) -> None:
    behaviour = from_json({"usage_place": place})
    found = []
    for event in events(said(provider, behaviour, ask=ask))[:-1]:
        document = json.loads(event)
        if "usage" in document.get("x_groq", {}):
            found.append("x_groq")
        if document.get("usage"):
            found.append("usage, choices" if document["choices"] else "usage, no choices")
    assert found == carriers


def test_reasoning_apart_keeps_the_total(provider: FakeProvider) -> None:
    usage = Usage(prompt_tokens=5, completion_tokens=12, reasoning_tokens=10)
    data = said(provider, presets.xai(usage=usage), stream=False)
    reported = json.loads(data.partition(b"\r\n\r\n")[2])["usage"]
    assert (reported["completion_tokens"], reported["total_tokens"]) == (2, 17)


@pytest.mark.parametrize(
    ("form", "sign"),
    [
        ("openai", b'data: {"error":'),
        ("groq", b"event: error\ndata: "),
        ("openrouter", b'"finish_reason":"error","error":'),
    ],
)
def test_an_error_event_takes_the_place_of_the_rest(provider: FakeProvider, form: str, sign: bytes) -> None:
    data = said(provider, from_json({"error_event": {"form": form, "after_events": 2}}))
    assert sign in data
    assert b'"finish_reason":"stop"' not in data
    assert data.startswith(b"HTTP/1.1 200")


def test_stream_manners_are_as_scripted(provider: FakeProvider) -> None:
    data = said(provider, Behaviour(newline="\r\n", heartbeats=2, done=False))
    assert data.count(b": OPENROUTER PROCESSING\r\n\r\n") == 2
    assert b"[DONE]" not in data
    bare = said(provider, presets.no_terminal_event())
    assert b'"finish_reason":"stop"' not in bare
    assert bare.endswith(b"0\r\n\r\n")
    broken = events(said(provider, Behaviour(malformed_event_at=1)))[1]
    with pytest.raises(ValueError, match=r"codec|delimiter|Unterminated"):
        json.loads(broken)


def test_a_byte_at_a_time_is_still_the_same_answer(provider: FakeProvider) -> None:
    straight = said(provider, Behaviour(), stream=False)
    sliced = said(provider, Behaviour(cuts=Cuts((1,), repeat=True, wire=True)), stream=False)
    number = re.compile(rb"fake_?\d+")
    assert number.sub(b"", sliced) == number.sub(b"", straight)


def test_a_stale_connection_is_reset_on_its_next_request(provider: FakeProvider) -> None:
    provider.script("m", Behaviour(close_after="on_next_request"))
    request = b'POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 13\r\n\r\n{"model":"m"}'
    with closing(socket.create_connection(("127.0.0.1", provider.port), timeout=5.0)) as connection:
        connection.sendall(request)
        data = b""
        while not data.endswith(b"}}}"):
            data += connection.recv(1 << 16)
        connection.sendall(request)
        with pytest.raises(ConnectionResetError):
            connection.recv(1 << 16)
    assert len(provider.attempts()) == 1
    assert provider.counts()["stale_closes"] == 1


def test_a_huge_event_arrives_whole(provider: FakeProvider) -> None:
    data = said(provider, Behaviour(text="one", pad_bytes=3_000_000))
    assert max(len(event) for event in events(data)) > 3_000_000


def test_a_behaviour_survives_its_journey_as_json() -> None:
    behaviour = Behaviour(
        status=429,
        headers={"retry-after": "1"},
        raw=b"\x00\xff",
        cut=Cut("events", 3, "stall", 0.5),
        cuts=Cuts((1, 2), repeat=True),
        usage=Usage(1, 2),
        error_event=ErrorEvent("groq"),
    )
    assert from_json(json.loads(json.dumps(to_json(behaviour)))) == behaviour
    with pytest.raises(TypeError, match="unknown_field"):
        from_json({"unknown_field": 1})
