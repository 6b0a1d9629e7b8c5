"""A Messages answer, whole or as events. https://docs.anthropic.com/en/api/messages-streaming

A stream's blocks are put together by their index; blocks of the provider's own tools are foreign.
"""

from __future__ import annotations

from typing import Any

from tests.contract.conformance.said import Said, parsed

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context",
}
_APPENDED = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "json"),
}


def read(documents: list[dict[str, Any]]) -> Said:
    """One whole answer, or the events of a stream."""
    if len(documents) == 1 and documents[0].get("type") == "message":
        return _whole(documents[0])
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    error = None
    for event in documents:
        kind = event.get("type")
        if kind == "message_start":
            message = {**event["message"]}
        elif kind == "content_block_start":
            blocks[event["index"]] = {**event["content_block"]}
        elif kind == "content_block_delta":
            _delta(blocks[event["index"]], event["delta"])
        elif kind == "message_delta":
            message |= event["delta"]
        elif kind == "error":
            error = event["error"]
    content = [blocks[index] for index in sorted(blocks)]
    for block in content:
        text = block.pop("json", "")
        if text:
            block["input"] = parsed(text)
    said = _whole({**message, "content": content})
    said.error = error
    return said


def _delta(block: dict[str, Any], delta: dict[str, Any]) -> None:
    kind = delta["type"]
    if kind in _APPENDED:
        source, target = _APPENDED[kind]
        block[target] = (block.get(target) or "") + delta[source]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or []), delta["citation"]]
    else:
        block |= {name: value for name, value in delta.items() if name != "type"}


def _whole(message: dict[str, Any]) -> Said:
    said = Said(id=message.get("id") or "", model=message.get("model") or "")
    for block in message.get("content") or []:
        kind = block["type"]
        if kind == "text":
            said.say(block["text"])
            for citation in block.get("citations") or []:
                if citation.get("url"):
                    said.urls.append(citation["url"])
                else:
                    said.foreign.append(citation)
        elif kind == "thinking":
            said.think(block["thinking"])
            said.seals += [block["signature"]] if block.get("signature") else []
        elif kind == "redacted_thinking":
            said.seals.append(block["data"])
        elif kind == "tool_use":
            said.called(block["id"], block["name"], block["input"])
        else:
            said.foreign.append(block)
    said.native = message.get("stop_reason") or ""
    said.finish = FINISH.get(said.native, "stop") if said.native else ""
    said.stop_sequence = message.get("stop_sequence") or ""
    return said
