"""Structured output: by the provider where it takes the schema, else by a tool that must be called.

The client of an emulated answer sees text and a stop, streamed or whole, and nothing of the tool.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from proxy.dialects.neutral.emulation import FORCED_TOOL
from tests.support import provider_rules
from tests.support.saying import Call, Said, stream_of
from tests.unit.proxy.dialects.asking import (
    BOUNDED,
    BY_RESPONSES,
    CHAT,
    CHAT_TOOL,
    CLAUDE,
    CLIENTS,
    CLOSED,
    GEMINI,
    MESSAGES,
    MESSAGES_TOOL,
    OPENAI,
    RESPONSES,
    RESPONSES_TOOL,
    at,
    bridge,
    parsed,
    question,
    refused,
    whole,
    written,
)
from tests.unit.proxy.dialects.hearing import FINISHES, HEARD

Document = dict[str, Any]
OLD_CLAUDE = at("claude-3-5-haiku", "anthropic")
PLAIN_SERVER = at("any", "openai-compatible", capabilities=())
TOOLS = {CHAT: [CHAT_TOOL], MESSAGES: [MESSAGES_TOOL], RESPONSES: [RESPONSES_TOOL]}


def asked(client: str, schema: Document | None, **fields: Any) -> Document:
    """`schema` None: any JSON object."""
    if client == CHAT:
        inner = {"name": "place", "schema": schema, "strict": True, "description": "Where."}
        form: Document = {"type": "json_schema", "json_schema": inner}
        return question(CHAT, response_format=form if schema else {"type": "json_object"}, **fields)
    if client == RESPONSES:
        form = {"type": "json_schema", "name": "place", "schema": schema, "strict": True}
        return question(RESPONSES, text={"format": form if schema else {"type": "json_object"}}, **fields)
    return question(MESSAGES, output_config={"format": {"type": "json_schema", "schema": schema}}, **fields)


def test_a_schema_goes_in_the_providers_own_field() -> None:
    assert (
        written(MESSAGES, asked(MESSAGES, CLOSED), OPENAI)["response_format"]["json_schema"]["schema"]
        == CLOSED
    )
    by_responses = written(CHAT, asked(CHAT, CLOSED), BY_RESPONSES)["text"]["format"]
    assert by_responses == {
        "type": "json_schema",
        "name": "place",
        "schema": CLOSED,
        "strict": True,
        "description": "Where.",
    }
    claude = written(CHAT, asked(CHAT, CLOSED), CLAUDE)
    assert claude["output_config"] == {"format": {"type": "json_schema", "schema": CLOSED}}
    gemini = written(CHAT, asked(CHAT, BOUNDED), GEMINI)["generationConfig"]
    assert gemini == {"responseMimeType": "application/json", "responseJsonSchema": BOUNDED}


UNFIT: list[Document] = [
    BOUNDED,
    {**CLOSED, "additionalProperties": True},
    {k: v for k, v in CLOSED.items() if k != "additionalProperties"},
    {**CLOSED, "properties": {"city": {"type": "string", "pattern": "^a"}}},
    {**CLOSED, "properties": {"city": {"type": "array", "items": {"type": "string"}, "minItems": 2}}},
    {**CLOSED, "properties": {"city": {"oneOf": [{"type": "string"}, {"type": "null"}]}}},
    {**CLOSED, "$defs": {"x": {"type": "object", "properties": {}}}},
]


@pytest.mark.parametrize("schema", UNFIT)
def test_a_schema_that_claude_would_refuse_is_a_forced_tool(schema: Document) -> None:
    document = written(CHAT, asked(CHAT, schema), CLAUDE)
    assert "output_config" not in document
    (tool,) = document["tools"]
    assert (tool["name"], tool["input_schema"]) == (FORCED_TOOL, {**schema, "type": "object"})
    assert document["tool_choice"] == {"type": "tool", "name": FORCED_TOOL}
    provider_rules.check("messages", document)


@pytest.mark.parametrize("schema", UNFIT)
@pytest.mark.parametrize("fields", [{"reasoning_effort": "low"}, {}])
def test_where_no_tool_can_be_forced_the_schema_is_tightened(schema: Document, fields: Document) -> None:
    """Thinking forbids it in the older models, and the newest never allow it."""
    target = CLAUDE if fields else at("claude-opus-5-5", "anthropic")
    document = written(CHAT, asked(CHAT, schema, **fields), target)
    assert document["output_config"]["format"]["type"] == "json_schema"
    assert "tools" not in document
    provider_rules.check("messages", document)


def test_what_a_tightened_schema_loses_is_said_in_its_description() -> None:
    document = written(CHAT, asked(CHAT, BOUNDED), at("claude-opus-5-5", "anthropic"))
    number = document["output_config"]["format"]["schema"]["properties"]["n"]
    assert "minimum" not in number
    assert "minimum: 1" in number["description"]


EMULATED: list[tuple[str, Any, str, Document | None]] = [
    *((client, CLAUDE, "messages", BOUNDED) for client in (CHAT, RESPONSES)),
    *((client, OLD_CLAUDE, "messages", CLOSED) for client in (CHAT, RESPONSES)),
    *((client, CLAUDE, "messages", None) for client in (CHAT, RESPONSES)),
    *((client, PLAIN_SERVER, "chat", CLOSED) for client in (MESSAGES, RESPONSES)),
]
ANSWER = '{"city":"Zürich 🚀"}'


@pytest.mark.parametrize(("client", "target", "dialect", "schema"), EMULATED)
def test_an_emulated_answer_is_text_and_a_stop_in_a_stream(
    client: str, target: Any, dialect: str, schema: Document | None
) -> None:
    said = Said(text=("Here you are.",), calls=(Call("c1", FORCED_TOOL, (ANSWER[:6], ANSWER[6:])),))
    more: Document = {"stream_options": {"include_usage": True}} if client == CHAT else {}
    stream = bridge(client, asked(client, schema, stream=True, **more), target).stream()
    assert stream is not None
    raw = stream_of(dialect, said)
    half = raw.index(b"ty") + 1
    first = stream.feed(raw[:half])
    events = parsed(first + stream.feed(raw[half:]) + stream.end())
    heard = HEARD[client](events)
    assert heard.text == ANSWER, "what the model says beside its answer is no JSON"
    assert heard.calls == []
    assert heard.finish == FINISHES[client][2]
    assert FORCED_TOOL not in str(events)


@pytest.mark.parametrize(("client", "target", "dialect", "schema"), EMULATED)
def test_an_emulated_answer_is_text_and_a_stop_in_one_piece(
    client: str, target: Any, dialect: str, schema: Document | None
) -> None:
    answers: dict[str, Document] = {
        "messages": {
            "id": "m",
            "content": [{"type": "tool_use", "id": "t", "name": FORCED_TOOL, "input": json.loads(ANSWER)}],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 1, "output_tokens": 1},
        },
        "chat": {
            "id": "m",
            "choices": [
                {
                    "message": {
                        "content": None,
                        "tool_calls": [{"id": "t", "function": {"name": FORCED_TOOL, "arguments": ANSWER}}],
                    },
                    "finish_reason": "tool_calls",
                }
            ],
        },
    }
    made = bridge(client, asked(client, schema), target).whole(orjson.dumps(answers[dialect]))
    document = orjson.loads(made.body)
    read: dict[str, Callable[[Document], tuple[str, str]]] = {
        CHAT: lambda d: (d["choices"][0]["message"]["content"], d["choices"][0]["finish_reason"]),
        MESSAGES: lambda d: (d["content"][0]["text"], d["stop_reason"]),
        RESPONSES: lambda d: (d["output"][0]["content"][0]["text"], d["status"]),
    }
    text, finish = read[client](document)
    assert json.loads(text) == json.loads(ANSWER)
    assert finish == FINISHES[client][2]
    assert FORCED_TOOL not in str(document)


@pytest.mark.parametrize("client", [CHAT, RESPONSES])
def test_the_clients_own_tools_can_be_called_instead_of_the_emulated_answer(client: str) -> None:
    request = asked(client, BOUNDED, tools=TOOLS[client])
    document = written(client, request, CLAUDE)
    assert [tool["name"] for tool in document["tools"]] == ["look", FORCED_TOOL]
    assert document["tool_choice"] == {"type": "any"}
    call: Document = {"type": "tool_use", "id": "t", "name": "look", "input": {"city": "Z"}}
    answer = {"id": "m", "content": [call], "stop_reason": "tool_use", "usage": {"input_tokens": 1}}
    made = orjson.loads(bridge(client, request, CLAUDE).whole(orjson.dumps(answer)).body)
    assert "look" in str(made)
    finish = made["choices"][0]["finish_reason"] if client == CHAT else made["output"][0]["type"]
    assert finish in ("tool_calls", "function_call")


def test_tools_that_the_client_forbids_cannot_be_called_beside_an_emulated_answer() -> None:
    for target, named in (
        (CLAUDE, {"type": "tool", "name": FORCED_TOOL}),
        (PLAIN_SERVER, {"type": "function", "function": {"name": FORCED_TOOL}}),
    ):
        request = asked(RESPONSES, BOUNDED, tools=[RESPONSES_TOOL], tool_choice="none")
        document = written(RESPONSES, request, target)
        assert document["tool_choice"] == named
        names = [tool.get("name") or tool["function"]["name"] for tool in document["tools"]]
        assert FORCED_TOOL in names


def test_one_call_at_a_time_holds_for_an_emulated_answer_too() -> None:
    document = written(CHAT, asked(CHAT, BOUNDED, tools=[CHAT_TOOL], parallel_tool_calls=False), CLAUDE)
    assert document["tool_choice"]["disable_parallel_tool_use"] is True


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-sonnet-5-5"])
def test_any_json_object_is_refused_where_it_can_neither_be_said_nor_forced(model: str) -> None:
    assert refused(CHAT, asked(CHAT, None), at(model, "anthropic")) == "response_format"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_forced_answer_that_was_cut_short_is_no_stop(client: str) -> None:
    target = PLAIN_SERVER if client == MESSAGES else OLD_CLAUDE
    said = Said(calls=(Call("c1", FORCED_TOOL, ('{"city":',)),), cut_short=True)
    more: Document = {"stream_options": {"include_usage": True}} if client == CHAT else {}
    stream = bridge(client, asked(client, CLOSED, stream=True, **more), target).stream()
    assert stream is not None
    raw = stream_of("chat" if client == MESSAGES else "messages", said)
    assert HEARD[client](parsed(stream.feed(raw) + stream.end())).finish == FINISHES[client][0]


def test_text_without_the_forced_call_is_the_answer_all_the_same() -> None:
    """A model may answer in words although it was told to call."""
    answer = {"id": "m", "content": [{"type": "text", "text": ANSWER}], "stop_reason": "end_turn"}
    document = whole(CHAT, OLD_CLAUDE, answer, response_format={"type": "json_object"})
    assert document["choices"][0]["message"]["content"] == ANSWER
