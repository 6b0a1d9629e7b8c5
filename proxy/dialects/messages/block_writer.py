"""Turns as Messages: roles alternate, results come first in the user's turn, nothing is empty.

https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use#handling-tool-use-and-tool-result-content-blocks
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from proxy.dialects.neutral.media import plain_text
from proxy.dialects.neutral.request import (
    Foreign,
    Media,
    ModelRequest,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Unsupported,
)
from proxy.dialects.neutral.system import leading, only_text, reminder
from proxy.dialects.neutral.tools import fitted_id
from proxy.providers.families import Claude

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ID_LENGTH = 24


def write_system(request: ModelRequest, provider: str, left_out: list[str]) -> Any:
    """What stands before the first other turn, as a string or as blocks."""
    for turn in leading(request):
        only_text(turn, provider)
    blocks = [
        block
        for turn in leading(request)
        for part in turn.parts
        if (block := _block(part, "", left_out)) is not None
    ]
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return blocks


def write_turns(
    request: ModelRequest, provider: str, left_out: list[str], claude: Claude
) -> list[dict[str, Any]]:
    """System turns stay where the model takes them and the rules allow it; else they become text of the
    user, marked. https://docs.anthropic.com/en/docs/build-with-claude/mid-conversation-system-messages"""
    turns = request.turns[len(leading(request)) :]
    messages: list[dict[str, Any]] = []
    for index, turn in enumerate(turns):
        if turn.name:
            raise Unsupported(f"{turn.at}.name", f"has no counterpart at {provider}")
        blocks = [block for part in turn.parts if (block := _block(part, provider, left_out)) is not None]
        role = "assistant" if turn.role == "assistant" else "user"
        if turn.role in ("system", "developer"):
            only_text(turn, provider)
            following = turns[index + 1].role if index + 1 < len(turns) else "assistant"
            if (
                claude.system_turns
                and messages
                and messages[-1]["role"] == "user"
                and following == "assistant"
            ):
                role = "system"
            else:
                blocks = [{**block, "text": reminder(block["text"])} for block in blocks]
        if not blocks:
            continue
        if messages and messages[-1]["role"] == role != "system":
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    _check_ends(messages, turns, provider, claude)
    for message in messages:
        content = message["content"]
        if message["role"] == "user":
            content.sort(key=lambda block: block["type"] != "tool_result")  # stable: only results move
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            message["content"] = content[0]["text"]
    return messages


def _check_ends(messages: list[dict[str, Any]], turns: list[Turn], provider: str, claude: Claude) -> None:
    """What Anthropic refuses whatever else is right."""
    if not messages:
        raise Unsupported("messages", f"has no turn of the user, which {provider} needs")
    last = messages[-1]
    if last["role"] != "assistant":
        return
    if not claude.prefill:
        what = f"would have to be continued, which this model of {provider} does not"
        raise Unsupported(turns[-1].at, what)
    text = last["content"][-1]
    if text["type"] == "text":
        text["text"] = text["text"].rstrip()  # "final assistant content cannot end with trailing whitespace"


def _block(part: Part, provider: str, left_out: list[str]) -> dict[str, Any] | None:
    """None: nothing to say."""
    if isinstance(part, Text):
        if part.citations:
            left_out.append(f"{part.at}.citations")
        if not part.text.strip():
            return None  # "text content blocks must contain non-whitespace text"
        written: dict[str, Any] = {"type": "text", "text": part.text}
    elif isinstance(part, Refusal):
        return {"type": "text", "text": part.text} if part.text else None
    elif isinstance(part, Media):
        written = _media(part, provider)
    elif isinstance(part, Thinking):
        return _thinking(part, left_out)
    elif isinstance(part, ToolCall):
        written = {
            "type": "tool_use",
            "id": fitted_id(part.id, _ID, _ID_LENGTH, "toolu_"),
            "name": part.wire_name,
            "input": {"input": part.arguments} if part.custom else _arguments(part),
        }
    elif isinstance(part, ToolResult):
        written = {"type": "tool_result", "tool_use_id": fitted_id(part.id, _ID, _ID_LENGTH, "toolu_")}
        blocks = [b for p in part.parts if (b := _block(p, provider, left_out)) is not None]
        if blocks:
            alone = len(blocks) == 1 and blocks[0].keys() == {"type", "text"}
            written["content"] = blocks[0]["text"] if alone else blocks
        if part.is_error:
            written["is_error"] = True
    elif isinstance(part, Foreign):
        raise Unsupported(part.at, f"{part.what} at {provider}")
    if part.cache is not None:
        written["cache_control"] = part.cache
    return written


def _arguments(call: ToolCall) -> dict[str, Any]:
    """An earlier call's arguments, whatever the client sends back; a model may have made a mess of them."""
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except (orjson.JSONDecodeError, RecursionError):
        arguments = None
    return arguments if isinstance(arguments, dict) else {"arguments": call.arguments}


def _thinking(part: Thinking, left_out: list[str]) -> dict[str, Any] | None:
    if part.origin != "anthropic" or not part.data:
        left_out.append(part.at)  # a signature of somebody else's is refused, and so is none
        return None
    if part.redacted:
        return {"type": "redacted_thinking", "data": part.data}
    return {"type": "thinking", "thinking": part.text, "signature": part.data}


def _media(part: Media, provider: str) -> dict[str, Any]:
    if part.file_id or part.kind == "audio":
        what = "is stored at another provider" if part.file_id else f"has no counterpart at {provider}"
        raise Unsupported(part.at, what)
    if part.text is not None:
        source = {"type": "text", "media_type": "text/plain", "data": part.text}
    elif part.url:
        source = {"type": "url", "url": part.url}
    elif part.kind == "document" and part.media_type.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": plain_text(part)}
    else:
        source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    written: dict[str, Any] = {"type": part.kind, "source": source}
    if part.kind == "document":
        if part.name:
            written["title"] = part.name
        if part.context:
            written["context"] = part.context
        if part.citations:
            written["citations"] = {"enabled": True}
    return written
