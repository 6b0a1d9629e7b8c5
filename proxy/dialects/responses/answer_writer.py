"""An answer for a Responses client, as events; a whole answer is the response that the last event holds.

The request is echoed as OpenAI does. Namespaced and custom tools, which other dialects know as plain
functions, become what the client declared. https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from headgate.rules.money import Tokens
from proxy.dialects.neutral.reasoning import wrapped
from proxy.dialects.neutral.request import Origin, Tool
from proxy.dialects.neutral.sink import Citation, FinishReason
from proxy.dialects.responses.events import error_events
from proxy.dialects.responses.usage import usage_document
from proxy.dialects.sse import named_event_of

# Of the request, with what holds where it says nothing.
_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
_INCOMPLETE: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "context": "max_output_tokens",
    "content_filter": "content_filter",
}


# Ends that neither a status nor a reason of this dialect tells.
_UNNAMED = ("pause", "malformed", "context")


class ResponsesWriter:
    """Implements Sink; events are appended to `out`. `tools`: the client's, by wire name."""

    def __init__(self, *, id: str, created: int, asked: Mapping[str, Any], tools: Mapping[str, Tool]) -> None:
        self.out: list[bytes] = []
        self._id = id
        self._created = created
        self._asked = asked
        self._tools = tools
        self._model = ""
        self._sequence = 0
        self._items: list[dict[str, Any]] = []
        # Position of the open message or reasoning item; its open part.
        self._open = -1
        self._part: dict[str, Any] | None = None
        self._text: list[str] = []
        self._delta_front = b""
        # The provider's index of an open call → position of its item, and its arguments so far.
        self._call_items: dict[int, int] = {}
        self._call_texts: dict[int, list[str]] = {}
        self._carried: list[dict[str, Any]] = []
        self._reason: FinishReason = "stop"
        self._native = ""
        self._sequence_hit = ""
        self._tokens: Tokens | None = None
        self._tier = ""

    def begin(self, id: str, model: str) -> None:
        self._id = id or self._id
        self._model = model
        response = self.response("in_progress")
        self._write({"type": "response.created", "response": response})
        self._write({"type": "response.in_progress", "response": response})

    def response(self, status: str) -> dict[str, Any]:
        """The response as it stands."""
        document: dict[str, Any] = {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": self._model,
            "output": self._items,
            "store": False,
        }
        for name, default in _ECHOED.items():
            value = self._asked.get(name)
            document[name] = default if value is None else value
        document["service_tier"] = self._tier or "default"
        document["usage"] = None
        if status in ("completed", "incomplete") and self._tokens is not None:
            document["usage"] = usage_document(self._tokens)
        if status == "incomplete":
            document["incomplete_details"] = {"reason": _INCOMPLETE[self._reason]}
        if self._carried:
            document["provider_content"] = self._carried
        if self._reason in _UNNAMED and self._native:
            document["native_finish_reason"] = self._native
        if self._sequence_hit:
            document["stop_sequence"] = self._sequence_hit
        return document

    @property
    def final(self) -> dict[str, Any]:
        """The whole response, once `end` was told."""
        return self.response("incomplete" if self._reason in _INCOMPLETE else "completed")

    def _settle_reason(self) -> None:
        """A refusal without words of refusal is a filtered answer here."""
        refused = any(part["type"] == "refusal" for item in self._items for part in item.get("content", ()))
        if self._reason == "refusal" and not refused:
            self._reason = "content_filter"

    def text(self, text: str) -> None:
        if self._part is None or self._part["type"] != "output_text":
            self._begin_part({"type": "output_text", "text": "", "annotations": [], "logprobs": []})
        self._text.append(text)
        # All deltas of a part differ in their number and their text alone.
        self.out.append(b'%b%d,"delta":%b}\n\n' % (self._delta_front, self._sequence, orjson.dumps(text)))
        self._sequence += 1

    def refusal(self, text: str) -> None:
        if self._part is None or self._part["type"] != "refusal":
            self._begin_part({"type": "refusal", "refusal": ""})
        self._text.append(text)
        self._write({"type": "response.refusal.delta", **self._place(), "delta": text})

    def thinking(self, text: str) -> None:
        if self._part is None or self._part["type"] != "summary_text":
            self._close_open()
            self._begin_item(
                {"type": "reasoning", "id": self._item_id("rs"), "summary": [], "encrypted_content": None}
            )
            self._part = {"type": "summary_text", "text": ""}
            added = {"type": "response.reasoning_summary_part.added", **self._summary_place()}
            self._write({**added, "part": dict(self._part)})
        self._text.append(text)
        self._write({"type": "response.reasoning_summary_text.delta", **self._summary_place(), "delta": text})

    def seal(self, data: str, origin: Origin, *, redacted: bool = False, id: str = "") -> None:
        if self._part is None or self._part["type"] != "summary_text" or redacted:
            self._close_open()
            self._begin_item(
                {"type": "reasoning", "id": self._item_id("rs"), "summary": [], "encrypted_content": None}
            )
        self._items[self._open]["encrypted_content"] = wrapped(
            data, origin, "openai", redacted=redacted, id=id
        )
        self._close_open()

    def call(self, index: int, id: str, name: str) -> None:
        self._close_open()
        for other in [*self._call_items]:
            if _is_complete(self._call_texts[other]):
                self._close_call(other)
        tool = self._tools.get(name)
        item: dict[str, Any] = {
            "type": "function_call",
            "id": self._item_id("fc"),
            "call_id": id,
            "name": name,
            "arguments": "",
            "status": "in_progress",
        }
        if tool is not None:
            item["name"] = tool.name
            if tool.namespace:
                item["namespace"] = tool.namespace
            if tool.custom:
                item["type"], item["id"] = "custom_tool_call", self._item_id("ctc")
                item["input"] = item.pop("arguments")
        self._call_items[index] = len(self._items)
        self._call_texts[index] = []
        self._begin_item(item)
        self._open = -1

    def arguments(self, index: int, text: str) -> None:
        self._call_texts[index].append(text)
        position = self._call_items.get(index)
        if position is None or "input" in self._items[position]:
            return  # a custom tool's text stands inside JSON and comes whole
        place = {"item_id": self._items[position]["id"], "output_index": position}
        self._write({"type": "response.function_call_arguments.delta", **place, "delta": text})

    def citation(self, citation: Citation) -> None:
        if citation["kind"] == "url":
            annotation = {
                "type": "url_citation",
                "url": citation["url"],
                "title": citation["title"],
                "start_index": citation["start"] or 0,
                "end_index": citation["end"] or 0,
            }
        elif citation.get("dialect") == "responses":
            annotation = citation["raw"]
        else:
            self._carried.append({"citation": citation["raw"]})
            return
        if self._part is None or self._part["type"] != "output_text":
            self._begin_part({"type": "output_text", "text": "", "annotations": [], "logprobs": []})
        if self._part is not None:
            number = len(self._part["annotations"])
            self._part["annotations"].append(annotation)
            added = {"type": "response.output_text.annotation.added", **self._place()}
            self._write({**added, "annotation_index": number, "annotation": annotation})

    def logprobs(self, entries: list[dict[str, Any]]) -> None:
        if self._part is not None and self._part["type"] == "output_text":
            self._part["logprobs"] += entries
            delta = {"type": "response.output_text.delta", **self._place(), "delta": "", "logprobs": entries}
            self._write(delta)

    def foreign(self, item: dict[str, Any]) -> None:
        if item.get("type") == "server_tool_use" and item.get("name") == "web_search":
            self._searched(item)
        self._carried.append(item)

    def _searched(self, item: dict[str, Any]) -> None:
        """Anthropic's search as this dialect's."""
        self._close_open()
        given = item.get("input")
        query = given.get("query") if isinstance(given, dict) else None
        call = {"type": "web_search_call", "id": self._item_id("ws"), "status": "completed"}
        self._begin_item({**call, "action": {"type": "search", "query": str(query or "")}})
        self._close_open()

    def finish(self, reason: FinishReason, *, sequence: str = "", native: str = "") -> None:
        self._reason, self._native, self._sequence_hit = reason, native, sequence

    def usage(self, tokens: Tokens, *, tier: str = "") -> None:
        self._tokens, self._tier = tokens, tier

    def end(self) -> None:
        self._settle_reason()
        self._close_open()
        for index in [*self._call_items]:
            self._close_call(index)
        final = self.final
        self._write({"type": f"response.{final['status']}", "response": final})

    def error_event(self, error: dict[str, object]) -> bytes:
        try:
            self._close_open()
            for index in [*self._call_items]:
                self._close_call(index)
            told = error_events(error, self._sequence, self.response("failed"))
        except TypeError:  # what came cannot be written: nested too deeply, which may be the error itself
            told = error_events(error, self._sequence)
        closing = b"".join(self.out)
        self.out.clear()
        return closing + told

    def _item_id(self, prefix: str) -> str:
        return f"{prefix}_{self._id.removeprefix('resp_')}_{len(self._items)}"

    def _place(self) -> dict[str, Any]:
        item = self._items[self._open]
        content = item.get("content") or [None]
        return {"item_id": item["id"], "output_index": self._open, "content_index": len(content) - 1}

    def _summary_place(self) -> dict[str, Any]:
        return {"item_id": self._items[self._open]["id"], "output_index": self._open, "summary_index": 0}

    def _begin_item(self, item: dict[str, Any]) -> None:
        self._open = len(self._items)
        self._items.append(item)
        self._write({"type": "response.output_item.added", "output_index": self._open, "item": item})

    def _begin_part(self, part: dict[str, Any]) -> None:
        """A part of a message: of the open one, or of a new one."""
        if self._open < 0 or self._items[self._open]["type"] != "message":
            self._close_open()
            message: dict[str, Any] = {"type": "message", "id": self._item_id("msg")}
            self._begin_item({**message, "status": "in_progress", "role": "assistant", "content": []})
        else:
            self._close_part()
        self._part = part
        self._items[self._open]["content"].append(part)
        self._write({"type": "response.content_part.added", **self._place(), "part": dict(part)})
        delta = {"type": "response.output_text.delta", **self._place(), "logprobs": []}
        front = orjson.dumps(delta)[:-1] + b',"sequence_number":'
        self._delta_front = b"event: response.output_text.delta\ndata: " + front

    def _close_part(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        text = "".join(self._text)
        self._text = []
        if part["type"] == "summary_text":
            part["text"] = text
            place = self._summary_place()
            self._items[self._open]["summary"].append(part)
            self._write({"type": "response.reasoning_summary_text.done", **place, "text": text})
            self._write({"type": "response.reasoning_summary_part.done", **place, "part": part})
            return
        place = self._place()
        if part["type"] == "refusal":
            part["refusal"] = text
            self._write({"type": "response.refusal.done", **place, "refusal": text})
        else:
            part["text"] = text
            logprobs = part["logprobs"]
            self._write({"type": "response.output_text.done", **place, "text": text, "logprobs": logprobs})
        self._write({"type": "response.content_part.done", **place, "part": part})

    def _close_open(self) -> None:
        if self._open < 0:
            return
        self._close_part()
        item = self._items[self._open]
        if item["type"] == "message":
            item["status"] = "completed"
        elif item["type"] == "reasoning" and item["encrypted_content"] is None:
            item.pop("encrypted_content")
        self._write({"type": "response.output_item.done", "output_index": self._open, "item": item})
        self._open = -1

    def _close_call(self, index: int) -> None:
        position = self._call_items.pop(index)
        item = self._items[position]
        text = "".join(self._call_texts[index])
        place = {"item_id": item["id"], "output_index": position}
        if "input" in item:
            item["input"] = _custom_text(text)
            delta = {"type": "response.custom_tool_call_input.delta", **place, "delta": item["input"]}
            self._write(delta)
            done = {"type": "response.custom_tool_call_input.done", **place, "input": item["input"]}
        else:
            item["arguments"] = text or "{}"
            done = {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
        self._write(done)
        item["status"] = "completed"
        self._write({"type": "response.output_item.done", "output_index": position, "item": item})

    def _write(self, document: dict[str, Any]) -> None:
        document["sequence_number"] = self._sequence
        self._sequence += 1
        self.out.append(named_event_of(document))


def _is_complete(pieces: list[str]) -> bool:
    """Whether no more of this call can come."""
    try:
        orjson.loads("".join(pieces))
    except (orjson.JSONDecodeError, RecursionError):
        return False
    return True


def _custom_text(arguments: str) -> str:
    """A custom tool's free text out of the JSON that stood in for it."""
    try:
        found = orjson.loads(arguments)
    except (orjson.JSONDecodeError, RecursionError):
        return arguments
    text = found.get("input") if isinstance(found, dict) else None
    return text if isinstance(text, str) else arguments
