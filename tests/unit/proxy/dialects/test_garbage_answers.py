"""Whatever a provider answers is an answer or a failed attempt, and its usage is always a count.

An exception of another kind, raised in a protocol's callback, would leave the call hanging until a deadline.
"""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate.rules.money import MAX_TOKENS
from proxy.dialects.bridge import Bridge
from proxy.dialects.sniff import UsageSniffer
from proxy.dialects.sse import Stream
from proxy.upstream.failure import AttemptFailed
from tests.unit.proxy.dialects.asking import (
    CHAT,
    CHAT_TOOL,
    CLAUDE,
    CLIENTS,
    GEMINI,
    MESSAGES,
    MESSAGES_TOOL,
    RESPONSES,
    RESPONSES_TOOL,
    TARGETS,
    at,
    bridge,
    events_of,
    parsed,
    question,
)
from tests.unit.proxy.dialects.garbage import JUNK, damaged, nested, paths, replaced
from tests.unit.proxy.dialects.rich_answers import ANSWERS

OFTEN = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
PAIRS = [(client, dialect) for client in CLIENTS for dialect in TARGETS]
TOOLS = {CHAT: [CHAT_TOOL], MESSAGES: [MESSAGES_TOOL], RESPONSES: [RESPONSES_TOOL]}
VALUES: tuple[object, ...] = (None, True, -1, 2**64 - 1, -(2**63), 0.5, 1e308, "", "x", [], {}, [[]], [None])


def dumped(document: object) -> bytes:
    """Deeper than orjson writes, too."""
    return json.dumps(document).encode()


def asked(client: str, dialect: str, *, stream: bool) -> Bridge:
    document = question(client, stream=stream, tools=TOOLS[client])
    return bridge(client, document, TARGETS[dialect])


def check_counted(bridge: Bridge, usage: dict[str, Any] | None) -> None:
    if usage is not None:
        tokens, mended = bridge.tokens_of(usage)
        assert isinstance(mended, bool)
        for name in tokens.__slots__:
            count = getattr(tokens, name)
            assert count.__class__ is int
            assert 0 <= count <= 2 * MAX_TOKENS
        parts = tokens.cache_read + tokens.cache_write_5m + tokens.cache_write_1h
        assert parts <= tokens.input
        assert tokens.audio_input <= tokens.input
        assert tokens.reasoning <= tokens.output
        assert tokens.audio_output <= tokens.output


def check_whole(client: str, dialect: str, body: bytes, *, stream: bool) -> None:
    made = asked(client, dialect, stream=stream)
    try:
        whole = made.whole(body)
    except AttemptFailed:
        return
    check_counted(made, whole.usage)
    translated = made.operation != client
    if translated and stream:
        parsed(whole.body)
    elif translated:
        assert isinstance(orjson.loads(whole.body), dict)


def check_stream(client: str, dialect: str, raw: bytes) -> None:
    made = asked(client, dialect, stream=True)
    stream = made.stream()
    assert stream is not None
    out = b""
    try:
        out += stream.feed(raw)
        out += stream.end()
    except AttemptFailed:
        pass
    check_error_event(stream)
    check_counted(made, stream.usage)
    if made.operation != client:
        parsed(out)


def check_error_event(stream: Stream) -> None:
    events = parsed(stream.error_event({"message": "boom", "type": "upstream_error", "code": "c"}))
    assert "boom" in str(events)


@pytest.mark.parametrize(("client", "dialect"), PAIRS)
@OFTEN
@given(data=st.data())
def test_a_damaged_whole_answer_is_an_answer_or_a_failed_attempt(
    client: str, dialect: str, data: st.DataObject
) -> None:
    document = data.draw(damaged(ANSWERS[dialect][0]))
    check_whole(client, dialect, dumped(document), stream=data.draw(st.booleans()))


@pytest.mark.parametrize(("client", "dialect"), PAIRS)
@OFTEN
@given(data=st.data())
def test_damaged_events_are_events_or_a_failed_attempt(
    client: str, dialect: str, data: st.DataObject
) -> None:
    events = data.draw(damaged(ANSWERS[dialect][1]))
    if data.draw(st.booleans()):
        events = data.draw(st.permutations(events))
    raw = b"".join(b"data: " + dumped(event) + b"\n\n" for event in events)
    check_stream(client, dialect, raw)


@pytest.mark.parametrize(("client", "dialect"), PAIRS)
def test_deep_nesting_anywhere_in_an_answer_is_an_answer_or_a_failed_attempt(
    client: str, dialect: str
) -> None:
    whole, events = ANSWERS[dialect]
    for levels in (245, 300):
        deep = nested(levels, in_objects=levels == 300)
        for place in paths(whole):
            check_whole(client, dialect, dumped(replaced(whole, place, deep)), stream=False)
        for place in paths(events):
            if len(place) > 1:
                changed = replaced(events[int(place[0])], place[1:], deep)
                check_stream(client, dialect, b"data: " + dumped(changed) + b"\n\ndata: [DONE]\n\n")


@pytest.mark.parametrize(("client", "dialect"), PAIRS)
@pytest.mark.parametrize("levels", [240, 250, 300])
@pytest.mark.parametrize("kind", ["server_error", "overloaded_error"])
def test_a_deep_error_after_the_first_event_is_an_error_event_or_a_failed_attempt(
    client: str, dialect: str, kind: str, levels: int
) -> None:
    deep = {"message": "boom", "type": kind, "more": nested(levels, in_objects=True)}
    error: dict[str, Any] = {"type": "error", "error": deep}
    if dialect == "responses":
        error = {"type": "response.failed", "response": {"id": "r", "error": deep}}
    _, events = ANSWERS[dialect]
    begun = [event for event in events[:4] if not str(event.get("type")).startswith("response.failed")]
    raw = b"".join(b"data: " + dumped(event) + b"\n\n" for event in (*begun, error))
    check_stream(client, dialect, raw)


@pytest.mark.parametrize("dialect", TARGETS)
@OFTEN
@given(body=st.binary(max_size=40) | JUNK.map(dumped))
def test_any_bytes_are_an_answer_or_a_failed_attempt(dialect: str, body: bytes) -> None:
    for client in CLIENTS:
        check_whole(client, dialect, body, stream=False)
        check_stream(client, dialect, b"data: " + body + b"\n\n")
        check_stream(client, dialect, body)


@pytest.mark.parametrize("dialect", TARGETS)
def test_usage_of_any_shape_is_counted_within_its_bounds(dialect: str) -> None:
    whole, _ = ANSWERS[dialect]
    usage = whole.get("usage", whole.get("usageMetadata"))
    for client in CLIENTS:
        made = asked(client, dialect, stream=False)
        for place in paths(usage):
            for value in VALUES:
                check_counted(made, replaced(usage, place, value))


@OFTEN
@given(data=st.data())
def test_damaged_usage_is_counted_within_its_bounds(data: st.DataObject) -> None:
    dialect = data.draw(st.sampled_from(sorted(TARGETS)))
    whole, _ = ANSWERS[dialect]
    usage = data.draw(damaged(whole.get("usage", whole.get("usageMetadata"))))
    check_counted(asked(CHAT if dialect != "chat" else MESSAGES, dialect, stream=False), usage)


@OFTEN
@given(data=st.data())
def test_the_sniffer_of_native_answers_takes_any_bytes(data: st.DataObject) -> None:
    whole, events = ANSWERS[data.draw(st.sampled_from(sorted(ANSWERS)))]
    streams = data.draw(st.booleans())
    body = dumped(data.draw(damaged(whole)))
    if streams:
        body = b"".join(b"data: " + dumped(event) + b"\n\n" for event in data.draw(damaged(events)))
    sniffer = UsageSniffer(b"text/event-stream" if streams else b"application/json")
    cut = data.draw(st.integers(0, len(body)))
    sniffer.feed(body[:cut])
    sniffer.feed(body[cut:])
    found = sniffer.found()
    assert found is None or found[0].input >= 0


@pytest.mark.parametrize(
    "value", [*VALUES, *(nested(300, in_objects=o) for o in (True, False)), [1e308], [None, 1.5]]
)
def test_vectors_of_any_shape_are_vectors_or_a_failed_attempt(value: object) -> None:
    for form in ("float", "base64"):
        request = {"model": "m", "input": ["a"], "encoding_format": form}
        made = bridge("embeddings", request, GEMINI)
        for answer in ({"embeddings": value}, {"embeddings": [value]}, {"embeddings": [{"values": value}]}):
            try:
                orjson.loads(made.whole(dumped(answer)).body)
            except AttemptFailed:
                continue


@pytest.mark.parametrize("value", VALUES)
def test_counts_of_any_shape_are_counts_or_a_failed_attempt(value: object) -> None:
    counting = ((CLAUDE, "input_tokens"), (GEMINI, "totalTokens"), (at("gpt-5", "openai"), "input_tokens"))
    for target, name in counting:
        for operation in ("messages.count_tokens", "responses.input_tokens"):
            made = bridge(operation, question(operation.partition(".")[0]), target)
            for answer in ({name: value}, value):
                try:
                    orjson.loads(made.whole(dumped(answer)).body)
                except AttemptFailed:
                    continue


@pytest.mark.parametrize(
    ("client", "dialect"),
    [pair for pair in PAIRS if pair[0].partition(".")[0] != pair[1]],
)
@pytest.mark.parametrize("document", [{}, {"id": "x"}, {"choices": []}, {"output": None}, {"content": 5}])
def test_an_object_that_is_no_answer_fails_the_attempt(
    client: str, dialect: str, document: dict[str, Any]
) -> None:
    """Else the client would get an empty answer, and another provider could have given a real one."""
    for stream in (False, True):
        with pytest.raises(AttemptFailed):
            asked(client, dialect, stream=stream).whole(orjson.dumps(document))


@pytest.mark.parametrize(("client", "dialect"), PAIRS)
def test_the_rich_answers_are_answers(client: str, dialect: str) -> None:
    """Without this, the tests above could pass on failures alone."""
    whole, events = ANSWERS[dialect]
    assert asked(client, dialect, stream=False).whole(orjson.dumps(whole)).usage
    stream = asked(client, dialect, stream=True).stream()
    assert stream is not None
    unfailing = [e for e in events if e.get("type") not in ("error", "response.failed")]
    assert stream.feed(events_of(*unfailing)) + stream.end()
    assert stream.finished
    assert stream.usage
