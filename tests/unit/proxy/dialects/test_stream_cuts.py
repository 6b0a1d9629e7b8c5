"""However the network cuts a provider's stream, the client gets the same bytes, and they say what was said.

Cuts fall anywhere: inside of UTF-8 characters, between CR and LF, inside of a heartbeat, after every byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from proxy.dialects.sse import Stream
from tests.support.saying import Call, Said, stream_of, what_a_model_says
from tests.unit.proxy.dialects.asking import (
    CHAT,
    CHAT_TOOL,
    CLIENTS,
    MESSAGES,
    MESSAGES_TOOL,
    RESPONSES,
    RESPONSES_TOOL,
    TARGETS,
    bridge,
    parsed,
    pieces,
    question,
)
from tests.unit.proxy.dialects.hearing import FINISHES, HEARD

PAIRS = [(client, dialect) for client in CLIENTS for dialect in TARGETS]
SAME = {(CHAT, "chat"), (MESSAGES, "messages"), (RESPONSES, "responses")}
TOOLS = {CHAT: [CHAT_TOOL], MESSAGES: [MESSAGES_TOOL], RESPONSES: [RESPONSES_TOOL]}
NEWLINES = st.sampled_from(("\n", "\r\n"))
HEARTBEATS = st.sets(st.integers(0, 12), max_size=3)
COMMENTS = st.sampled_from((": keep-alive", ": OPENROUTER PROCESSING", ":", ": zürich 🚀"))
OFTEN = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EVERYTHING = Said(
    reasoning=("Hm, ", "ü🚀"),
    text=("Hé", "llo 🚀\n"),
    calls=(Call("call_0", "look_0", ("{", '"a":"中"', "}")), Call("call_1", "look_1", ("{}",))),
)


@pytest.fixture(autouse=True, scope="module")
def _fixed_time() -> Iterator[None]:
    """`created` stands in every chunk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proxy.dialects.translate.time.time", lambda: 1_700_000_000)
        yield


def begun(client: str, dialect: str) -> Stream:
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if client == CHAT else {}
    document = question(client, stream=True, tools=TOOLS[client], **more)
    stream = bridge(client, document, TARGETS[dialect]).stream()
    assert stream is not None
    return stream


def read(client: str, dialect: str, raw: bytes, cuts: Iterable[int]) -> tuple[bytes, Any]:
    """(what the client gets, what is recorded)."""
    stream = begun(client, dialect)
    out = bytearray()
    for start, end in pieces(len(raw), cuts):
        out += stream.feed(raw[start:end])
    out += stream.end()
    return bytes(out), (stream.usage, stream.finished, stream.done, stream.started, stream.error)


@pytest.mark.parametrize(("client", "dialect"), PAIRS)
@OFTEN
@example(EVERYTHING, "\r\n", {0, 3}, ": zürich 🚀", range(0, 4000, 7))
@given(
    said=what_a_model_says(),
    newline=NEWLINES,
    heartbeats=HEARTBEATS,
    comment=COMMENTS,
    cuts=st.lists(st.integers(0, 2**16), max_size=12),
)
def test_cuts_at_any_bytes_do_not_change_what_the_client_gets(
    client: str,
    dialect: str,
    said: Said,
    newline: str,
    heartbeats: set[int],
    comment: str,
    cuts: Iterable[int],
) -> None:
    raw = stream_of(dialect, said, newline=newline, heartbeats=heartbeats, comment=comment)
    assert read(client, dialect, raw, cuts) == read(client, dialect, raw, ())


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(("client", "dialect"), PAIRS)
def test_byte_by_byte_the_client_gets_the_same(client: str, dialect: str, newline: str) -> None:
    raw = stream_of(dialect, EVERYTHING, newline=newline, heartbeats={0, 2, 5})
    assert read(client, dialect, raw, range(len(raw))) == read(client, dialect, raw, ())


@pytest.mark.parametrize(("client", "dialect"), PAIRS)
def test_one_cut_at_every_place_does_not_change_what_the_client_gets(client: str, dialect: str) -> None:
    said = Said(text=("é🚀",), calls=(Call("call_0", "look_0", ('{"a":', "1}")),))
    raw = stream_of(dialect, said, newline="\r\n", heartbeats={1})
    expected = read(client, dialect, raw, ())
    for cut in range(0, len(raw), 3):
        assert read(client, dialect, raw, (cut,)) == expected, raw[:cut]


@pytest.mark.parametrize(("client", "dialect"), PAIRS)
@OFTEN
@example(EVERYTHING, {0, 3})
@given(said=what_a_model_says(), heartbeats=HEARTBEATS)
def test_the_client_hears_what_the_model_said(
    client: str, dialect: str, said: Said, heartbeats: set[int]
) -> None:
    raw = stream_of(dialect, said, heartbeats=heartbeats)
    out, recorded = read(client, dialect, raw, ())
    if (client, dialect) in SAME:
        assert out == raw
        heartbeat_free = stream_of(dialect, said)
        heard = HEARD[client](parsed(heartbeat_free))
    else:
        assert b": keep-alive" not in out
        heard = HEARD[client](parsed(out))
    assert heard.text == "".join(said.text)
    assert heard.reasoning == "".join(said.reasoning)
    assert heard.calls == [(call.id, call.name, call.arguments) for call in said.calls]
    assert heard.usage == (said.input_tokens, said.cached_tokens, said.output_tokens)
    cut, called, done = FINISHES[client]
    assert heard.finish == (cut if said.cut_short else called if said.calls else done)
    assert recorded[0] is not None
    assert recorded[1:] == (True, True, True, None)


@pytest.mark.parametrize(("client", "dialect"), [pair for pair in PAIRS if pair not in SAME])
def test_every_event_is_translated_when_it_comes(client: str, dialect: str) -> None:
    """Nothing waits for the whole: after each piece of text the client has it."""
    words = [f"word{number} " for number in range(5)]
    raw = stream_of(dialect, Said(text=tuple(words)))
    stream = begun(client, dialect)
    out = given = b""
    for event in raw.split(b"\n\n")[:-1]:
        out += stream.feed(event + b"\n\n")
        given += event
        assert [word for word in words if word.encode() in out] == [
            word for word in words if b'"%b"' % word.encode() in given
        ]


@pytest.mark.parametrize(("client", "dialect"), PAIRS)
def test_nothing_is_given_before_the_first_real_event(client: str, dialect: str) -> None:
    """So that a failure until then can still fall back."""
    raw = stream_of(dialect, Said(text=("now",)), heartbeats={0, 1, 2})
    stream = begun(client, dialect)
    real = raw.index(b"now")
    assert stream.feed(raw[: raw.rindex(b"\n\n", 0, real) + 2]) == b""
    assert not stream.started
    assert b"now" in stream.feed(raw[raw.rindex(b"\n\n", 0, real) + 2 :])
