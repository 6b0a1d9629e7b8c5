"""The stream reader: what it holds back, passes on, hides and learns, by each provider's manners.

The recorded streams are in tests/contract; these are small ones in the same shapes. DeepInfra's and NVIDIA's
are synthetic, from https://deepinfra.com/docs/openai_api and https://docs.api.nvidia.com/nim/reference.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.v1 import usage_pb2
from proxy.dialects.chat.watch import ChatWatch, error_event
from proxy.settings import MAX_EVENT_BYTES, MAX_PRELUDE_BYTES
from proxy.upstream.failure import AttemptFailed

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
DONE = b"data: [DONE]\n\n"


def event(document: dict[str, Any], newline: str = "\n", spaces: bool = False) -> bytes:
    text = json.dumps(document, separators=None if spaces else (",", ":"))
    return f"data: {text}{newline}{newline}".encode()


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


ROLE = chunk({"role": "assistant", "content": ""})
SAYS = chunk({"content": "hello"})
STOP = chunk({}, "stop")
ALONE = {"id": "c", "choices": [], "usage": USAGE}


def fed(*pieces: bytes, hide_usage: bool = False, hold_end: bool = False) -> tuple[ChatWatch, bytes]:
    stream = ChatWatch(hide_usage=hide_usage, hold_end=hold_end)
    out = b"".join([stream.feed(piece) for piece in pieces])
    return stream, out + stream.end()


# Where usage comes.

PLACES: dict[str, list[dict[str, Any]]] = {
    "openai: its own chunk, null before": [{**SAYS, "usage": None}, {**STOP, "usage": None}, ALONE],
    "mistral, cerebras: the finish chunk": [SAYS, {**STOP, "usage": USAGE}],
    "openrouter: a chunk that still has choices": [SAYS, STOP, {**chunk({"content": ""}), "usage": USAGE}],
    "groq: x_groq": [SAYS, {**STOP, "x_groq": {"id": "r", "usage": USAGE}}],
    "groq: x_groq, then its own chunk": [
        {**SAYS, "x_groq": {"id": "r"}},
        {**STOP, "x_groq": {"usage": USAGE}},
        {**ALONE, "x_groq": {"id": "r", "usage": USAGE}},
    ],
    "deepinfra (synthetic): its own chunk with a cost": [
        SAYS,
        STOP,
        {**ALONE, "usage": {**USAGE, "estimated_cost": 1.2e-06}},
    ],
    "nvidia (synthetic): the finish chunk": [SAYS, {**STOP, "usage": USAGE}],
    "said twice: the last counts": [{**SAYS, "usage": {**USAGE, "completion_tokens": 1}}, STOP, ALONE],
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("spaces", [False, True], ids=["compact", "with spaces"])
@pytest.mark.parametrize("place", PLACES)
def test_usage_is_found_wherever_a_provider_puts_it(place: str, newline: str, spaces: bool) -> None:
    events = [event(document, newline, spaces) for document in [ROLE, *PLACES[place]]]
    stream, out = fed(*events, DONE)
    assert stream.usage is not None
    assert USAGE.items() <= stream.usage.items()
    assert stream.finished
    assert out == b"".join(events) + DONE


@pytest.mark.parametrize("place", PLACES)
def test_only_a_chunk_that_is_nothing_but_usage_is_hidden(place: str) -> None:
    documents = [ROLE, *PLACES[place]]
    _, out = fed(*map(event, documents), DONE, hide_usage=True)
    kept = [document for document in documents if document["choices"]]
    assert out == b"".join(map(event, kept)) + DONE


def test_usage_that_is_null_is_no_usage() -> None:
    stream, _ = fed(event({**SAYS, "usage": None}), event({**STOP, "usage": None}), DONE)
    assert stream.usage is None


def test_a_service_tier_is_taken_from_any_event() -> None:
    stream, _ = fed(event(SAYS), event({**STOP, "service_tier": "flex"}))
    assert stream.service_tier == "flex"


# When a stream begins.

FIRST_REAL = [
    chunk({"content": "x"}),
    chunk({"reasoning": "x"}),
    chunk({"reasoning_content": "x"}),
    chunk({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": ""}}]}),
    chunk({"refusal": "x"}),
    chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}]}),
    chunk({}, "stop"),
    {"choices": [{"index": 0, "text": "x", "finish_reason": None}]},
]


@pytest.mark.parametrize("first", FIRST_REAL)
def test_nothing_is_passed_on_before_the_first_real_event(first: dict[str, Any]) -> None:
    stream = ChatWatch(hide_usage=False)
    prelude = b": heartbeat\n\n" + event(ROLE) + event(chunk({"content": None, "tool_calls": None}))
    assert stream.feed(prelude) == b""
    assert not stream.started
    assert stream.feed(event(first)) == prelude + event(first)
    assert stream.started


def test_comments_pass_and_begin_nothing() -> None:
    comments = b": OPENROUTER PROCESSING\n\n" * 5
    stream = ChatWatch(hide_usage=True)
    assert stream.feed(comments) == b""
    assert stream.feed(event(SAYS)) == comments + event(SAYS)
    assert stream.feed(comments) == comments
    assert stream.events == 1 + 1  # what passes unread counts as something: it is for estimates only


def test_half_an_event_waits_for_its_end() -> None:
    stream = ChatWatch(hide_usage=False)
    stream.feed(event(SAYS))
    whole = event(SAYS)
    assert stream.feed(whole[:20]) == b""
    assert stream.feed(whole[20:] + whole[:5]) == whole
    assert stream.feed(whole[5:]) == whole


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_an_event_ends_where_it_ends_however_its_blank_line_is_cut(newline: str) -> None:
    events = [event(document, newline) for document in (ROLE, SAYS, STOP, ALONE)]
    stream = ChatWatch(hide_usage=False)
    for one in events:
        for place in range(len(one) - 1):
            assert stream.feed(one[place : place + 1]) == b""
        passed_on = stream.feed(one[-1:])
        assert passed_on == b"" if one is events[0] else passed_on.endswith(one)


def test_a_finished_stream_needs_no_done() -> None:
    stream, _ = fed(event(SAYS), event(STOP))
    assert (stream.finished, stream.done) == (True, False)


def test_a_stream_without_its_last_blank_line_is_read_to_its_end() -> None:
    stream, out = fed(event(SAYS), event(STOP), b"data: [DONE]\n")
    assert stream.done
    assert out.endswith(b"data: [DONE]\n")
    stream, _ = fed(event(SAYS), event({**STOP, "usage": USAGE}).rstrip())
    assert stream.usage == USAGE
    assert stream.finished


def test_the_end_can_be_held_back_from_the_finish_on() -> None:
    stream, out = fed(event(SAYS), event(STOP), event(ALONE), DONE, hold_end=True)
    assert out == event(SAYS)
    assert stream.tail == [event(STOP), event(ALONE), DONE]


# Errors inside a stream.

ERRORS = {
    "openai": event({"error": {"message": "no", "type": "server_error", "code": None}}),
    "groq": b'event: error\ndata: {"error":{"message":"no","code":"tool_use_failed","status_code":400}}\n\n',
    "openrouter": event({**chunk({"content": ""}, "error"), "error": {"code": 502, "message": "no"}}),
    "text": event({"error": "no"}),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_before_the_first_real_event_lets_the_attempt_fail(error: bytes) -> None:
    stream = ChatWatch(hide_usage=False)
    stream.feed(b": heartbeat\n\n" + event(ROLE))
    with pytest.raises(AttemptFailed) as failed:
        stream.feed(error)
    assert failed.value.error["message"] == "no"
    assert not stream.started


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_after_it_is_passed_on_as_it_came(error: bytes) -> None:
    stream, out = fed(event(SAYS), error)
    assert out == event(SAYS) + error
    assert stream.error is not None
    assert stream.error.error["message"] == "no"


def test_an_error_after_a_finish_without_words_is_passed_on_too() -> None:
    error = ERRORS["openai"]
    assert fed(event(STOP), error)[1] == fed(event(STOP) + error)[1] == event(STOP) + error


def test_an_error_in_a_choice_is_said_again_where_sdks_look() -> None:
    failing = {
        "choices": [
            {"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "no"}}
        ]
    }
    stream, out = fed(event(SAYS), event(failing), DONE)
    assert stream.error is not None
    said = [json.loads(line[6:]) for line in out.splitlines() if line.startswith(b"data: {")]
    assert [document.get("error", {}).get("message") for document in said] == [None, None, "no"]


def test_a_groq_tool_error_is_the_client_s_own_400() -> None:
    with pytest.raises(AttemptFailed) as failed:
        fed(ERRORS["groq"])
    assert (failed.value.status, failed.value.fatal) == (400, True)


@pytest.mark.parametrize(
    "garbage", [b"data: {nonsense\n\n", b"data: 7\n\n", b'data: "x"\n\n', b"data: {}{}\n\n"]
)
def test_what_is_not_an_event_breaks_the_stream(garbage: bytes) -> None:
    for before in (b"", event(SAYS)):
        with pytest.raises(AttemptFailed) as failed:
            fed(before + garbage)
        assert failed.value.reason == usage_pb2.REASON_PROTOCOL_ERROR


def test_an_endless_prelude_and_an_endless_event_are_cut_off() -> None:
    with pytest.raises(AttemptFailed, match="protocol_error"):
        fed(b": nothing yet\n\n" * (MAX_PRELUDE_BYTES // 14 + 1))
    with pytest.raises(AttemptFailed, match="protocol_error"):
        fed(*[b"x" * 2**16] * (MAX_EVENT_BYTES // 2**16 + 1))


def test_a_large_event_in_small_pieces_costs_no_more_than_its_size() -> None:
    whole = event(chunk({"content": "A" * 2_000_000}))
    stream = ChatWatch(hide_usage=False)
    began_at = time.process_time()
    for start in range(0, len(whole), 1448):
        stream.feed(whole[start : start + 1448])
    assert stream.started
    assert time.process_time() - began_at < 2.0  # 0.04 s; 17 s when every piece searched all before it


def test_an_error_of_ours_is_one_event_that_sdks_raise_on() -> None:
    assert error_event({"message": "broken off"}) == b'data: {"error":{"message":"broken off"}}\n\n'


# Any cutting.

events = st.one_of(
    st.sampled_from([ROLE, SAYS, STOP, ALONE, *FIRST_REAL, {**SAYS, "usage": None}]).flatmap(
        lambda document: st.builds(event, st.just(document), st.sampled_from(["\n", "\r\n"]), st.booleans())
    ),
    st.sampled_from([b": comment\n\n", b"id: 7\n\n", b"event: ping\ndata: {}\n\n", DONE, b"\n"]),
    st.sampled_from(list(ERRORS.values())),
)


def told(pieces: list[bytes], hide_usage: bool, hold_end: bool) -> object:
    stream = ChatWatch(hide_usage=hide_usage, hold_end=hold_end)
    out = b""
    raised = None
    try:
        for piece in pieces:
            out += stream.feed(piece)
        out += stream.end()
    except AttemptFailed as failure:
        raised = failure.error
    return out, stream.tail, stream.usage, stream.started, stream.finished, stream.done, raised


@given(st.lists(events, min_size=1, max_size=8), st.data(), st.booleans(), st.booleans())
def test_any_cutting_tells_the_same(
    chosen: list[bytes], data: st.DataObject, hide_usage: bool, hold_end: bool
) -> None:
    whole = b"".join(chosen)
    places = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)) | {0, len(whole)})
    pieces = [whole[start:end] for start, end in itertools.pairwise(places)]
    assert told(pieces, hide_usage, hold_end) == told([whole], hide_usage, hold_end)
