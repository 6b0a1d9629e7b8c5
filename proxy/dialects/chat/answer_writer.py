"""An answer for a chat client: whole, or as chunks.

What this dialect has no field for: `reasoning_content` (as DeepSeek and many servers) and
`reasoning_details` (as OpenRouter) hold reasoning, `annotations` citations, `native_finish_reason` and
`stop_sequence` why it ended, `provider_content` what nobody else knows. See docs/dialects.md.
"""

from __future__ import annotations

from typing import Any

import orjson

from headgate.rules.money import Tokens
from proxy.dialects.chat.message_writer import reasoning_details
from proxy.dialects.chat.usage import usage_document
from proxy.dialects.neutral.answer import Answer, SaidText, SaidThinking
from proxy.dialects.neutral.request import Origin, Thinking
from proxy.dialects.neutral.sink import Citation, FinishReason
from proxy.dialects.sse import event_of

_FINISH: dict[FinishReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "context": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "malformed": "stop",
}
DONE_EVENT = b"data: [DONE]\n\n"


def answer_document(answer: Answer, *, id: str, created: int) -> dict[str, Any]:
    """`id`: where the provider gave none."""
    texts = [part for part in answer.parts if isinstance(part, SaidText)]
    said = [part.text for part in texts if not part.refusal]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(said) if said else None}
    message["refusal"] = "".join(part.text for part in texts if part.refusal) or None
    thoughts = [part for part in answer.parts if isinstance(part, SaidThinking)]
    if thoughts:
        readable = "\n\n".join(thought.text for thought in thoughts if thought.text)
        if readable:
            message["reasoning_content"] = readable
        details = _details(thoughts)
        if details:
            message["reasoning_details"] = details
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for call in answer.calls
        ]
    citations = [_annotation(citation) for part in texts for citation in part.citations]
    if citations:
        message["annotations"] = citations
    if answer.foreign_items:
        message["provider_content"] = answer.foreign_items
    logprobs = [entry for part in texts for entry in part.logprobs]
    choice: dict[str, Any] = {
        "index": 0,
        "message": message,
        "finish_reason": _FINISH[answer.finish_reason],
        "logprobs": {"content": logprobs, "refusal": None} if logprobs else None,
        **_why(answer.finish_reason, answer.stop_sequence, answer.native_reason),
    }
    document: dict[str, Any] = {
        "id": answer.id or id,
        "object": "chat.completion",
        "created": created,
        "model": answer.model,
        "choices": [choice],
        "usage": usage_document(answer.tokens),
    }
    if answer.tier:
        document["service_tier"] = answer.tier
    return document


def _details(thoughts: list[SaidThinking]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for said in thoughts:
        if said.data:
            thought = Thinking("", said.text, said.data, said.origin, said.redacted, said.id)
            entries += reasoning_details(thought, len(entries))
    return entries


def _why(reason: FinishReason, sequence: str, native: str) -> dict[str, Any]:
    """What `finish_reason` cannot tell."""
    more: dict[str, Any] = {}
    if native and native != _FINISH[reason]:
        more["native_finish_reason"] = native
    if sequence:
        more["stop_sequence"] = sequence
    return more


def _annotation(citation: Citation) -> dict[str, Any]:
    if citation["kind"] != "url":
        return {"type": "document_citation", "document_citation": citation["raw"]}
    url = {
        "url": citation["url"],
        "title": citation["title"],
        "start_index": citation["start"] or 0,
        "end_index": citation["end"] or 0,
    }
    if citation.get("cited_text"):
        url["content"] = citation["cited_text"]
    return {"type": "url_citation", "url_citation": url}


class ChatStreamWriter:
    """Implements Sink; events are appended to `out`. `include_usage`: the client wants the usage chunk."""

    __slots__ = (
        "_after",
        "_calls",
        "_citations",
        "_created",
        "_finished",
        "_front",
        "_id",
        "_include_usage",
        "_items",
        "_text_front",
        "_thought",
        "_thoughts",
        "_tier",
        "_tokens",
        "out",
    )

    def __init__(self, *, id: str, created: int, include_usage: bool) -> None:
        self.out: list[bytes] = []
        self._id = id
        self._created = created
        self._include_usage = include_usage
        self._front: dict[str, Any] = {}
        self._text_front = b""
        self._after = b'},"finish_reason":null}]}\n\n'
        # Provider's index → ours, in order of appearance.
        self._calls: dict[int, int] = {}
        self._thought = ""
        self._thoughts = 0
        self._citations = 0
        self._items = 0
        self._finished = False
        self._tokens: Tokens | None = None
        self._tier = ""

    def begin(self, id: str, model: str) -> None:
        self._front = {
            "id": id or self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": model,
        }
        # Most chunks differ in their text alone: the rest is written once.
        self._text_front = (
            b"data: " + orjson.dumps(self._front)[:-1] + b',"choices":[{"index":0,"delta":{"content":'
        )
        self._delta({"role": "assistant", "content": ""})

    def text(self, text: str) -> None:
        self.out.append(self._text_front + orjson.dumps(text) + self._after)

    def refusal(self, text: str) -> None:
        self._delta({"refusal": text})

    def thinking(self, text: str) -> None:
        self._thought += text
        self._delta({"reasoning_content": text})

    def seal(self, data: str, origin: Origin, *, redacted: bool = False, id: str = "") -> None:
        thought = "" if redacted else self._thought
        entries = reasoning_details(Thinking("", thought, data, origin, redacted, id), self._thoughts)
        self._delta({"reasoning_details": entries})
        self._thoughts += len(entries)
        if not redacted:
            self._thought = ""

    def call(self, index: int, id: str, name: str) -> None:
        self._calls[index] = number = len(self._calls)
        function = {"name": name, "arguments": ""}
        self._delta({"tool_calls": [{"index": number, "id": id, "type": "function", "function": function}]})

    def arguments(self, index: int, text: str) -> None:
        self._delta({"tool_calls": [{"index": self._calls[index], "function": {"arguments": text}}]})

    def citation(self, citation: Citation) -> None:
        self._delta({"annotations": [{"index": self._citations, **_annotation(citation)}]})
        self._citations += 1

    def logprobs(self, entries: list[dict[str, Any]]) -> None:
        choice = {"index": 0, "delta": {}, "finish_reason": None, "logprobs": {"content": entries}}
        self._write({"choices": [choice]})

    def foreign(self, item: dict[str, Any]) -> None:
        # The SDKs' accumulators put entries of a list together by their index.
        self._delta({"provider_content": [{"index": self._items, **item}]})
        self._items += 1

    def finish(self, reason: FinishReason, *, sequence: str = "", native: str = "") -> None:
        if not self._finished:  # some servers say it again with the usage
            self._finished = True
            why = {"finish_reason": _FINISH[reason], **_why(reason, sequence, native)}
            self._write({"choices": [{"index": 0, "delta": {}, **why}]})

    def usage(self, tokens: Tokens, *, tier: str = "") -> None:
        self._tokens, self._tier = tokens, tier

    def end(self) -> None:
        if self._include_usage and self._tokens is not None:
            more = {"service_tier": self._tier} if self._tier else {}
            self._write({"choices": [], "usage": usage_document(self._tokens), **more})
        self.out.append(DONE_EVENT)

    def error_event(self, error: dict[str, object]) -> bytes:
        return event_of({"error": error})

    def _delta(self, delta: dict[str, Any]) -> None:
        self._write({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def _write(self, more: dict[str, Any]) -> None:
        self.out.append(event_of({**self._front, **more}))
