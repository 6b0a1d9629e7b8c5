"""Turns as chat messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from proxy.dialects.neutral.media import as_data_url, audio_format, plain_text
from proxy.dialects.neutral.reasoning import format_of
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
from proxy.providers.manners import ChatManners

_ERROR = "Error: "


def write_messages(
    request: ModelRequest, manners: ChatManners, provider: str, left_out: list[str], *, thinks: bool
) -> list[dict[str, Any]]:
    """Raises Unsupported for parts that this provider's chat dialect cannot hold."""
    writer = _Messages(manners, provider, left_out, thinks=thinks)
    last = len(request.turns) - 1
    for index, turn in enumerate(request.turns):
        writer.turn(turn, last=index == last)
    writer.flush_media()
    return writer.messages


class _Messages:
    def __init__(self, manners: ChatManners, provider: str, left_out: list[str], *, thinks: bool) -> None:
        self._thinks = thinks
        self.messages: list[dict[str, Any]] = []
        self._manners = manners
        self._provider = provider
        self._left_out = left_out
        # Images and documents of tool results, until all results of the turn are written.
        self._media: list[dict[str, Any]] = []

    def turn(self, turn: Turn, *, last: bool) -> None:
        if turn.role == "tool":
            for part in turn.parts:
                if isinstance(part, ToolResult):
                    self._result(part)
            return
        media, self._media = self._media, []
        if turn.role == "user":
            content = [*media, *self._content(turn.parts)]
            message: dict[str, Any] = {"role": "user", "content": _simple(content)}
        else:
            if media:
                self.messages.append({"role": "user", "content": media})
            if turn.role == "assistant":
                message = self._assistant(turn)
                if last and self._manners.prefix:
                    message["prefix"] = True
            else:
                role = turn.role if self._manners.developer else "system"
                message = {"role": role, "content": _simple(self._content(turn.parts))}
        if turn.name:
            message["name"] = turn.name
        self.messages.append(message)

    def flush_media(self) -> None:
        if self._media:
            self.messages.append({"role": "user", "content": self._media})
            self._media = []

    def _id(self, id: str) -> str:
        return fitted_id(id, self._manners.call_id, self._manners.call_id_length)

    def _result(self, result: ToolResult) -> None:
        content: list[dict[str, Any]] = []
        for part in result.parts:
            if isinstance(part, Text) or part.text is not None:
                content += self._content([part])
            else:
                self._media.append(
                    {"type": "text", "text": f"From the result of call {self._id(result.id)}:"}
                )
                self._media += self._content([part])
        if result.is_error:
            if content:
                content[0] = {**content[0], "text": _ERROR + content[0]["text"]}
            else:
                content = [{"type": "text", "text": _ERROR.strip(": ")}]
        if result.cache is not None:
            if content and self._manners.cache_control:
                content[-1] = {**content[-1], "cache_control": result.cache}
            else:
                self._left_out.append(f"{result.at}.cache_control")
        text = _simple(content) or ("See the next user message." if self._media else "")
        self.messages.append({"role": "tool", "tool_call_id": self._id(result.id), "content": text})

    def _assistant(self, turn: Turn) -> dict[str, Any]:
        kinds = (Text, Media) if self._manners.refusal else (Text, Media, Refusal)
        said = [part for part in turn.parts if isinstance(part, kinds)]
        content = self._content(said)
        calls = [part for part in turn.parts if isinstance(part, ToolCall)]
        message: dict[str, Any] = {"role": "assistant", "content": _simple(content) or None}
        for part in turn.parts:
            if isinstance(part, Refusal) and self._manners.refusal:
                message["refusal"] = message.get("refusal", "") + part.text
            elif isinstance(part, Foreign):
                raise Unsupported(part.at, part.what)
        self._thinking([part for part in turn.parts if isinstance(part, Thinking)], message)
        if calls:
            message["tool_calls"] = [self._call(call) for call in calls]
        elif message["content"] is None and "refusal" not in message:
            message["content"] = ""
        return message

    def _call(self, call: ToolCall) -> dict[str, Any]:
        if call.cache is not None:
            self._left_out.append(f"{call.at}.cache_control")
        arguments = orjson.dumps({"input": call.arguments}).decode() if call.custom else call.arguments
        return {
            "id": self._id(call.id),
            "type": "function",
            "function": {"name": call.wire_name, "arguments": arguments},
        }

    def _thinking(self, thoughts: list[Thinking], message: dict[str, Any]) -> None:
        """An earlier turn's reasoning, where this provider reads it; else it is left out, and said so."""
        back = self._manners.reasoning_back
        readable = "\n\n".join(thought.text for thought in thoughts if thought.text)
        if not thoughts:
            return
        if back == "reasoning_details":
            entries: list[dict[str, Any]] = []
            for thought in thoughts:
                entries += reasoning_details(thought, len(entries))
            message["reasoning_details"] = entries
        elif not back or not readable or not self._thinks:
            self._left_out.append(thoughts[0].at)
        elif back == "parts":
            thinking = {"type": "thinking", "thinking": [{"type": "text", "text": readable}]}
            content = message["content"]
            said = [{"type": "text", "text": content}] if isinstance(content, str) and content else content
            message["content"] = [thinking, *(said or [])]
        else:
            message[back] = readable

    def _content(self, parts: Sequence[Part]) -> list[dict[str, Any]]:
        return [written for part in parts if (written := self._part(part))]

    def _part(self, part: Part) -> dict[str, Any]:
        if isinstance(part, Text):
            if part.citations:
                self._left_out.append(f"{part.at}.citations")
            written: dict[str, Any] = {"type": "text", "text": part.text}
        elif isinstance(part, Media):
            written = self._media_part(part)
        elif isinstance(part, Refusal):
            return {"type": "text", "text": part.text}
        elif isinstance(part, Foreign):
            raise Unsupported(part.at, part.what)
        else:
            raise Unsupported(part.at, "cannot stand in this message")
        if part.cache is not None:
            if self._manners.cache_control:
                written["cache_control"] = part.cache
            else:
                self._left_out.append(f"{part.at}.cache_control")
        return written

    def _media_part(self, part: Media) -> dict[str, Any]:
        if part.kind == "image" and not part.file_id:
            url = part.url or as_data_url(part.media_type, part.data)
            image = {"url": url, "detail": part.detail} if part.detail else {"url": url}
            return {"type": "image_url", "image_url": image}
        if part.kind == "audio" and part.data:
            audio = {"data": part.data, "format": audio_format(part.media_type)}
            return {"type": "input_audio", "input_audio": audio}
        if part.kind == "document":
            return self._document(part)
        raise Unsupported(part.at, f"cannot be sent to {self._provider} in this form")

    def _document(self, part: Media) -> dict[str, Any]:
        if part.citations:
            raise Unsupported(f"{part.at}.citations", f"has no counterpart at {self._provider}")
        text = part.text
        if text is None and part.media_type.startswith("text/") and part.data:
            text = plain_text(part)
        if text is not None:
            title = "\n".join(line for line in (part.name, part.context) if line)
            return {"type": "text", "text": f"{title}\n\n{text}" if title else text}
        url = part.url or (as_data_url(part.media_type, part.data) if part.data else "")
        form = self._manners.documents
        if form == "document_url" and url:
            written = {"type": "document_url", "document_url": url}
            return {**written, "document_name": part.name} if part.name else written
        if url and (form == "file or url" or (form == "file" and part.data)):
            return {"type": "file", "file": {"filename": part.name or "document.pdf", "file_data": url}}
        raise Unsupported(part.at, f"cannot be sent to {self._provider} in this form")


def _simple(content: list[dict[str, Any]]) -> Any:
    """One plain text alone is a string: the form that every server knows."""
    if not content:
        return ""
    if len(content) == 1 and content[0].keys() == {"type", "text"} and content[0]["type"] == "text":
        return content[0]["text"]
    return content


def reasoning_details(thought: Thinking, index: int) -> list[dict[str, Any]]:
    """OpenRouter's entries for one piece of reasoning, numbered from `index` on."""
    common: dict[str, Any] = {"format": format_of(thought.origin), "index": index}
    if thought.id:
        common["id"] = thought.id
    if thought.origin == "anthropic" and not thought.redacted:
        entry = {"type": "reasoning.text", "text": thought.text, **common}
        return [{**entry, "signature": thought.data} if thought.data else entry]
    entries = []
    if thought.text:
        kind = "reasoning.summary" if thought.origin == "openai" else "reasoning.text"
        entries.append({"type": kind, kind.partition(".")[2]: thought.text, **common})
    if thought.data:
        encrypted = {"type": "reasoning.encrypted", "data": thought.data, **common}
        entries.append({**encrypted, "index": index + len(entries)})
    return entries
