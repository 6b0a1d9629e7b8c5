"""What other gateways got wrong, across dialects: each test is named after a failure they were reported for.

The list is "Known failures of other gateways" in the reliability notes; caches, budgets, guards and the
control plane have their tests elsewhere. Money is checked by hand, in USD.
"""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from typing import Any

import pytest

from tests.integration.proxy.asking_across import (
    CLIENTS,
    HELLO,
    PATHS,
    PROVIDERS,
    ask,
    cost,
    error_of,
    events,
    last_error,
    question,
    rows,
    says,
    script,
    text_of,
)
from tests.integration.proxy.gateway import Gateway, outcome, reason
from tests.integration.proxy.raw_client import request_bytes
from tests.integration.proxy.translating_manifest import CHAINS, MODELS
from tests.support.fake_provider import Behaviour, Cut
from tests.support.saying import Call, Said, messages_events, stream_of

BOTH = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
EVERY_CLIENT = pytest.mark.parametrize("client", CLIENTS)
EVERY_PAIR = pytest.mark.parametrize(("client", "model"), [(c, m) for c in CLIENTS for m in PROVIDERS])

# Usage.


def chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


@EVERY_CLIENT
def test_usage_lost_when_the_last_chunk_carries_choices_and_usage(translating: Gateway, client: str) -> None:
    usage = {"prompt_tokens": 70, "completion_tokens": 9, "total_tokens": 79}
    body = events(
        chunk({"role": "assistant", "content": "Hi"}), chunk({}, finish_reason="stop", usage=usage), "[DONE]"
    )
    script(translating, "server", Behaviour(body=body, stream=True))
    answer = ask(translating, client, "server", stream=True)
    assert text_of(client, answer) == "Hi"
    [row] = rows(translating, answer)
    assert (row.input_tokens, row.output_tokens, row.estimated) == (70, 9, False)
    assert Fraction(row.cost_usd) == cost(plain=70, output=9)


@BOTH
@EVERY_PAIR
def test_cached_reads_billed_as_input(translating: Gateway, client: str, model: str, stream: bool) -> None:
    said = dataclasses.replace(HELLO, input_tokens=1_000, cached_tokens=900, output_tokens=50)
    script(translating, model, says(model, said, stream=stream))
    answer = ask(translating, client, model, stream=stream)
    [row] = rows(translating, answer)
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens) == (1_000, 900, 50)
    assert row.reasoning_tokens == said.reasoning_tokens
    assert Fraction(row.cost_usd) == cost(plain=100, cache_read=900, output=50)
    if not stream:
        assert answer.header("x-headgate-cost-usd") == row.cost_usd


WRITES: dict[str, Any] = {
    "input_tokens": 11,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 5_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 5_000, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 40,
}


def claude_stream(usage: dict[str, Any], *, until: str = "") -> bytes:
    """`message_start` has all the usage but the output, `message_delta` all of it again."""
    told = [dict(event) for event in messages_events(HELLO) if isinstance(event, dict)]
    for event in told:
        if event["type"] == "message_start":
            event["message"] = {**event["message"], "usage": {**usage, "output_tokens": 1}}
        elif event["type"] == "message_delta":
            event["usage"] = usage
    kinds = [event["type"] for event in told]
    return events(*(told[: kinds.index(until) + 1] if until else told))


@EVERY_CLIENT
def test_cache_writes_counted_twice(translating: Gateway, client: str) -> None:
    script(translating, "claude", Behaviour(body=claude_stream(WRITES), stream=True))
    [row] = rows(translating, ask(translating, client, "claude", stream=True))
    assert (row.input_tokens, row.cache_write_tokens) == (5_111, 5_000)
    assert Fraction(row.cost_usd) == cost(plain=11, cache_read=100, cache_write_5m=5_000, output=40)


@BOTH
@EVERY_CLIENT
def test_one_hour_cache_writes_at_the_five_minute_rate(
    translating: Gateway, client: str, stream: bool
) -> None:
    hours = {"ephemeral_5m_input_tokens": 1_000, "ephemeral_1h_input_tokens": 4_000}
    usage = {**WRITES, "cache_creation": hours}
    content = [{"type": "text", "text": "Hi"}]
    whole = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": content}
    body: Any = claude_stream(usage) if stream else {**whole, "stop_reason": "end_turn", "usage": usage}
    script(translating, "claude", Behaviour(body=body, stream=stream))
    [row] = rows(translating, ask(translating, client, "claude", stream=stream))
    expected = cost(plain=11, cache_read=100, cache_write_5m=1_000, cache_write_1h=4_000, output=40)
    assert Fraction(row.cost_usd) == expected


@BOTH
@EVERY_CLIENT
@pytest.mark.parametrize(
    "chain", ["claude-then-gpt", "gpt-then-gemini", "gemini-then-claude", "pro-then-claude"]
)
def test_cost_zero_after_a_fallback_or_pinned_to_the_failed_attempt(
    translating: Gateway, chain: str, client: str, stream: bool
) -> None:
    first, second = CHAINS[chain]
    script(translating, first, Behaviour(status=500))
    script(translating, second, says(second, stream=stream))
    answer = ask(translating, client, chain, stream=stream)
    assert text_of(client, answer) == "Hello 🚀"
    failed, answered = rows(translating, answer)
    assert (failed.model, outcome(failed), failed.cost_usd) == (first, "error", "0")
    assert (answered.model, outcome(answered)) == (second, "ok")
    expected = cost(plain=20, cache_read=10, output=20)
    assert Fraction(answered.cost_usd) == expected
    assert Fraction(translating.call(answer.request_id).cost_usd) == expected
    assert answer.header("x-headgate-model") == f"at-{second}/{MODELS[second][1]}"


@EVERY_PAIR
def test_two_rows_for_one_call(translating: Gateway, client: str, model: str) -> None:
    script(translating, model, says(model))
    answer = ask(translating, client, model, stream=True)
    assert len(rows(translating, answer)) == len(translating.attempts(1)) == 1


@EVERY_CLIENT
def test_failed_streams_billed_from_character_estimates(translating: Gateway, client: str) -> None:
    """What the provider counted before it broke off is billed, and what was seen of the rest."""
    body = claude_stream({**WRITES, "output_tokens": 40}, until="content_block_delta")
    script(translating, "claude", Behaviour(body=body, stream=True))
    [row] = rows(translating, ask(translating, client, "only-claude", stream=True))
    assert (outcome(row), row.estimated) == ("error", True)
    assert (row.input_tokens, row.cache_write_tokens) == (5_111, 5_000)
    assert 1 <= row.output_tokens <= 3


@EVERY_CLIENT
def test_usage_of_a_disconnected_stream_lost(translating: Gateway, client: str) -> None:
    body = claude_stream(WRITES)
    held = body.index(b"content_block_stop")
    script(translating, "claude", Behaviour(body=body, stream=True, cut=Cut("body_bytes", held, "stall")))
    document = json.dumps(question(client, "claude", stream=True)).encode()
    with translating.connect() as connection:
        connection.send(request_bytes(document, translating.key, PATHS[client]))
        connection.wait_for("lo 🚀".encode())
    [attempt] = translating.provider.wait_done(1)
    row = translating.row_of(attempt)
    assert (outcome(row), reason(row)) == ("cancelled", "client_left")
    assert (row.input_tokens, row.cache_write_tokens, row.estimated) == (5_111, 5_000, True)


# Streams.


@pytest.mark.parametrize("model", PROVIDERS)
def test_message_start_without_usage(translating: Gateway, model: str) -> None:
    """Anthropic's SDK needs it, and Claude Code shows it."""
    script(translating, model, says(model))
    start = ask(translating, "messages", model, stream=True).events()[0]
    assert start["type"] == "message_start"
    usage = start["message"]["usage"]
    assert usage["input_tokens"] > 0
    assert {"output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"} <= set(usage)


@pytest.mark.parametrize("model", [*PROVIDERS, "server"])
def test_thinking_deltas_inside_a_text_block(translating: Gateway, model: str) -> None:
    said = Said(reasoning=("a", "b"), text=("c", "d"), calls=(Call("c1", "look", ("{}",)),))
    script(translating, model, says(model, said))
    kinds: dict[int, str] = {}
    inside = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "tool_use"}
    deltas = 0
    for event in ask(translating, "messages", model, stream=True).events():
        if event["type"] == "content_block_start":
            assert event["index"] not in kinds
            kinds[event["index"]] = event["content_block"]["type"]
        elif event["type"] == "content_block_delta" and event["delta"]["type"] in inside:
            assert kinds[event["index"]] == inside[event["delta"]["type"]]
            deltas += 1
    assert deltas >= 4
    assert [kinds[index] for index in sorted(kinds) if kinds[index] != "thinking"] == ["text", "tool_use"]
    assert kinds[0] == "thinking"


@BOTH
@pytest.mark.parametrize("model", [*PROVIDERS, "server"])
def test_thinking_blocks_without_signature(translating: Gateway, model: str, stream: bool) -> None:
    """A client that sends them back would be refused by Anthropic, whoever answered."""
    said = Said(reasoning=("a", "b"), text=("c",))
    script(translating, model, says(model, said, stream=stream))
    answer = ask(translating, "messages", model, stream=stream)
    if stream:
        deltas = [event.get("delta", {}) for event in answer.events()]
        found = [delta["signature"] for delta in deltas if delta.get("type") == "signature_delta"]
    else:
        found = [b["signature"] for b in answer.document()["content"] if b["type"] == "thinking"]
    assert len(found) == 1
    assert all(found)


@pytest.mark.parametrize("client", ["responses", "messages"])
def test_parallel_tool_calls_sharing_an_index(translating: Gateway, client: str) -> None:
    def call(id: str, city: str) -> dict[str, Any]:
        arguments = json.dumps({"city": city})
        return chunk(
            {"tool_calls": [{"index": 0, "id": id, "function": {"name": "look", "arguments": arguments}}]}
        )

    body = events(call("a", "Zürich"), call("b", "Ürümqi"), chunk({}, finish_reason="tool_calls"), "[DONE]")
    script(translating, "server", Behaviour(body=body, stream=True))
    answer = ask(translating, client, "server", stream=True)
    if client == "messages":
        blocks = [e["content_block"] for e in answer.events() if e["type"] == "content_block_start"]
        assert [block["id"] for block in blocks] == ["a", "b"]
    else:
        items = answer.events()[-1]["response"]["output"]
        assert [(item["call_id"], json.loads(item["arguments"])["city"]) for item in items] == [
            ("a", "Zürich"),
            ("b", "Ürümqi"),
        ]


@pytest.mark.parametrize("client", ["chat", "responses"])
def test_tool_results_not_merged_into_one_user_turn(translating: Gateway, client: str) -> None:
    script(translating, "claude", says("claude", stream=False))
    names = ("a", "b")
    if client == "chat":
        calls = [
            {"id": n, "type": "function", "function": {"name": "look", "arguments": "{}"}} for n in names
        ]
        results = [{"role": "tool", "tool_call_id": n, "content": n} for n in names]
        messages = [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": None, "tool_calls": calls},
        ]
        fields: dict[str, Any] = {"messages": [*messages, *results, {"role": "user", "content": "go on"}]}
        fields["tools"] = [{"type": "function", "function": {"name": "look"}}]
    else:
        made = [{"type": "function_call", "call_id": n, "name": "look", "arguments": "{}"} for n in names]
        told = [{"type": "function_call_output", "call_id": n, "output": n} for n in names]
        user = {"role": "user", "content": "go on"}
        fields = {"input": [user, *made, *told, user]}
        fields["tools"] = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]
    assert ask(translating, client, "claude", **fields).status == 200
    [attempt] = translating.attempts(1)
    roles = [message["role"] for message in attempt.document()["messages"]]
    assert roles == ["user", "assistant", "user"]
    kinds = [block["type"] for block in attempt.document()["messages"][2]["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]


@EVERY_PAIR
def test_sse_heartbeats_that_break_clients(translating: Gateway, client: str, model: str) -> None:
    dialect = MODELS[model][3]
    body = stream_of(dialect, HELLO, heartbeats=range(20), comment=": OPENROUTER PROCESSING")
    script(translating, model, Behaviour(body=body, stream=True))
    answer = ask(translating, client, model, stream=True)
    assert text_of(client, answer) == "Hello 🚀"
    if client != dialect:
        assert b"PROCESSING" not in answer.body
        assert b"ping" not in answer.body


# Failures.


@EVERY_PAIR
def test_a_cut_stream_ending_as_a_clean_200(translating: Gateway, client: str, model: str) -> None:
    body = stream_of(MODELS[model][3], HELLO)
    cut = body.index(b"\n\n", body.index(b"Hel")) + 2
    script(translating, model, Behaviour(body=body, stream=True, cut=Cut("body_bytes", cut)))
    answer = ask(translating, client, f"only-{model}", stream=True)
    assert text_of(client, answer) == "Hel"
    error = last_error(client, answer)
    assert error["code"] == "upstream_error"
    assert not [end for end in (b"[DONE]", b"message_stop", b"response.completed") if end in answer.body]
    [row] = rows(translating, answer)
    assert outcome(row) == "error"


@EVERY_PAIR
def test_a_stream_without_its_last_event_ending_as_a_clean_200(
    translating: Gateway, client: str, model: str
) -> None:
    """The connection ends well, and the answer does not."""
    body = stream_of(MODELS[model][3], HELLO)
    script(
        translating, model, Behaviour(body=body[: body.index(b"\n\n", body.index(b"Hel")) + 2], stream=True)
    )
    answer = ask(translating, client, f"only-{model}", stream=True)
    assert last_error(client, answer)["code"] == "upstream_error"
    assert reason(rows(translating, answer)[0]) == "stream_cut"


@EVERY_CLIENT
@pytest.mark.parametrize("chain", ["claude-then-gpt", "gpt-then-gemini", "gemini-then-claude"])
def test_double_failure_answered_with_200_and_an_error_chunk(
    translating: Gateway, client: str, chain: str
) -> None:
    translating.provider.always("*", Behaviour(status=500))
    answer = ask(translating, client, chain, stream=True)
    assert answer.status == 502
    error = error_of(client, answer)
    assert error["code"] == "upstream_error"
    assert [attempt["reason"] for attempt in error["attempts"]] == ["upstream_error", "upstream_error"]
    assert answer.header("x-should-retry") == "false"
    translating.attempts(2)


OVERLOADED: dict[str, Any] = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
START = next(event for event in messages_events(HELLO) if isinstance(event, dict))


@EVERY_CLIENT
def test_overloaded_error_inside_a_200_stream_not_falling_back(translating: Gateway, client: str) -> None:
    body = events(START, {"type": "ping"}, OVERLOADED)
    script(translating, "claude", Behaviour(body=body, stream=True))
    script(translating, "gpt-plain", says("gpt-plain"))
    answer = ask(translating, client, "claude-then-gpt", stream=True)
    assert text_of(client, answer) == "Hello 🚀"
    failed, answered = rows(translating, answer)
    assert (reason(failed), outcome(answered)) == ("overloaded", "ok")


@EVERY_CLIENT
def test_overloaded_error_after_the_first_event_is_an_error_event(translating: Gateway, client: str) -> None:
    whole = claude_stream(WRITES, until="content_block_delta")
    script(translating, "claude", Behaviour(body=whole + events(OVERLOADED), stream=True))
    answer = ask(translating, client, "claude-then-gpt", stream=True)
    error = last_error(client, answer)
    assert error["message"] == "Overloaded"
    assert error["type"] == "overloaded_error"
    assert len(translating.attempts(1)) == 1, "what was begun cannot be answered by another"
    assert outcome(rows(translating, answer)[0]) == "error"


BAD_REQUESTS: dict[str, dict[str, Any]] = {
    "claude": {"type": "error", "error": {"type": "invalid_request_error", "message": "messages: bad"}},
    "gemini": {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "messages: bad"}},
    "gpt-plain": {
        "error": {"message": "messages: bad", "type": "invalid_request_error", "param": "messages"}
    },
    "pro": {"error": {"message": "messages: bad", "type": "invalid_request_error", "param": "input"}},
}


@BOTH
@EVERY_CLIENT
@pytest.mark.parametrize(
    ("model", "chain"),
    [
        ("claude", "claude-then-gpt"),
        ("gemini", "gemini-then-claude"),
        ("gpt-plain", "gpt-then-gemini"),
        ("pro", "pro-then-claude"),
    ],
)
def test_retry_of_a_400(translating: Gateway, model: str, chain: str, client: str, stream: bool) -> None:
    translating.provider.always("*", Behaviour(status=400, body=BAD_REQUESTS[model]))
    answer = ask(translating, client, chain, stream=stream)
    assert answer.status == 400
    error = error_of(client, answer)
    assert error["message"] == "messages: bad"
    assert error["type"] == "invalid_request_error"
    translating.attempts(1)
