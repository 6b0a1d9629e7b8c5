"""OpenAI's Responses API, played: its path, its items, its answers whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.programs.upstream import responses_rules
from tests.programs.upstream.rules import need
from tests.programs.upstream.script import SIGNATURE, Call, Turn, Usage, pieces
from tests.programs.upstream.server import event


class Responses:
    name = "responses"

    def base_url(self, url: str) -> str:
        return f"{url}/v1"

    def check(self, path: str, headers: Mapping[str, str], document: dict[str, Any]) -> None:
        need(path == "/v1/responses", f"no such path: {path}")
        responses_rules.check(headers, document, SIGNATURE)

    def tools(self, document: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
        named = [tool for tool in document.get("tools") or () if "name" in tool]
        return {tool["name"]: tool.get("parameters") for tool in named}

    def results(self, document: dict[str, Any]) -> dict[str, str]:
        items = document["input"] if isinstance(document["input"], list) else []
        outputs = [item for item in items if item.get("type", "message").endswith("_output")]
        return {item["call_id"]: _text(item["output"]) for item in outputs}

    def streamed(self, path: str, document: dict[str, Any]) -> bool:
        return bool(document.get("stream"))

    def whole(self, turn: Turn, path: str, document: dict[str, Any]) -> dict[str, Any]:
        usage = _counts(turn.usage)
        return _response(document, status="completed", output=_items(turn, document), usage=usage)

    def events(self, turn: Turn, path: str, document: dict[str, Any]) -> Iterator[bytes]:
        begun = _response(document, status="in_progress", output=[], usage=None)
        steps = [("response.created", {"response": begun}), ("response.in_progress", {"response": begun})]
        for index, item in enumerate(_items(turn, document)):
            at: dict[str, Any] = {"output_index": index}
            steps += [(kind, at | fields) for kind, fields in _steps(item)]
        steps.append(("response.completed", {"response": self.whole(turn, path, document)}))
        for number, (kind, fields) in enumerate(steps):
            yield event({"type": kind, "sequence_number": number, **fields}, kind)

    def refusal(self, message: str) -> dict[str, Any]:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        return {"error": error}


Steps = Iterator[tuple[str, dict[str, Any]]]


def _steps(item: dict[str, Any]) -> Steps:
    kind = item["type"]
    field, empty, inner = INNER[kind]
    begun = item | {field: empty}
    if kind != "reasoning":
        begun["status"] = "in_progress"
    yield "response.output_item.added", {"item": begun}
    for name, fields in inner(item):
        yield name, {"item_id": item["id"], **fields}
    yield "response.output_item.done", {"item": item}


def _message_steps(item: dict[str, Any]) -> Steps:
    part = item["content"][0]
    yield "response.content_part.added", {"content_index": 0, "part": part | {"text": ""}}
    for piece in pieces(part["text"]):
        yield "response.output_text.delta", {"content_index": 0, "delta": piece, "logprobs": []}
    yield "response.output_text.done", {"content_index": 0, "text": part["text"], "logprobs": []}
    yield "response.content_part.done", {"content_index": 0, "part": part}


def _call_steps(item: dict[str, Any]) -> Steps:
    for piece in pieces(item["arguments"]):
        yield "response.function_call_arguments.delta", {"delta": piece}
    yield "response.function_call_arguments.done", {"name": item["name"], "arguments": item["arguments"]}


def _custom_steps(item: dict[str, Any]) -> Steps:
    for piece in pieces(item["input"]):
        yield "response.custom_tool_call_input.delta", {"delta": piece}
    yield "response.custom_tool_call_input.done", {"input": item["input"]}


def _reasoning_steps(item: dict[str, Any]) -> Steps:
    for index, part in enumerate(item["summary"]):
        at: dict[str, Any] = {"summary_index": index}
        yield "response.reasoning_summary_part.added", {**at, "part": part | {"text": ""}}
        for piece in pieces(part["text"]):
            yield "response.reasoning_summary_text.delta", {**at, "delta": piece}
        yield "response.reasoning_summary_text.done", {**at, "text": part["text"]}
        yield "response.reasoning_summary_part.done", {**at, "part": part}


# Kind of item → the field that its events fill, its value before, the events.
INNER: dict[str, tuple[str, Any, Callable[[dict[str, Any]], Steps]]] = {
    "message": ("content", [], _message_steps),
    "function_call": ("arguments", "", _call_steps),
    "custom_tool_call": ("input", "", _custom_steps),
    "reasoning": ("summary", [], _reasoning_steps),
}


def _items(turn: Turn, document: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    reasoning = document.get("reasoning") or {}
    if turn.thought and reasoning.get("effort") != "none":
        summary = [{"type": "summary_text", "text": turn.thought}] if reasoning.get("summary") else []
        item = {"id": "rs_scripted", "type": "reasoning", "summary": summary}
        if "reasoning.encrypted_content" in (document.get("include") or ()):
            item["encrypted_content"] = turn.signature
        items.append(item)
    part = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
    head = {"id": "msg_scripted", "type": "message", "status": "completed"}
    items.append({**head, "role": "assistant", "content": [part]})
    if turn.call is not None:
        items.append(_call(turn.call))
    return items


def _call(call: Call) -> dict[str, Any]:
    head = {"call_id": call.id, "name": call.name, "status": "completed"}
    if isinstance(call.arguments, str):
        return {"id": "ctc_scripted", "type": "custom_tool_call", **head, "input": call.arguments}
    return {"id": "fc_scripted", "type": "function_call", **head, "arguments": json.dumps(call.arguments)}


def _response(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    asked = {
        name: document.get(name) for name in ("instructions", "max_output_tokens", "temperature", "top_p")
    }
    return {
        "id": "resp_scripted",
        "object": "response",
        "created_at": 1700000000,
        "model": document["model"],
        "error": None,
        "incomplete_details": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "tool_choice": document.get("tool_choice", "auto"),
        "tools": document.get("tools", []),
        "store": document.get("store", True),
        **asked,
        **fields,
    }


def _counts(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def _text(output: object) -> str:
    if isinstance(output, str):
        return output
    assert isinstance(output, list)
    return "".join(str(part.get("text", "")) for part in output)
