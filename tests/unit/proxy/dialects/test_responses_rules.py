"""The Responses API on both sides: what is asked of OpenAI, and what a Responses client gets from others.

https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.errors import CallError
from tests.support import provider_rules
from tests.support.saying import Call, Said, stream_of
from tests.unit.proxy.dialects.asking import (
    BY_RESPONSES,
    CHAT,
    CHAT_TOOL,
    CLAUDE,
    GEMINI,
    MESSAGES,
    MESSAGES_TOOL,
    OPENAI,
    QUESTION,
    RESPONSES,
    RESPONSES_TOOL,
    at,
    bridge,
    events_of,
    question,
    refused,
    streamed,
    whole,
    written,
)
from tests.unit.proxy.dialects.hearing import heard_by_responses

Document = dict[str, Any]
CUSTOM = {"type": "custom", "name": "patch", "format": {"type": "text"}}
SPACE = {
    "type": "namespace",
    "name": "files",
    "description": "d",
    "tools": [{**RESPONSES_TOOL, "name": "read"}],
}
TOOLS = [RESPONSES_TOOL, CUSTOM, SPACE]


def test_strict_is_always_said_because_leaving_it_out_means_something_else_here() -> None:
    document = written(CHAT, question(CHAT, tools=[CHAT_TOOL]), BY_RESPONSES)
    assert document["tools"][0]["strict"] is False
    strict = {"type": "function", "function": {**CHAT_TOOL["function"], "strict": True}}  # type: ignore[dict-item]
    assert written(CHAT, question(CHAT, tools=[strict]), BY_RESPONSES)["tools"][0]["strict"] is True


def test_tools_of_the_newest_gpts_are_asked_for_by_responses_and_without_tools_by_chat() -> None:
    newest = at("gpt-5.5", "openai")
    with_tools = bridge(MESSAGES, question(MESSAGES, tools=[MESSAGES_TOOL]), newest)
    assert with_tools.operation == "responses"
    assert bridge(MESSAGES, question(MESSAGES), newest).operation == "chat.completions"
    declared = at("gpt-5.5", "openai", declared_dialects=("chat",))
    assert (
        bridge(MESSAGES, question(MESSAGES, tools=[MESSAGES_TOOL]), declared).operation == "chat.completions"
    )


@pytest.mark.parametrize("model", ["gpt-5.3-codex", "o3-pro", "o4-mini-deep-research", "gpt-5-pro"])
def test_models_that_only_responses_offers_are_called_there(model: str) -> None:
    document = written(CHAT, question(CHAT, tools=[CHAT_TOOL]), at(model, "openai"))
    assert "input" in document
    provider_rules.check("responses", document)


def test_claude_codes_probe_is_something_that_responses_takes() -> None:
    """`max_tokens: 1`, `temperature: 1`: the first is below the minimum there, the second refused."""
    request = question(MESSAGES, max_tokens=1, temperature=1, tools=[MESSAGES_TOOL])
    document = written(MESSAGES, request, at("gpt-5.5", "openai"))
    provider_rules.check("responses", document)


@pytest.mark.parametrize(
    ("fields", "place"),
    [({"stop": ["x"]}, "stop"), ({"seed": 1}, "seed"), ({"presence_penalty": 1}, "presence_penalty")],
)
def test_what_the_responses_api_lacks_is_refused_by_its_name(fields: Document, place: str) -> None:
    assert refused(CHAT, question(CHAT, **fields), BY_RESPONSES) == place


def test_results_with_pictures_stay_whole_and_failed_ones_say_so() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    used: list[Document] = [{"type": "tool_use", "id": i, "name": "look", "input": {}} for i in ("a", "b")]
    results = [
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "see"}, image]},
        {"type": "tool_result", "tool_use_id": "b", "content": "broken", "is_error": True},
    ]
    messages = [QUESTION, {"role": "assistant", "content": used}, {"role": "user", "content": results}]
    document = written(MESSAGES, question(MESSAGES, messages=messages, tools=[MESSAGES_TOOL]), BY_RESPONSES)
    seen, broken = (i for i in document["input"] if i["type"] == "function_call_output")
    assert [part["type"] for part in seen["output"]] == ["input_text", "input_image"]
    assert broken["output"] == "Error: broken"
    provider_rules.check("responses", document)


@pytest.mark.parametrize("name", ["previous_response_id", "conversation"])
def test_what_another_provider_stored_is_refused_but_passed_where_state_is_kept(name: str) -> None:
    request = question(RESPONSES, **{name: "resp_1"})
    for target in (CLAUDE, GEMINI, at("m", "openrouter")):
        assert refused(RESPONSES, request, target) == name
    assert written(RESPONSES, request, at("gpt-5", "openai"))[name] == "resp_1"


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "x"},
        {"id": "x"},
        {"type": "computer_call", "id": "c"},
        {"type": "new"},
    ],
)
def test_items_that_nobody_else_knows_are_refused_by_their_place(item: Document) -> None:
    assert refused(RESPONSES, question(RESPONSES, input=[QUESTION, item]), CLAUDE) == "input[1]"


@pytest.mark.parametrize("given", [None, 5, {"a": 1}])
def test_an_input_of_another_type_is_a_400_that_names_it(given: object) -> None:
    with pytest.raises(CallError) as refusal:
        bridge(RESPONSES, question(RESPONSES, input=given), CLAUDE)
    assert (refusal.value.status, refusal.value.param) == (400, "input")


CALLS = (
    Call("c1", "patch", ('{"inp', 'ut":"*** é\\n', '"}')),
    Call("c2", "files__read", ('{"city":', '"Z"}')),
    Call("c3", "look", ("{}",)),
)
EXPECTED = [
    {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** é\n"},
    {
        "type": "function_call",
        "call_id": "c2",
        "name": "read",
        "namespace": "files",
        "arguments": '{"city":"Z"}',
    },
    {"type": "function_call", "call_id": "c3", "name": "look", "arguments": "{}"},
]


def shown(item: Document) -> Document:
    return {name: value for name, value in item.items() if name not in ("id", "status")}


@pytest.mark.parametrize("dialect", ["chat", "messages", "gemini"])
def test_calls_come_back_as_the_custom_and_namespaced_tools_that_the_client_declared(dialect: str) -> None:
    target = {"chat": OPENAI, "messages": CLAUDE, "gemini": GEMINI}[dialect]
    events = streamed(RESPONSES, target, stream_of(dialect, Said(text=("Hm.",), calls=CALLS)), tools=TOOLS)
    last = events[-1]["response"]
    # Gemini's signature is a reasoning item of its own.
    items = [item for item in last["output"][1:] if item["type"] != "reasoning"]
    assert [shown(item) for item in items] == EXPECTED
    done = [e for e in events if e["type"] == "response.custom_tool_call_input.done"]
    assert [event["input"] for event in done] == ["*** é\n"]
    deltas = [e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == "*** é\n"
    added = [e["item"] for e in events if e["type"] == "response.output_item.added"]
    assert [item["type"] for item in added] == [item["type"] for item in last["output"]]
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    assert last["tools"] == TOOLS, "the request is echoed"


def test_a_whole_answer_is_the_response_of_a_streams_last_event() -> None:
    answer = {
        "id": "msg_1",
        "model": "claude",
        "stop_reason": "tool_use",
        "content": [
            {"type": "text", "text": "Hm."},
            {"type": "tool_use", "id": "c1", "name": "patch", "input": {"input": "*** é\n"}},
            {"type": "tool_use", "id": "c2", "name": "files__read", "input": {"city": "Z"}},
            {"type": "tool_use", "id": "c3", "name": "look", "input": {}},
        ],
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    document = whole(RESPONSES, CLAUDE, answer, tools=TOOLS)
    assert [shown(item) for item in document["output"][1:]] == EXPECTED
    assert (document["status"], document["object"]) == ("completed", "response")
    for name in ("id", "created_at", "error", "incomplete_details", "instructions", "metadata", "model"):
        assert name in document
    usage = document["usage"]
    assert usage["total_tokens"] == 7
    assert {"cached_tokens", "cache_write_tokens"} <= set(usage["input_tokens_details"])
    assert "reasoning_tokens" in usage["output_tokens_details"]


def test_custom_tools_of_a_chat_client_are_functions_with_one_string() -> None:
    custom = {"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}}
    call = {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** é"}}
    messages = [
        QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    ]
    for target in (CLAUDE, GEMINI, BY_RESPONSES):
        sent = json.dumps(written(CHAT, question(CHAT, messages=messages, tools=[custom]), target))
        assert "*** \\u00e9" in sent


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("max_tokens", "incomplete", "max_output_tokens"),
        ("model_context_window_exceeded", "incomplete", "max_output_tokens"),
        ("end_turn", "completed", None),
        ("tool_use", "completed", None),
    ],
)
def test_an_answer_that_was_cut_short_is_incomplete(reason: str, status: str, why: str | None) -> None:
    content = [{"type": "text", "text": "x"}]
    answer = {
        "id": "m",
        "content": content,
        "stop_reason": reason,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    document = whole(RESPONSES, CLAUDE, answer)
    assert document["status"] == status
    assert (document["incomplete_details"] or {}).get("reason") == why


def test_summaries_in_parts_are_one_readable_text() -> None:
    """OpenAI's reasoning comes in several summary parts; other dialects have one text."""
    item = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "E"}
    at_first = {"output_index": 0, "item_id": "rs"}
    parts: list[Document] = [{"type": "response.created", "response": {"id": "r", "model": "m"}}]
    parts.append({"type": "response.output_item.added", "output_index": 0, "item": item})
    for number, text in enumerate(("One.", "Two.")):
        place = {**at_first, "summary_index": number}
        parts.append({"type": "response.reasoning_summary_part.added", **place})
        parts.append({"type": "response.reasoning_summary_text.delta", **place, "delta": text})
    parts.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    parts.append({"type": "response.completed", "response": {"id": "r", "status": "completed"}})
    events = streamed(CHAT, at("gpt-5-pro", "openai"), events_of(*parts))
    deltas = [c["delta"] for e in events for c in e["choices"]]
    assert "".join(d.get("reasoning_content", "") for d in deltas) == "One.\n\nTwo."


def test_arguments_whose_deltas_came_too_early_are_taken_from_the_whole_item() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "look", "arguments": '{"a":1}'}
    events = streamed(
        CHAT,
        at("gpt-5-pro", "openai"),
        events_of(
            {"type": "response.created", "response": {"id": "r", "model": "m"}},
            {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a":'},
            {"type": "response.output_item.done", "output_index": 0, "item": call},
            {"type": "response.completed", "response": {"id": "r", "status": "completed"}},
        ),
    )
    calls = [c for e in events for x in e["choices"] for c in x["delta"].get("tool_calls", ())]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"a":1}'


def test_a_stream_without_its_first_event_is_readable_all_the_same() -> None:
    """Servers that only resemble OpenAI leave `response.created` out."""
    raw = events_of(
        {"type": "response.output_text.delta", "output_index": 0, "delta": "x"},
        {"type": "response.completed", "response": {"id": "r", "status": "completed"}},
    )
    events = streamed(MESSAGES, at("gpt-5-pro", "openai"), raw)
    assert events[0]["type"] == "message_start"
    assert streamed(CHAT, at("gpt-5-pro", "openai"), raw)[0]["choices"][0]["delta"]["role"] == "assistant"


def test_two_messages_of_one_answer_are_heard_in_their_order() -> None:
    events = streamed(RESPONSES, CLAUDE, stream_of("messages", Said(reasoning=("a",), text=("b",))))
    heard = heard_by_responses(events)
    assert (heard.reasoning, heard.text) == ("a", "b")
