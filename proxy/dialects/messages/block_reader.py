"""Content blocks of a Messages request as neutral parts."""

from __future__ import annotations

from typing import Any, Literal

from proxy.dialects.documents import dumped
from proxy.dialects.neutral.fields import Fields, wrong
from proxy.dialects.neutral.reasoning import unwrapped
from proxy.dialects.neutral.request import (
    Foreign,
    Media,
    ModelRequest,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)


def read_blocks(owner: Fields, name: str, request: ModelRequest) -> list[Part]:
    """`owner[name]`: a string, or an array of blocks."""
    content = owner.raw(name)
    at = owner.path(name)
    if content is None:
        raise wrong(at, "a string or an array of blocks")
    if isinstance(content, str):
        return [Text(at, content)] if content else []
    if not isinstance(content, list):
        raise wrong(at, "a string or an array of blocks")
    return [part for block in owner.objects(name) if (part := _block(block, request)) is not None]


def _block(block: Fields, request: ModelRequest) -> Part | None:
    kind = block.need("type", str)
    cache = block.take("cache_control", dict)
    part: Part
    if kind == "text":
        part = Text(block.at, block.need("text", str), cache, citations=block.take("citations", list) or [])
    elif kind in ("image", "document"):
        part = _media(block, "image" if kind == "image" else "document", cache)
    elif kind == "tool_use":
        block.ignore("caller")
        arguments = dumped(block.take("input", dict) or {}).decode()
        part = ToolCall(block.at, block.need("id", str), block.need("name", str), arguments, cache=cache)
    elif kind == "tool_result":
        part = _result(block, cache, request)
    elif kind == "thinking":
        back = unwrapped(block.text("signature"), "anthropic")
        part = Thinking(block.at, block.text("thinking"), back.data, back.origin, back.redacted, back.id)
    elif kind == "redacted_thinking":
        back = unwrapped(block.need("data", str), "anthropic")
        part = Thinking(block.at, "", back.data, back.origin, redacted=True)
    elif kind == "tool_reference":
        # What a search for tools found; all of them are declared.
        part = Text(block.at, f"Tool available: {block.need('tool_name', str)}", cache)
    elif kind in ("tool_addition", "tool_removal"):
        # Which of the deferred tools are loaded: other dialects know no such state, all are.
        request.hints.append(block.at)
        return None
    else:
        return Foreign(block.at, f"of type {kind!r} has no counterpart")
    request.unread += block.rest()
    return part


def _result(block: Fields, cache: dict[str, Any] | None, request: ModelRequest) -> ToolResult:
    content = read_blocks(block, "content", request) if block.raw("content") is not None else []
    parts: list[Text | Media] = []
    for part in content:
        if isinstance(part, (Text, Media)):
            parts.append(part)
        else:
            what = part.what if isinstance(part, Foreign) else "cannot stand in a tool result"
            request.foreign.append(Foreign(part.at, what))
    return ToolResult(
        block.at, block.need("tool_use_id", str), parts, bool(block.take("is_error", bool)), cache=cache
    )


def _media(block: Fields, kind: Literal["image", "document"], cache: dict[str, Any] | None) -> Media:
    source = Fields(block.need("source", dict), block.path("source"))
    media = Media(block.at, kind, name=block.text("title"), context=block.text("context"), cache=cache)
    citations = block.object("citations")
    media.citations = citations is not None and bool(citations.take("enabled", bool))
    form = source.need("type", str)
    if form == "base64":
        media.media_type, media.data = source.need("media_type", str), source.need("data", str)
    elif form == "url":
        media.url = source.need("url", str)
    elif form == "text":
        media.media_type, media.text = "text/plain", source.need("data", str)
    elif form == "file":
        media.file_id = source.need("file_id", str)
    elif form == "content":
        content = source.raw("content")
        pieces = (
            [content] if isinstance(content, str) else [p.text("text") for p in source.objects("content")]
        )
        media.media_type, media.text = "text/plain", "\n".join(pieces)
    else:
        raise wrong(source.path("type"), "one of base64, url, text, content, file")
    return media
