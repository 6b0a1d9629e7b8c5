"""Input items of a Responses request as turns and parts."""

from __future__ import annotations

from proxy.dialects.neutral.fields import Fields, wrong
from proxy.dialects.neutral.media import data_url
from proxy.dialects.neutral.reasoning import unwrapped
from proxy.dialects.neutral.request import (
    Foreign,
    Media,
    ModelRequest,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "developer",
}


def read_item(item: Fields, request: ModelRequest) -> None:
    kind = item.text("type") or ("message" if item.raw("role") is not None else "item_reference")
    item.ignore("id", "status", "caller")
    if kind == "message":
        _message(item, request)
    elif kind in ("function_call", "custom_tool_call"):
        custom = kind == "custom_tool_call"
        arguments = item.need("input", str) if custom else item.text("arguments")
        call = ToolCall(
            item.at,
            item.need("call_id", str),
            item.need("name", str),
            arguments if custom else arguments or "{}",
            item.text("namespace"),
            custom,
        )
        _add(request, "assistant", item, call)
    elif kind in ("function_call_output", "custom_tool_call_output"):
        item.ignore("name", "namespace")
        parts = content_parts(item, "output", request)
        kept = [part for part in parts if isinstance(part, (Text, Media))]
        custom = kind == "custom_tool_call_output"
        _add(request, "tool", item, ToolResult(item.at, item.need("call_id", str), kept, custom=custom))
    elif kind == "reasoning":
        _reasoning(item, request)
    elif kind == "web_search_call":
        request.hints.append(item.at)  # only what was searched for; what was found stands in the text
        return
    else:
        what = "needs a provider that keeps state" if kind == "item_reference" else "has no counterpart"
        request.foreign.append(Foreign(item.at, f"of type {kind!r} {what}"))
        return
    request.unread += item.rest()


def _add(request: ModelRequest, role: Role, item: Fields, *parts: Part) -> None:
    """To the turn before, where it is the same one."""
    last = request.turns[-1] if request.turns else None
    if last is not None and last.role == role and role in ("assistant", "tool"):
        last.parts += parts
    else:
        request.turns.append(Turn(item.at, role, [*parts]))


def _message(item: Fields, request: ModelRequest) -> None:
    word = item.need("role", str)
    role = _ROLES.get(word)
    if role is None:
        raise wrong(item.path("role"), "one of user, assistant, system, developer")
    item.ignore("phase")
    _add(request, role, item, *content_parts(item, "content", request))


def _reasoning(item: Fields, request: ModelRequest) -> None:
    pieces = [piece.text("text") for piece in (*item.objects("summary"), *item.objects("content"))]
    back = unwrapped(item.text("encrypted_content"), "openai")
    id = item.text("id") if back.origin == "openai" else back.id
    text = "\n\n".join(pieces)
    thinking = Thinking(item.at, text, back.data, back.origin, back.redacted, id)
    if thinking.text or thinking.data:
        _add(request, "assistant", item, thinking)


def content_parts(item: Fields, name: str, request: ModelRequest) -> list[Part]:
    content = item.raw(name)
    at = item.path(name)
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(at, content)] if content else []
    if not isinstance(content, list):
        raise wrong(at, "a string or an array of parts")
    return [_part(part, request) for part in item.objects(name)]


def _part(part: Fields, request: ModelRequest) -> Part:
    kind = part.need("type", str)
    if part.raw("prompt_cache_breakpoint") is not None:
        request.hints.append(part.path("prompt_cache_breakpoint"))
    found: Part
    if kind in ("input_text", "output_text", "text", "summary_text"):
        if part.raw("annotations"):
            request.hints.append(part.path("annotations"))
        part.ignore("logprobs")
        found = Text(part.at, part.need("text", str))
    elif kind == "refusal":
        found = Refusal(part.at, part.need("refusal", str))
    elif kind == "input_image":
        url = part.raw("image_url")
        if isinstance(url, dict):
            url = url.get("url")
        where = data_url(url) if isinstance(url, str) else {}
        detail = part.text("detail")
        found = Media(
            part.at, "image", file_id=part.text("file_id"), detail="" if detail == "auto" else detail, **where
        )
    elif kind == "input_file":
        part.ignore("detail")
        data = part.text("file_data")
        if data and not data.startswith("data:"):
            data = f"data:application/pdf;base64,{data}"
        where = data_url(data or part.text("file_url")) if data or part.text("file_url") else {}
        found = Media(part.at, "document", file_id=part.text("file_id"), name=part.text("filename"), **where)
    elif kind == "input_audio":
        audio = Fields(part.need("input_audio", dict), part.path("input_audio"))
        media_type = f"audio/{audio.need('format', str)}"
        found = Media(part.at, "audio", data=audio.need("data", str), media_type=media_type)
    else:
        return Foreign(part.at, f"of type {kind!r} has no counterpart")
    request.unread += part.rest()
    return found
