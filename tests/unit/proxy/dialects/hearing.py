"""What a client has heard once a stream is over, with the order of events that its SDK relies on.

A delta outside of its block, an index used twice, a sequence number left out, a final response that is not
the sum of its events: each is an AssertionError that names the event.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.unit.proxy.dialects.asking import CHAT, MESSAGES, RESPONSES

Event = dict[str, Any]


@dataclass
class Heard:
    text: str = ""
    reasoning: str = ""
    # (id, name, arguments), in the order in which they began.
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    finish: str = ""
    # input, of them cached, output; as the dialect's own fields say it, made comparable.
    usage: tuple[int, int, int] | None = None
    # Opaque reasoning, in order.
    sealed: list[str] = field(default_factory=list)


def heard_by_chat(events: list[Event]) -> Heard:
    heard = Heard()
    calls: list[list[str]] = []
    for event in events:
        assert event["object"] == "chat.completion.chunk", event
        for choice in event["choices"]:
            assert not heard.finish, f"after the finish: {event}"
            assert choice["index"] == 0
            delta = choice["delta"]
            heard.text += delta.get("content") or ""
            heard.reasoning += delta.get("reasoning_content") or ""
            for entry in delta.get("reasoning_details", ()):
                heard.sealed.append(entry.get("signature") or entry.get("data") or "")
            for call in delta.get("tool_calls", ()):
                if "id" in call:
                    assert call["index"] == len(calls), event
                    calls.append([call["id"], call["function"]["name"], ""])
                calls[call["index"]][2] += call["function"]["arguments"]
            heard.finish = choice["finish_reason"] or ""
        if event.get("usage"):
            heard.usage = _chat_usage(event["usage"])
    heard.calls = [(id, name, json.loads(text or "{}")) for id, name, text in calls]
    return heard


def _chat_usage(usage: dict[str, Any]) -> tuple[int, int, int]:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return usage["prompt_tokens"], cached, usage["completion_tokens"]


_DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
    "input_json_delta": ("tool_use", "partial_json"),
}


def heard_by_messages(events: list[Event]) -> Heard:
    heard = Heard()
    events = [event for event in events if event["type"] != "ping"]
    assert [event["type"] for event in (events[0], *events[-2:])] == [
        *("message_start", "message_delta", "message_stop")
    ]
    assert events[0]["message"]["usage"]["input_tokens"] >= 0
    blocks: list[dict[str, Any]] = []
    open_blocks: set[int] = set()
    for event in events[1:-2]:
        index = event["index"]
        if event["type"] == "content_block_start":
            assert index == len(blocks), event
            blocks.append({**event["content_block"], "partial_json": ""})
            open_blocks.add(index)
        elif event["type"] == "content_block_stop":
            open_blocks.remove(index)
        else:
            kind, name = _DELTAS[event["delta"]["type"]]
            assert index in open_blocks, f"in a closed block: {event}"
            assert blocks[index]["type"] == kind, f"in a {blocks[index]['type']} block: {event}"
            blocks[index][name] += event["delta"][name]
    assert not open_blocks
    for block in blocks:
        if block["type"] == "text":
            assert block["text"], "an empty text block cannot be sent back"
            heard.text += block["text"]
        elif block["type"] == "thinking":
            assert block["signature"], "a thinking block without a signature cannot be sent back"
            heard.reasoning += block["thinking"]
            heard.sealed.append(block["signature"])
        elif block["type"] == "redacted_thinking":
            heard.sealed.append(block["data"])
        else:
            assert block["input"] == {}
            heard.calls.append((block["id"], block["name"], json.loads(block["partial_json"] or "{}")))
    heard.finish = events[-2]["delta"]["stop_reason"]
    usage = events[-2]["usage"]
    read = usage["cache_read_input_tokens"]
    given = usage["input_tokens"] + read + usage["cache_creation_input_tokens"]
    heard.usage = (given, read, usage["output_tokens"])
    return heard


def heard_by_responses(events: list[Event]) -> Heard:
    heard = Heard()
    if "sequence_number" in events[0]:
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    items: dict[int, dict[str, Any]] = {}
    texts: dict[int, str] = {}
    for event in events[2:-1]:
        kind, index = event["type"], event["output_index"]
        if kind == "response.output_item.added":
            assert index == len(items), event
            items[index], texts[index] = event["item"], ""
        elif kind == "response.output_item.done":
            assert _text_of(event["item"]) == texts[index] or event["item"]["type"] == "custom_tool_call"
            items[index] = event["item"]
        else:
            assert event["item_id"] == items[index]["id"], event
            texts[index] += event.get("delta", "") if kind.endswith(".delta") else ""
    last = events[-1]
    response = last["response"]
    assert last["type"] == f"response.{response['status']}"
    assert response["output"] == [items[index] for index in sorted(items)]
    for item in response["output"]:
        if item["type"] == "message":
            heard.text += _text_of(item)
        elif item["type"] == "reasoning":
            heard.reasoning += _text_of(item)
            heard.sealed.append(item.get("encrypted_content") or "")
        else:
            heard.calls.append((item["call_id"], item["name"], json.loads(item["arguments"])))
    heard.finish = (response["incomplete_details"] or {}).get("reason") or response["status"]
    usage = response["usage"]
    cached = usage["input_tokens_details"]["cached_tokens"]
    heard.usage = (usage["input_tokens"], cached, usage["output_tokens"])
    return heard


def _text_of(item: dict[str, Any]) -> str:
    if item["type"] == "message":
        return "".join(part.get("text", part.get("refusal", "")) for part in item["content"])
    if item["type"] == "reasoning":
        return "".join(part["text"] for part in item["summary"])
    return str(item.get("arguments", item.get("input")))


HEARD: dict[str, Callable[[list[Event]], Heard]] = {
    CHAT: heard_by_chat,
    MESSAGES: heard_by_messages,
    RESPONSES: heard_by_responses,
}
# (cut short, calls, neither) in each dialect's words.
FINISHES = {
    CHAT: ("length", "tool_calls", "stop"),
    MESSAGES: ("max_tokens", "tool_use", "end_turn"),
    RESPONSES: ("max_output_tokens", "completed", "completed"),
}
