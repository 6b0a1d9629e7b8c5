"""What the events of a stream say, in a client's dialect: as much as is needed to put two answers together.

Made for `resume: exact`: plain text that was delivered, and another answer that may begin with the same.
Anything but one run of text (tools, reasoning, a refusal, several choices) is "other" and ends the hope.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Protocol

import orjson

from proxy.dialects.sse import DONE, data_of, event_of, named_event_of

FRAME, TEXT, END, OTHER, ERROR = "frame", "text", "end", "other", "error"
_END_OF_EVENT = re.compile(rb"\r?\n\r?\n")


def events_in(data: bytes) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """(event, its document) of whole events; None for comments, `[DONE]` and what is no object."""
    position = 0
    for match in _END_OF_EVENT.finditer(data):
        event = data[position : match.end()]
        position = match.end()
        yield event, _document(event)
    if position < len(data):
        yield data[position:], _document(data[position:])


def is_done(event: bytes) -> bool:
    return data_of(event) == DONE


def is_refusal(document: dict[str, Any]) -> bool:
    """Whether an event of any dialect says that the model, or a filter, would rather not."""
    choices = document.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        delta = choices[0].get("delta")
        refused = isinstance(delta, dict) and bool(delta.get("refusal"))
        return refused or choices[0].get("finish_reason") == "content_filter"
    delta = document.get("delta")
    if isinstance(delta, dict) and delta.get("stop_reason") == "refusal":
        return True
    return str(document.get("type")).startswith("response.refusal")


def _document(event: bytes) -> dict[str, Any] | None:
    payload = data_of(event)
    if not payload or payload == DONE:
        return None
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


class Spoken(Protocol):
    """Reads the documents of one dialect. One object per call: it remembers the first answer's names."""

    def kind(self, document: dict[str, Any]) -> tuple[str, str]:
        """(kind, text): what an event is, and the text that it adds."""
        ...

    def ends(self, document: dict[str, Any]) -> bool:
        """Whether an event with text is the last one too."""
        ...

    def delivered(self, document: dict[str, Any]) -> None:
        """Part of the first answer: its names are what the client knows."""
        ...

    def as_continued(self, document: dict[str, Any], text: str | None) -> bytes:
        """An event of another answer as the first one would have gone on; `text`: what is left of it."""
        ...


def spoken_in(operation: str) -> Spoken | None:
    """None: answers of this operation are not put together."""
    if operation in ("chat.completions", "completions"):
        return ChatSpoken()
    if operation == "messages":
        return MessagesSpoken()
    return ResponsesSpoken() if operation == "responses" else None


class ChatSpoken:
    """Chunks of chat completions, and of the older completions."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {}

    def kind(self, document: dict[str, Any]) -> tuple[str, str]:
        if document.get("error"):
            return ERROR, ""
        choices = document.get("choices") or []
        if not choices:
            return (END if document.get("usage") else FRAME), ""
        choice = choices[0]
        delta = choice.get("delta") or {}
        if len(choices) > 1 or choice.get("index") or choice.get("error"):
            return OTHER, ""
        if any(value for name, value in delta.items() if name not in ("role", "content")):
            return OTHER, ""
        text = delta.get("content") or choice.get("text") or ""
        if not isinstance(text, str):
            return OTHER, ""
        if text:
            return TEXT, text
        return (END if choice.get("finish_reason") else FRAME), ""

    def ends(self, document: dict[str, Any]) -> bool:
        return bool(document["choices"][0].get("finish_reason"))

    def delivered(self, document: dict[str, Any]) -> None:
        if not self._names:
            self._names = {name: document[name] for name in ("id", "created", "model") if name in document}

    def as_continued(self, document: dict[str, Any], text: str | None) -> bytes:
        if "choices" in document:
            document.update(self._names)
        if text is not None:
            choice = document["choices"][0]
            if choice.get("delta"):
                choice["delta"]["content"] = text
            else:
                choice["text"] = text
        return event_of(document)


class MessagesSpoken:
    """Events of Anthropic's Messages: one text block, at index 0."""

    def kind(self, document: dict[str, Any]) -> tuple[str, str]:
        kind = document.get("type")
        if kind == "error":
            return ERROR, ""
        if document.get("index"):
            return OTHER, ""
        if kind == "content_block_start":
            block = document.get("content_block") or {}
            return (FRAME if block.get("type") == "text" and not block.get("text") else OTHER), ""
        if kind == "content_block_delta":
            delta = document.get("delta") or {}
            return (TEXT, str(delta.get("text"))) if delta.get("type") == "text_delta" else (OTHER, "")
        if kind in ("message_start", "ping"):
            return FRAME, ""
        return (END if kind in ("content_block_stop", "message_delta", "message_stop") else OTHER), ""

    def ends(self, document: dict[str, Any]) -> bool:
        return False

    def delivered(self, document: dict[str, Any]) -> None:
        pass  # only message_start has names, and that has been delivered

    def as_continued(self, document: dict[str, Any], text: str | None) -> bytes:
        if text is not None:
            document["delta"]["text"] = text
        return named_event_of(document)


_FRAMES = ("response.created", "response.in_progress", "response.queued")
_ENDS = (
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
    "response.incomplete",
)


class ResponsesSpoken:
    """Events of the Responses API: one message with one text part."""

    def __init__(self) -> None:
        self._sequence = -1
        # Of the first answer, by where it stands: "response" or "item".
        self._names: dict[str, str] = {}
        # Name in the answer that goes on → name that the client knows.
        self._renamed: dict[str, str] = {}

    def kind(self, document: dict[str, Any]) -> tuple[str, str]:
        kind = document.get("type")
        if kind in ("error", "response.failed"):
            return ERROR, ""
        self._note(document)
        if kind == "response.output_text.delta":
            return TEXT, str(document.get("delta") or "")
        if document.get("output_index") or document.get("content_index"):
            return OTHER, ""
        if kind == "response.output_item.added":
            return (FRAME if (document.get("item") or {}).get("type") == "message" else OTHER), ""
        if kind == "response.content_part.added":
            return (FRAME if (document.get("part") or {}).get("type") == "output_text" else OTHER), ""
        return (FRAME if kind in _FRAMES else END if kind in _ENDS else OTHER), ""

    def ends(self, document: dict[str, Any]) -> bool:
        return False

    def delivered(self, document: dict[str, Any]) -> None:
        sequence = document.get("sequence_number")
        if isinstance(sequence, int):
            self._sequence = sequence
        for place, name in self._named(document):
            self._names.setdefault(place, name)

    def as_continued(self, document: dict[str, Any], text: str | None) -> bytes:
        if text is not None:
            document["delta"] = text
        self._sequence += 1
        renamed: dict[str, Any] = self._rename(document)
        if "sequence_number" in renamed:
            renamed["sequence_number"] = self._sequence
        return named_event_of(renamed)

    def _note(self, document: dict[str, Any]) -> None:
        for place, name in self._named(document):
            known = self._names.get(place)
            if known is not None and known != name:
                self._renamed[name] = known

    @staticmethod
    def _named(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
        response, item = document.get("response"), document.get("item")
        if isinstance(response, dict) and isinstance(response.get("id"), str):
            yield "response", response["id"]
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            yield "item", item["id"]
        if isinstance(document.get("item_id"), str):
            yield "item", document["item_id"]

    def _rename(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._rename(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._rename(inner) for inner in value]
        return self._renamed.get(value, value) if isinstance(value, str) else value
