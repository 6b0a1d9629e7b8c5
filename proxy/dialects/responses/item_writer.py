"""Turns as input items of the Responses API."""

from __future__ import annotations

import re
from typing import Any

from proxy.dialects.neutral.media import as_data_url, audio_format
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
from proxy.dialects.neutral.tools import fitted_id

_CALL_ID = re.compile(r"[!-~]{1,64}")
_CALL_ID_LENGTH = 24
_ERROR = "Error: "


def write_items(
    request: ModelRequest, provider: str, maker: str, left_out: list[str]
) -> list[dict[str, Any]]:
    """Raises Unsupported for parts that this dialect cannot hold."""
    items: list[dict[str, Any]] = []
    for turn in request.turns:
        if turn.name:
            raise Unsupported(f"{turn.at}.name", f"has no counterpart at {provider}")
        if turn.role in ("assistant", "tool"):
            for part in turn.parts:
                items += _assistant_item(part, provider, maker, left_out)
        else:
            items.append(_message(turn, provider, left_out))
    return items


def _message(turn: Turn, provider: str, left_out: list[str]) -> dict[str, Any]:
    content = [_content(part, provider, left_out) for part in turn.parts]
    return {"type": "message", "role": turn.role, "content": content}


def _assistant_item(part: Part, provider: str, maker: str, left_out: list[str]) -> list[dict[str, Any]]:
    if isinstance(part, (Text, Refusal)):
        if isinstance(part, Text):
            _note(part, left_out)
            content: dict[str, Any] = {"type": "output_text", "text": part.text}
        else:
            content = {"type": "refusal", "refusal": part.text}
        return [{"type": "message", "role": "assistant", "content": [content]}]
    if isinstance(part, Thinking):
        if part.origin != maker or not part.data:
            left_out.append(part.at)  # only its maker can read it
            return []
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        item = {"type": "reasoning", "summary": summary, "encrypted_content": part.data}
        return [{**item, "id": part.id} if part.id else item]
    if isinstance(part, ToolCall):
        _note(part, left_out)
        arguments = _custom_arguments(part.arguments) if part.custom else part.arguments
        return [
            {"type": "function_call", "call_id": _id(part.id), "name": part.wire_name, "arguments": arguments}
        ]
    if isinstance(part, ToolResult):
        _note(part, left_out)
        return [_result(part, provider, left_out)]
    if isinstance(part, Media):
        raise Unsupported(part.at, f"cannot stand in an assistant's turn at {provider}")
    raise Unsupported(part.at, f"{part.what} at {provider}")


def _id(id: str) -> str:
    return fitted_id(id, _CALL_ID, _CALL_ID_LENGTH, "call_")


def _custom_arguments(text: str) -> str:
    import orjson

    return orjson.dumps({"input": text}).decode()


def _result(result: ToolResult, provider: str, left_out: list[str]) -> dict[str, Any]:
    texts = [part.text for part in result.parts if isinstance(part, Text)]
    output: Any
    if len(texts) == len(result.parts) <= 1:
        output = (_ERROR if result.is_error else "") + "".join(texts)
    else:
        output = [_content(part, provider, left_out) for part in result.parts]
        if result.is_error:
            output.insert(0, {"type": "input_text", "text": _ERROR.strip(": ")})
    return {"type": "function_call_output", "call_id": _id(result.id), "output": output}


def _note(part: Text | ToolCall | ToolResult | Media, left_out: list[str]) -> None:
    if part.cache is not None:
        left_out.append(f"{part.at}.cache_control")
    if isinstance(part, Text) and part.citations:
        left_out.append(f"{part.at}.citations")


def _content(part: Part, provider: str, left_out: list[str]) -> dict[str, Any]:
    if isinstance(part, Text):
        _note(part, left_out)
        return {"type": "input_text", "text": part.text}
    if isinstance(part, Refusal):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, Foreign):
        raise Unsupported(part.at, f"{part.what} at {provider}")
    if not isinstance(part, Media) or part.file_id:
        raise Unsupported(part.at, f"cannot be sent to {provider} in this form")
    _note(part, left_out)
    if part.citations:
        raise Unsupported(f"{part.at}.citations", f"has no counterpart at {provider}")
    if part.kind == "image":
        url = part.url or as_data_url(part.media_type, part.data)
        return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
    if part.kind == "audio":
        audio = {"data": part.data, "format": audio_format(part.media_type)}
        return {"type": "input_audio", "input_audio": audio}
    if part.text is not None:
        title = "\n".join(line for line in (part.name, part.context) if line)
        return {"type": "input_text", "text": f"{title}\n\n{part.text}" if title else part.text}
    if part.url:
        return {"type": "input_file", "file_url": part.url}
    data = as_data_url(part.media_type, part.data)
    return {"type": "input_file", "filename": part.name or "document.pdf", "file_data": data}
