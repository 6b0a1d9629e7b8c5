"""How an answer ends and what it cost, in each client's words: stop sequences, cache writes, errors.

https://platform.openai.com/docs/api-reference/chat/streaming,
https://docs.anthropic.com/en/api/messages-streaming
"""

from __future__ import annotations

from typing import Any

import pytest
from openai.lib.streaming._deltas import accumulate_delta

from proxy.dialects.chat.answer_writer import ChatStreamWriter
from proxy.dialects.messages.answer_writer import MessagesStreamWriter
from proxy.upstream.failure import AttemptFailed
from tests.support.saying import Said, stream_of
from tests.unit.proxy.dialects.asking import (
    CHAT,
    CLAUDE,
    CLIENTS,
    GEMINI,
    MESSAGES,
    OPENAI,
    RESPONSES,
    TARGETS,
    at,
    bridge,
    events_of,
    parsed,
    question,
    streamed,
    whole,
)
from tests.unit.proxy.dialects.hearing import heard_by_messages

Document = dict[str, Any]


def claude_answer(usage: Document | None = None, **more: Any) -> Document:
    content = [{"type": "text", "text": "x"}]
    base = {"id": "msg_1", "model": "claude", "content": content, "stop_reason": "end_turn"}
    return {**base, "usage": usage or {"input_tokens": 1, "output_tokens": 1}, **more}


def test_the_stop_sequence_that_was_met_is_told() -> None:
    met = claude_answer(stop_reason="stop_sequence", stop_sequence="END")
    choice = whole(CHAT, CLAUDE, met)["choices"][0]
    assert (choice["finish_reason"], choice["stop_sequence"]) == ("stop", "END")
    assert whole(RESPONSES, CLAUDE, met)["stop_sequence"] == "END"
    by_server = {
        "choices": [{"message": {"content": "x"}, "finish_reason": "stop", "stop_reason": "END"}],
    }
    document = whole(MESSAGES, at("any", "openai-compatible"), by_server)
    assert (document["stop_reason"], document["stop_sequence"]) == ("stop_sequence", "END")


@pytest.mark.parametrize("client", [CHAT, RESPONSES])
def test_the_stop_sequence_that_was_met_is_told_in_a_stream(client: str) -> None:
    raw = events_of(
        {"type": "message_start", "message": claude_answer(content=[])},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"},
            "usage": {"output_tokens": 3},
        },
        {"type": "message_stop"},
    )
    events = streamed(client, CLAUDE, raw)
    if client == CHAT:
        assert [c["stop_sequence"] for e in events for c in e["choices"] if c["finish_reason"]] == ["END"]
    else:
        assert events[-1]["response"]["stop_sequence"] == "END"


CACHED = {
    "input_tokens": 100,
    "cache_read_input_tokens": 1_000,
    "cache_creation_input_tokens": 500,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300},
    "output_tokens": 40,
    "output_tokens_details": {"thinking_tokens": 15},
}


def test_usage_has_every_class_in_the_clients_own_words() -> None:
    assert whole(CHAT, CLAUDE, claude_answer(CACHED))["usage"] == {
        "prompt_tokens": 1_600,
        "completion_tokens": 40,
        "total_tokens": 1_640,
        "prompt_tokens_details": {"cached_tokens": 1_000, "cache_write_tokens": 500},
        "completion_tokens_details": {"reasoning_tokens": 15},
    }
    assert whole(RESPONSES, CLAUDE, claude_answer(CACHED))["usage"] == {
        "input_tokens": 1_600,
        "input_tokens_details": {"cached_tokens": 1_000, "cache_write_tokens": 500},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 15},
        "total_tokens": 1_640,
    }
    chat_usage = {
        "prompt_tokens": 1_600,
        "completion_tokens": 40,
        "total_tokens": 1_640,
        "prompt_tokens_details": {"cached_tokens": 1_000},
    }
    answer = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": chat_usage}
    usage = whole(MESSAGES, OPENAI, answer)["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (
        600,
        1_000,
        40,
    )


def test_cache_writes_of_an_hour_are_recorded_apart_and_cumulative_usage_once() -> None:
    """`message_start` and `message_delta` repeat the counts: the later replaces the earlier."""
    made = bridge(CHAT, question(CHAT, stream=True), CLAUDE)
    stream = made.stream()
    assert stream is not None
    start = {**CACHED, "output_tokens": 2}
    stream.feed(
        events_of(
            {"type": "message_start", "message": claude_answer(start, content=[])},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": CACHED},
            {"type": "message_stop"},
        )
    )
    assert stream.usage is not None
    tokens, mended = made.tokens_of(stream.usage)
    assert (tokens.input, tokens.output, tokens.reasoning) == (1_600, 40, 15)
    assert (tokens.cache_read, tokens.cache_write_5m, tokens.cache_write_1h) == (1_000, 200, 300)
    assert not mended


@pytest.mark.parametrize("client", [CHAT, RESPONSES, MESSAGES])
def test_counts_that_only_the_first_event_has_are_kept(client: str) -> None:
    """Until 2025, and at other servers of the dialect, `message_delta` has the output alone, or nulls."""
    for last in ({"output_tokens": 40}, {"output_tokens": 40, "cache_read_input_tokens": None}):
        made = bridge(client, question(client, stream=True), CLAUDE)
        stream = made.stream()
        assert stream is not None
        stream.feed(
            events_of(
                {
                    "type": "message_start",
                    "message": claude_answer({**CACHED, "output_tokens": 1}, content=[]),
                },
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": last},
            )
        )
        assert stream.usage is not None
        tokens, _ = made.tokens_of(stream.usage)
        assert (tokens.input, tokens.cache_read, tokens.cache_write_1h) == (1_600, 1_000, 300)
        assert tokens.output == 40


def test_a_messages_clients_first_event_has_an_estimate_and_its_last_the_counts() -> None:
    events = streamed(MESSAGES, OPENAI, stream_of("chat", Said(text=("x",), input_tokens=777)))
    assert events[0]["message"]["usage"]["input_tokens"] > 0
    assert heard_by_messages(events).usage == (777, 10, 20)


OVERLOADED: Document = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
FAILED = {"error": {"message": "Overloaded", "type": "server_error", "code": "server_error"}}
RESPONSE_FAILED = {
    "type": "response.failed",
    "response": {"id": "r", "status": "failed", "error": {"code": "server_error", "message": "Overloaded"}},
}
GEMINI_FAILED = {"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}
ERRORS: dict[str, Document] = {
    "chat": FAILED,
    "responses": RESPONSE_FAILED,
    "messages": OVERLOADED,
    "gemini": GEMINI_FAILED,
}


def half(dialect: str) -> bytes:
    """A stream up to its first word and no further."""
    raw = stream_of(dialect, Said(text=("one", "two", "three")))
    return raw[: raw.index(b"\n\n", raw.index(b"one")) + 2]


@pytest.mark.parametrize("dialect", TARGETS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_after_the_first_event_is_an_error_in_the_clients_dialect(client: str, dialect: str) -> None:
    stream = bridge(client, question(client, stream=True), TARGETS[dialect]).stream()
    assert stream is not None
    out = stream.feed(half(dialect) + events_of(ERRORS[dialect])) + stream.end()
    events = parsed(out)
    last = events[-1]
    assert "Overloaded" in str(last)
    assert stream.error is not None
    assert not stream.finished
    if client == CHAT:
        assert last["error"]["message"] == "Overloaded"
    elif client == MESSAGES:
        assert last["type"] == "error"
        assert last["error"]["type"] in ("overloaded_error", "api_error")
    elif dialect != "responses":
        assert [event["type"] for event in events[-2:]] == ["response.failed", "error"]
        assert last["error"]["message"] == last["message"] == "Overloaded"
        assert events[-2]["response"]["error"]["message"] == "Overloaded"
        numbers = [event["sequence_number"] for event in events]
        assert numbers == list(range(len(events)))


@pytest.mark.parametrize("dialect", TARGETS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_before_the_first_event_fails_the_attempt_so_that_another_can_answer(
    client: str, dialect: str
) -> None:
    stream = bridge(client, question(client, stream=True), TARGETS[dialect]).stream()
    assert stream is not None
    start = half(dialect)
    before = start.rfind(b"\n\n", 0, start.index(b"one"))  # Gemini's first event is a real one
    prelude = start[: before + 2] if before >= 0 else b""
    with pytest.raises(AttemptFailed) as failure:
        stream.feed(prelude + events_of(ERRORS[dialect]))
    assert failure.value.retryable
    assert not stream.started


@pytest.mark.parametrize("dialect", TARGETS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_stream_that_is_cut_is_not_finished(client: str, dialect: str) -> None:
    stream = bridge(client, question(client, stream=True), TARGETS[dialect]).stream()
    assert stream is not None
    out = stream.feed(half(dialect)) + stream.end()
    assert (stream.started, stream.finished, stream.done) == (True, False, False)
    ends = (b"[DONE]", b"message_stop", b"response.completed", b'"finish_reason":"')
    assert not [end for end in ends if end in out]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_cut_is_told_in_the_clients_dialect(client: str) -> None:
    stream = bridge(client, question(client, stream=True), GEMINI).stream()
    assert stream is not None
    stream.feed(half("gemini"))
    events = parsed(
        stream.error_event({"message": "cut", "type": "upstream_error", "code": "upstream_error"})
    )
    expected = {CHAT: {"error"}, MESSAGES: {"type", "error"}, RESPONSES: {"type", "error", "code", "message"}}
    assert expected[client] <= set(events[-1])
    if client == MESSAGES:
        assert events[-1]["error"]["type"] == "api_error"


@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_inside_a_whole_answer_fails_the_attempt(client: str) -> None:
    for dialect in TARGETS:
        answer = ERRORS[dialect]
        if dialect == "responses":
            answer = answer["response"]
        with pytest.raises(AttemptFailed):
            whole(client, TARGETS[dialect], answer)


def test_annotations_and_foreign_content_are_numbered_for_the_sdk_that_merges_them() -> None:
    """openai-python's stream helper raises for entries without an index, from the second delta on."""
    writer = ChatStreamWriter(id="c", created=1, include_usage=False)
    writer.begin("c", "m")
    writer.text("x")
    for number in range(3):
        url = f"https://e.example/{number}"
        citation = {"kind": "url", "url": url, "title": "t", "start": 0, "end": 1, "cited_text": ""}
        writer.citation(citation)
        writer.foreign({"number": number})
        writer.seal(f"S{number}", "openai", id=f"rs_{number}")
    message: dict[object, object] = {}
    for event in parsed(b"".join(writer.out)):
        message = accumulate_delta(message, event["choices"][0]["delta"])
    for name in ("annotations", "provider_content", "reasoning_details"):
        entries: Any = message[name]
        assert len(entries) == 3, name


def test_a_thought_after_text_is_a_block_of_its_own() -> None:
    writer = MessagesStreamWriter(id="m", estimated_input=1)
    writer.begin("m", "model")
    writer.text("a")
    writer.thinking("b")
    writer.text("c")
    writer.thinking("d")
    writer.seal("S", "anthropic")
    writer.thinking("e")
    writer.finish("stop")
    writer.end()
    heard = heard_by_messages(parsed(b"".join(writer.out)))
    assert (heard.text, heard.reasoning) == ("ac", "bde")
    assert heard.sealed[1] == "S"
    assert all(heard.sealed), "a thinking block without a signature cannot be sent back"


def test_text_after_a_citation_is_in_the_block_that_the_citation_opened() -> None:
    citation = {"kind": "url", "url": "u", "title": "t", "start": 0, "end": 1, "cited_text": ""}
    for before in (False, True):
        writer = MessagesStreamWriter(id="m", estimated_input=1)
        writer.begin("m", "model")
        if before:
            writer.text("a")
            writer.call(0, "c", "look")
            writer.arguments(0, "{}")
        writer.citation(citation)
        writer.text("b")
        writer.finish("stop")
        writer.end()
        events = parsed(b"".join(writer.out))
        cited = [e for e in events if "citations_delta" in str(e.get("delta"))]
        told = [e for e in events if "text_delta" in str(e.get("delta"))]
        assert cited[0]["index"] == told[-1]["index"] == (2 if before else 0)


def test_a_refusal_is_a_refusal_in_every_dialect() -> None:
    refusal = claude_answer(stop_reason="refusal", stop_details={"type": "refusal", "category": "cyber"})
    choice = whole(CHAT, CLAUDE, refusal)["choices"][0]
    assert choice["finish_reason"] == "content_filter"
    assert choice["native_finish_reason"] == "refusal"
    assert "cyber" in str(choice["message"]["provider_content"])
    by_openai = {"choices": [{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}]}
    document = whole(MESSAGES, OPENAI, by_openai)
    assert document["content"] == [{"type": "text", "text": "No."}]
    said = whole(RESPONSES, at("any", "openai-compatible"), by_openai)["output"][0]["content"]
    assert said == [{"type": "refusal", "refusal": "No."}]


def test_logprobs_reach_the_client_that_asked_for_them() -> None:
    one = {"token": "x", "logProbability": -0.5}
    result = {"chosenCandidates": [one], "topCandidates": [{"candidates": [one]}]}
    candidate = {"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP", "logprobsResult": result}
    answer = {"candidates": [candidate]}
    (entry,) = whole(CHAT, GEMINI, answer)["choices"][0]["logprobs"]["content"]
    assert (entry["token"], entry["logprob"], entry["bytes"]) == ("x", -0.5, [120])
    assert entry["top_logprobs"][0]["token"] == "x"
    part = whole(RESPONSES, GEMINI, answer)["output"][0]["content"][0]
    assert part["logprobs"][0]["token"] == "x"


def test_citations_reach_the_client_in_its_own_form() -> None:
    place = {
        "type": "web_search_result_location",
        "url": "https://e.example",
        "title": "E",
        "cited_text": "x",
    }
    document = {"type": "char_location", "cited_text": "x", "document_index": 0}
    answer = claude_answer(content=[{"type": "text", "text": "x", "citations": [place, document]}])
    by_url, other = whole(CHAT, CLAUDE, answer)["choices"][0]["message"]["annotations"]
    assert by_url["url_citation"]["url"] == "https://e.example"
    assert other["document_citation"] == document
    (url,) = whole(RESPONSES, CLAUDE, answer)["output"][0]["content"][0]["annotations"]
    assert (url["type"], url["url"]) == ("url_citation", "https://e.example")
    back = {
        "choices": [
            {
                "message": {
                    "content": "x",
                    "annotations": [{"type": "url_citation", "url_citation": {"url": "https://e.example"}}],
                },
                "finish_reason": "stop",
            }
        ]
    }
    (block,) = whole(MESSAGES, OPENAI, back)["content"]
    assert block["citations"][0]["url"] == "https://e.example"
