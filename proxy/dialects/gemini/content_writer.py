"""Turns as Gemini contents: signatures back on the parts that they came with.

https://ai.google.dev/gemini-api/docs/function-calling, …/thought-signatures
"""

from __future__ import annotations

from typing import Any

import orjson

from proxy.dialects.neutral.media import audio_type, type_by_url
from proxy.dialects.neutral.request import (
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
from proxy.providers.families import Gemini

# For calls that another model made, or whose signature the client lost: `skip_thought_signature_validator`.
# https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
NO_SIGNATURE = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
_TYPES = {"image": "image/jpeg", "document": "application/pdf", "audio": "audio/wav"}


def write_system(request: ModelRequest, provider: str, left_out: list[str]) -> list[dict[str, Any]]:
    for turn in leading(request):
        only_text(turn, provider)
    return [
        {"text": part.text}
        for turn in leading(request)
        for part in turn.parts
        if isinstance(part, Text) and _noted(part, left_out).text
    ]


def write_contents(
    request: ModelRequest, provider: str, gemini: Gemini, left_out: list[str]
) -> list[dict[str, Any]]:
    """Raises Unsupported for parts that Gemini cannot be sent."""
    names = {
        part.id: part.wire_name for turn in request.turns for part in turn.parts if isinstance(part, ToolCall)
    }
    writer = _Contents(names, provider, gemini, left_out)
    for turn in request.turns[len(leading(request)) :]:
        if turn.name:
            raise Unsupported(f"{turn.at}.name", f"has no counterpart at {provider}")
        writer.turn(turn)
    if not writer.contents:
        raise Unsupported("messages", f"has no turn of the user, which {provider} needs")
    return writer.contents


def _noted(part: Text | Media | ToolCall | ToolResult, left_out: list[str]) -> Any:
    if part.cache is not None:
        left_out.append(f"{part.at}.cache_control")
    if isinstance(part, Text) and part.citations:
        left_out.append(f"{part.at}.citations")
    return part


class _Contents:
    def __init__(self, names: dict[str, str], provider: str, gemini: Gemini, left_out: list[str]) -> None:
        self.contents: list[dict[str, Any]] = []
        self._names = names
        self._provider = provider
        self._gemini = gemini
        self._left_out = left_out

    def turn(self, turn: Turn) -> None:
        if turn.role == "assistant":
            self._add("model", self._model_parts(turn.parts))
            return
        parts = [written for part in turn.parts for written in self._user_parts(part)]
        if turn.role in ("system", "developer"):
            only_text(turn, self._provider)
            parts = [{"text": reminder(part["text"])} for part in parts]
        self._add("user", parts)

    def _add(self, role: str, parts: list[dict[str, Any]]) -> None:
        if not parts:
            return
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})

    def _model_parts(self, parts: list[Part]) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        signature: Thinking | None = None
        first_call = True
        # Where a dialect keeps calls apart from the rest, the signature names its call.
        calls = {part.id for part in parts if isinstance(part, ToolCall)}
        named = {p.id: p for p in parts if isinstance(p, Thinking) and p.origin == "gemini" and p.id in calls}
        for part in parts:
            if isinstance(part, Thinking):
                if part.origin != "gemini" or not part.data:
                    self._left_out.append(part.at)
                elif part.id not in named:
                    signature = part
                continue
            if isinstance(part, ToolCall):
                one = self._call(_noted(part, self._left_out))
                signature = named.get(part.id, signature)
                if signature is None and first_call and self._gemini.needs_signatures:
                    one["thoughtSignature"] = NO_SIGNATURE
                first_call = False
            elif isinstance(part, (Text, Refusal)):
                if isinstance(part, Text):
                    _noted(part, self._left_out)
                if not part.text:
                    continue
                one = {"text": part.text}
            else:
                written += self._user_parts(part)
                continue
            if signature is not None:
                one["thoughtSignature"] = signature.data
                signature = None
            written.append(one)
        if signature is not None and written:
            # It came with the end of the text.
            written[-1].setdefault("thoughtSignature", signature.data)
        return written

    def _call(self, call: ToolCall) -> dict[str, Any]:
        try:
            arguments = {"input": call.arguments} if call.custom else orjson.loads(call.arguments or "{}")
        except (orjson.JSONDecodeError, RecursionError):
            arguments = None
        if not isinstance(arguments, dict):
            arguments = {"arguments": call.arguments}
        return {"functionCall": {"id": call.id, "name": call.wire_name, "args": arguments}}

    def _user_parts(self, part: Part) -> list[dict[str, Any]]:
        if isinstance(part, Text):
            _noted(part, self._left_out)
            return [{"text": part.text}] if part.text else []
        if isinstance(part, Refusal):
            return [{"text": part.text}] if part.text else []
        if isinstance(part, Media):
            return self._media(_noted(part, self._left_out))
        if isinstance(part, ToolResult):
            return self._result(_noted(part, self._left_out))
        what = getattr(part, "what", "cannot stand in this turn")
        raise Unsupported(part.at, f"{what} at {self._provider}")

    def _result(self, result: ToolResult) -> list[dict[str, Any]]:
        """The documented keys: `output` for what came of it, `error` for why nothing did."""
        texts = [part.text for part in result.parts if isinstance(part, Text)]
        name = self._names.get(result.id)
        if name is None:
            raise Unsupported(
                result.at, f"answers a call that is not in the conversation, which {self._provider} needs"
            )
        key = "error" if result.is_error else "output"
        response: dict[str, Any] = {"id": result.id, "name": name, "response": {key: "\n".join(texts)}}
        media = [one for part in result.parts if isinstance(part, Media) for one in self._media(part)]
        inner = [one for one in media if "text" not in one]
        if inner and self._gemini.needs_signatures:  # the third generation takes media inside
            response["parts"] = inner
            media = [one for one in media if "text" in one]
        return [{"functionResponse": response}, *media]

    def _media(self, part: Media) -> list[dict[str, Any]]:
        if part.file_id:
            raise Unsupported(part.at, "is stored at another provider")
        if part.citations:
            raise Unsupported(f"{part.at}.citations", f"has no counterpart at {self._provider}")
        if part.text is not None:
            title = "\n".join(line for line in (part.name, part.context) if line)
            return [{"text": f"{title}\n\n{part.text}" if title else part.text}]
        if part.url:
            media_type = part.media_type or type_by_url(part.url) or _TYPES[part.kind]
            return [{"fileData": {"mimeType": media_type, "fileUri": part.url}}]
        media_type = audio_type(part.media_type) if part.kind == "audio" else part.media_type
        return [{"inlineData": {"mimeType": media_type, "data": part.data}}]
