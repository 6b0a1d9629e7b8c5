"""The conformance suite's own rules: a good stream is good, and every way to break one is found.

These need no recordings. What the checks would let through, nobody else would find.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract.conformance import grammar, meaning_chat, meaning_gemini, sse
from tests.contract.conformance.allowances import ALLOWANCES
from tests.contract.conformance.requests import differences
from tests.contract.conformance.said import holds
from tests.contract.conformance.sse import Event

Documents = list[dict[str, Any]]


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    front = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**front, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


USAGE = {**chunk({}), "choices": [], "usage": {"prompt_tokens": 1}}
CHAT: Documents = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hi"}),
    chunk({}, "stop"),
    USAGE,
]
TEXT = {"type": "text", "text": ""}
MESSAGES: Documents = [
    {
        "type": "message_start",
        "message": {"content": [], "stop_reason": None, "usage": {"input_tokens": 3}},
    },
    {"type": "content_block_start", "index": 0, "content_block": TEXT},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]
PART = {"type": "output_text", "text": "Hi", "annotations": []}
ITEM = {"type": "message", "id": "msg_0", "status": "completed", "content": [PART]}
PLACE = {"item_id": "msg_0", "output_index": 0, "content_index": 0}
RESPONSES: Documents = [
    {"type": "response.created", "response": {"id": "r", "model": "m", "created_at": 1}},
    {"type": "response.in_progress", "response": {"id": "r"}},
    {"type": "response.output_item.added", "output_index": 0, "item": {**ITEM, "content": []}},
    {"type": "response.content_part.added", **PLACE, "part": {**PART, "text": ""}},
    {"type": "response.output_text.delta", **PLACE, "delta": "Hi"},
    {"type": "response.output_text.done", **PLACE, "text": "Hi"},
    {"type": "response.content_part.done", **PLACE, "part": PART},
    {"type": "response.output_item.done", "output_index": 0, "item": ITEM},
    {
        "type": "response.completed",
        "response": {"id": "r", "model": "m", "created_at": 1, "output": [ITEM]},
    },
]


def chat(documents: Documents) -> list[str]:
    events = [Event("", json.dumps(document)) for document in documents]
    return [*grammar.chat([*events, Event("", "[DONE]")], wants_usage=True, ended_badly=False)]


def messages(documents: Documents) -> list[str]:
    return [*grammar.messages(named(documents), ended_badly=False)]


def responses(documents: Documents) -> list[str]:
    numbered = [{**document, "sequence_number": number} for number, document in enumerate(documents)]
    return [*grammar.responses(named(numbered), ended_badly=False)]


def named(documents: Documents) -> list[Event]:
    return [Event(document["type"], json.dumps(document)) for document in documents]


STREAMS: list[tuple[str, Callable[[Documents], list[str]], Documents]] = [
    ("chat", chat, CHAT),
    ("messages", messages, MESSAGES),
    ("responses", responses, RESPONSES),
]


@pytest.mark.parametrize(("check", "good"), [pytest.param(c, g, id=name) for name, c, g in STREAMS])
def test_a_good_stream_is_good(check: Callable[[Documents], list[str]], good: Documents) -> None:
    assert check(good) == []


def broken() -> Iterator[Any]:
    """Without one of its events, and with one of them twice."""
    for name, check, good in STREAMS:
        for index, document in enumerate(good):
            # More text is more text, and a response may say nothing.
            delta = "delta" in document.get("type", "") and "stop_reason" not in str(document)
            if name == "chat":
                delta = bool(document["choices"]) and bool(document["choices"][0]["delta"].get("content"))
            place = f"{name}-{index}"
            if not delta or name == "responses":
                yield pytest.param(check, good[:index] + good[index + 1 :], id=f"{place}-lacking")
            if not delta and not (name == "chat" and index == 0):
                yield pytest.param(check, good[: index + 1] + good[index:], id=f"{place}-twice")


@pytest.mark.parametrize(("check", "bad"), [*broken()])
def test_a_stream_that_lacks_or_repeats_an_event_is_found(
    check: Callable[[Documents], list[str]], bad: Documents
) -> None:
    assert check(bad) != []


def test_an_answer_that_is_not_what_its_deltas_said_is_found() -> None:
    bad = copy.deepcopy(RESPONSES)
    bad[4]["delta"] = "Hello"
    assert responses(bad) == ["output_text.done is not what its deltas said"]
    bad = copy.deepcopy(RESPONSES)
    bad[-1]["response"]["output"] = []
    assert responses(bad) == ["the last event's output is not what was done"]


def test_input_tokens_must_stand_in_message_start() -> None:
    bad = copy.deepcopy(MESSAGES)
    bad[0]["message"]["usage"]["input_tokens"] = 0
    assert messages(bad) == ["message_start has no input tokens"]


def test_usage_that_nobody_asked_for_is_found() -> None:
    events = [*(Event("", json.dumps(document)) for document in CHAT), Event("", "[DONE]")]
    assert [*grammar.chat(events, wants_usage=False, ended_badly=False)] == ["usage that nobody asked for"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_are_read_with_any_line_end(end: str) -> None:
    body = end.join([": ping", "event: a", "data: 1", "data: 2", "", "data: [DONE]", "", ""]).encode()
    assert [*sse.events(body)] == [Event("a", "1\n2"), Event("", "[DONE]")]


@pytest.mark.parametrize(
    "field",
    ["temperature", "tools", "tool_choice", "response_format", "reasoning_effort", "stop", "something_new"],
)
def test_a_field_that_is_lost_is_a_difference(field: str) -> None:
    function = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
    request = {
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "required",
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
        "stop": ["x"],
        "something_new": 1,
    }
    less = {name: value for name, value in request.items() if name != field}
    was, now = meaning_chat.read(request), meaning_chat.read(less)
    assert [*differences([vars_of(was)], [vars_of(now)])]


def vars_of(meaning: Any) -> dict[str, Any]:
    return {name: getattr(meaning, name) for name in meaning.__slots__}


def test_gemini_calls_without_ids_are_answered_by_name_and_in_order() -> None:
    call = {"functionCall": {"name": "add", "args": {}}}
    answer = {"functionResponse": {"name": "add", "response": {"output": "1"}}}
    contents = [{"role": "model", "parts": [call, call]}, {"role": "user", "parts": [answer, answer]}]
    read = meaning_gemini.read({"contents": contents}, stream=False)
    calls = [part["call"] for part in read.parts() if "call" in part]
    assert len(set(calls)) == 2
    assert [part["result"] for part in read.parts() if "result" in part] == calls


def test_content_is_held_wherever_it_stands_with_more_fields_but_not_with_less() -> None:
    document = {"choices": [{"message": {"provider_content": [{"type": "x", "a": 1, "b": [1, 2]}]}}]}
    assert holds(document, {"type": "x", "b": [1, 2]})
    assert not holds(document, {"type": "x", "b": [1]})
    assert not holds(document, {"type": "x", "c": 1})


def test_every_allowance_says_its_reason() -> None:
    assert all(allowance.__doc__ for allowance in ALLOWANCES)
