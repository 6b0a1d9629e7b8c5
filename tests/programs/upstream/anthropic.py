"""Anthropic's Messages API, played: its paths, its tool results, its answers whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.programs.upstream import anthropic_rules
from tests.programs.upstream.rules import need
from tests.programs.upstream.script import SIGNATURE, Turn, Usage, pieces
from tests.programs.upstream.server import event


class Anthropic:
    name = "anthropic"

    def base_url(self, url: str) -> str:
        return url

    def check(self, path: str, headers: Mapping[str, str], document: dict[str, Any]) -> None:
        need(path.partition("?")[0] == "/v1/messages", f"no such path: {path}")
        anthropic_rules.check(headers, document, SIGNATURE)

    def tools(self, document: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
        return {tool["name"]: tool.get("input_schema") for tool in document.get("tools", [])}

    def results(self, document: dict[str, Any]) -> dict[str, str]:
        blocks = [block for message in document["messages"] for block in anthropic_rules.blocks(message)]
        return {b["tool_use_id"]: _text(b.get("content", "")) for b in blocks if b["type"] == "tool_result"}

    def streamed(self, path: str, document: dict[str, Any]) -> bool:
        return bool(document.get("stream"))

    def whole(self, turn: Turn, path: str, document: dict[str, Any]) -> dict[str, Any]:
        message = _message(document)
        message |= {"content": _content(turn, document), "stop_reason": _stop_reason(turn)}
        message["usage"] |= _counts(turn.usage) | {"output_tokens": turn.usage.output}
        return message

    def events(self, turn: Turn, path: str, document: dict[str, Any]) -> Iterator[bytes]:
        message = _message(document)
        message["usage"] |= _counts(turn.usage)
        yield _event("message_start", message=message)
        yield _event("ping")
        for index, block in enumerate(_content(turn, document)):
            yield from _block_events(index, block)
        delta = {"stop_reason": _stop_reason(turn), "stop_sequence": None}
        yield _event("message_delta", delta=delta, usage={"output_tokens": turn.usage.output})
        yield _event("message_stop")

    def refusal(self, message: str) -> dict[str, Any]:
        error = {"type": "invalid_request_error", "message": message}
        return {"type": "error", "error": error, "request_id": "req_scripted"}


def _event(kind: str, **fields: Any) -> bytes:
    return event({"type": kind, **fields}, kind)


def _block_events(index: int, block: dict[str, Any]) -> Iterator[bytes]:
    begun, deltas = dict(block), []
    if block["type"] == "text":
        begun["text"] = ""
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
    elif block["type"] == "thinking":
        begun |= {"thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    else:
        begun["input"] = {}
        texts = ["", *pieces(json.dumps(block["input"]))]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in texts]
    yield _event("content_block_start", index=index, content_block=begun)
    for delta in deltas:
        yield _event("content_block_delta", index=index, delta=delta)
    yield _event("content_block_stop", index=index)


def _content(turn: Turn, document: dict[str, Any]) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    thinking = document.get("thinking") or {"type": "disabled"}
    if turn.thought and thinking["type"] != "disabled":
        shown = "" if thinking.get("display") == "omitted" else turn.thought
        content.append({"type": "thinking", "thinking": shown, "signature": turn.signature})
    content.append({"type": "text", "text": turn.text})
    if turn.call is not None:
        call = turn.call
        content.append({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments})
    return content


def _message(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": document["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"output_tokens": 1, "service_tier": "standard"},
    }


def _counts(usage: Usage) -> dict[str, int]:
    """Input without what came from the cache, as Anthropic counts."""
    plain = usage.input - usage.cached
    return {
        "input_tokens": plain,
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": 0,
    }


def _stop_reason(turn: Turn) -> str:
    return "end_turn" if turn.call is None else "tool_use"


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    assert isinstance(content, list)
    return "".join(str(part.get("text", "")) for part in content)
