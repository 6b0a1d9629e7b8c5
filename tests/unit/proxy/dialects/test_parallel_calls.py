"""Parallel tool calls stay apart: each with its own index and id, whatever the provider does with its own.

Known failures of other gateways: calls that share an index or have none, ids that are missing or repeated.
"""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from tests.support.saying import EVENTS, Call, Said, stream_of
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
    at,
    bridge,
    events_of,
    parsed,
    question,
    streamed,
)
from tests.unit.proxy.dialects.hearing import HEARD

Document = dict[str, Any]
SERVER = at("any", "openai-compatible")
TOOLS = {CHAT: [CHAT_TOOL], MESSAGES: [MESSAGES_TOOL], RESPONSES: [RESPONSES_TOOL]}
THREE = Said(
    calls=(
        Call("c0", "look", ('{"city":', '"A"}')),
        Call("c1", "look", ('{"city"', ":", '"B"}')),
        Call("c2", "walk", ("{}",)),
    )
)
TRANSLATED = [
    (client, dialect)
    for client in CLIENTS
    for dialect in EVENTS
    if {CHAT: "chat", MESSAGES: "messages", RESPONSES: "responses"}[client] != dialect
]


@pytest.mark.parametrize(("client", "dialect"), TRANSLATED)
def test_interleaved_calls_have_an_index_and_an_id_each(client: str, dialect: str) -> None:
    target = {"chat": SERVER, "responses": at("gpt-5-pro", "openai"), "messages": CLAUDE, "gemini": GEMINI}
    events = streamed(client, target[dialect], stream_of(dialect, THREE), tools=TOOLS[client])
    assert HEARD[client](events).calls == [
        ("c0", "look", {"city": "A"}),
        ("c1", "look", {"city": "B"}),
        ("c2", "walk", {}),
    ]


def chunk(*calls: Document, **more: Any) -> Document:
    choice = {"index": 0, "delta": {"tool_calls": list(calls)} if calls else {}, **more}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def call(id: str, arguments: str, **more: Any) -> Document:
    return {"id": id, "type": "function", "function": {"name": f"f_{id}", "arguments": arguments}, **more}


def calls_heard(client: str, *events: Document) -> list[tuple[str, str, Any]]:
    usage = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
    raw = events_of(*events, chunk(finish_reason="tool_calls"), usage, b"data: [DONE]\n\n")
    return HEARD[client](streamed(client, SERVER, raw, tools=TOOLS[client])).calls


A_AND_B = [("a", "f_a", {"x": 1}), ("b", "f_b", {"y": 2})]


@pytest.mark.parametrize("client", [MESSAGES, RESPONSES])
def test_calls_that_share_an_index_are_two_calls(client: str) -> None:
    """Gemini's OpenAI door, and servers that count per chunk, send each call with index 0."""
    first, second = call("a", '{"x":1}', index=0), call("b", '{"y":2}', index=0)
    assert calls_heard(client, chunk(first), chunk(second)) == A_AND_B


@pytest.mark.parametrize("client", [MESSAGES, RESPONSES])
def test_calls_that_share_an_index_and_come_in_pieces_are_two_calls(client: str) -> None:
    def more(text: str) -> Document:
        return {"index": 0, "function": {"arguments": text}}

    events = [chunk(call("a", "", index=0)), chunk(more('{"x":')), chunk(more("1}"))]
    events += [chunk(call("b", '{"y"', index=0)), chunk(more(":2}"))]
    assert calls_heard(client, *events) == A_AND_B


@pytest.mark.parametrize("client", [MESSAGES, RESPONSES])
def test_calls_without_an_index_are_told_apart(client: str) -> None:
    assert calls_heard(client, chunk(call("a", '{"x":1}'), call("b", '{"y":2}'))) == A_AND_B
    assert calls_heard(client, chunk(call("a", '{"x":1}')), chunk(call("b", '{"y":2}'))) == A_AND_B


@pytest.mark.parametrize("client", [MESSAGES, RESPONSES])
def test_an_id_and_a_name_repeated_with_every_piece_are_one_call(client: str) -> None:
    first, second = call("a", '{"x":', index=0), call("a", "1}", index=0)
    assert calls_heard(client, chunk(first), chunk(second)) == A_AND_B[:1]


@pytest.mark.parametrize("client", [MESSAGES, RESPONSES])
def test_calls_without_ids_get_ids_that_no_other_answer_has(client: str) -> None:
    nameless = [{"index": i, "function": {"name": "f", "arguments": "{}"}} for i in range(2)]
    ids = []
    for number in range(2):
        document = question(client, stream=True, tools=TOOLS[client])
        stream = bridge(client, document, SERVER, request_id=bytes([number]) * 16).stream()
        assert stream is not None
        raw = events_of(chunk(*nameless), chunk(finish_reason="tool_calls"), b"data: [DONE]\n\n")
        events = parsed(stream.feed(raw) + stream.end())
        ids += [event["content_block"]["id"] for event in events if "content_block" in event]
        ids += [e["item"]["call_id"] for e in events if e["type"] == "response.output_item.added"]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("client", [MESSAGES, RESPONSES])
def test_arguments_that_came_as_an_object_are_its_text(client: str) -> None:
    whole_call = {"index": 0, "id": "a", "function": {"name": "f_a", "arguments": {"x": 1}}}
    assert calls_heard(client, chunk(whole_call)) == A_AND_B[:1]


@pytest.mark.parametrize("client", CLIENTS)
def test_whole_answers_keep_every_call(client: str) -> None:
    blocks = [{"type": "tool_use", "id": f"t{i}", "name": "look", "input": {"i": i}} for i in range(3)]
    answer = {"id": "m", "content": blocks, "stop_reason": "tool_use", "usage": {"input_tokens": 1}}
    made = bridge(client, question(client, tools=TOOLS[client]), CLAUDE).whole(orjson.dumps(answer))
    document = orjson.loads(made.body)
    if client == CHAT:
        calls = document["choices"][0]["message"]["tool_calls"]
        found = [(c["id"], json.loads(c["function"]["arguments"])) for c in calls]
    elif client == RESPONSES:
        found = [(i["call_id"], json.loads(i["arguments"])) for i in document["output"]]
    else:
        found = [(b["id"], b["input"]) for b in document["content"]]
    assert found == [(f"t{i}", {"i": i}) for i in range(3)]


def test_a_legacy_function_call_is_a_tool_call() -> None:
    events = [
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"function_call": delta}}]}
        for delta in ({"name": "look", "arguments": '{"x"'}, {"arguments": ":1}"})
    ]
    ((_, name, arguments),) = calls_heard(MESSAGES, *events)
    assert (name, arguments) == ("look", {"x": 1})
