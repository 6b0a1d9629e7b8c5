"""An answer for a Messages client: whole, or as events.

Blocks follow each other as in Anthropic's own streams; calls that a provider interleaves stay open beside
each other, told apart by their index. `message_start` has an estimate of the input where the provider
counts at the end; `message_delta` has the counts. See docs/dialects.md.
"""

from __future__ import annotations

from typing import Any

import orjson

from headgate.rules.money import Tokens
from proxy.dialects.messages.events import error_event
from proxy.dialects.messages.usage import usage_document
from proxy.dialects.neutral.answer import Answer, SaidCall, SaidText, SaidThinking
from proxy.dialects.neutral.reasoning import wrapped
from proxy.dialects.neutral.request import Origin
from proxy.dialects.neutral.sink import Citation, FinishReason
from proxy.dialects.sse import named_event_of

_FINISH: dict[FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "malformed": "end_turn",
}


def answer_document(answer: Answer, *, id: str) -> dict[str, Any]:
    """`id`: where the provider gave none."""
    document: dict[str, Any] = {
        "id": answer.id or id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [block for part in answer.parts if (block := _block(part)) is not None],
        "stop_reason": _FINISH[answer.finish_reason],
        "stop_sequence": answer.stop_sequence or None,
        "usage": usage_document(answer.tokens, tier=answer.tier),
    }
    carried = [*answer.foreign_items, *_other_citations(answer)]
    if carried:
        document["provider_content"] = carried
    return document


def _block(part: SaidText | SaidThinking | SaidCall) -> dict[str, Any] | None:
    if isinstance(part, SaidText):
        if not part.text:
            return None
        block: dict[str, Any] = {"type": "text", "text": part.text}
        citations = [written for c in part.citations if (written := _citation(c)) is not None]
        return {**block, "citations": citations} if citations else block
    if isinstance(part, SaidCall):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": _input(part.arguments)}
    if part.redacted and part.origin == "anthropic":
        return {"type": "redacted_thinking", "data": part.data}
    signature = wrapped(part.data, part.origin, "anthropic", id=part.id)
    return {"type": "thinking", "thinking": part.text, "signature": signature}


def _input(arguments: str) -> Any:
    """A model may have written no object, or no JSON: the client gets what there is."""
    try:
        found = orjson.loads(arguments or "{}")
    except (orjson.JSONDecodeError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"arguments": arguments}


def _citation(citation: Citation) -> dict[str, Any] | None:
    if citation["kind"] == "url":
        return {
            "type": "web_search_result_location",
            "url": citation["url"],
            "title": citation["title"],
            "cited_text": citation["cited_text"],
            "encrypted_index": "",
        }
    raw: dict[str, Any] = citation["raw"]
    return raw if citation.get("dialect") == "messages" else None


def _other_citations(answer: Answer) -> list[dict[str, Any]]:
    return [
        {"citation": citation["raw"]}
        for part in answer.parts
        if isinstance(part, SaidText)
        for citation in part.citations
        if _citation(citation) is None
    ]


class MessagesStreamWriter:
    """Implements Sink; events are appended to `out`."""

    __slots__ = (
        "_call_blocks",
        "_call_texts",
        "_carried",
        "_finish",
        "_id",
        "_index",
        "_open",
        "_open_kind",
        "_text_front",
        "_tier",
        "_tokens",
        "out",
    )

    def __init__(self, *, id: str, estimated_input: int) -> None:
        self.out: list[bytes] = []
        self._id = id
        # Blocks begun so far.
        self._index = 0
        # The text or thinking block that is open.
        self._open = -1
        self._open_kind = ""
        self._text_front = b""
        # Open calls: the provider's index → block, and the arguments so far.
        self._call_blocks: dict[int, int] = {}
        self._call_texts: dict[int, str] = {}
        self._carried: list[dict[str, Any]] = []
        self._finish: dict[str, Any] = {"stop_reason": "end_turn", "stop_sequence": None}
        self._tokens = Tokens(input=estimated_input)
        self._tier = ""

    def begin(self, id: str, model: str) -> None:
        message: dict[str, Any] = {
            "id": id or self._id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage_document(self._tokens, tier=self._tier), "output_tokens": 0},
        }
        self._write({"type": "message_start", "message": message})

    def text(self, text: str) -> None:
        if self._open_kind != "text":
            self._begin_text()
        self.out.append(self._text_front + orjson.dumps(text) + b"}}\n\n")

    def refusal(self, text: str) -> None:
        self.text(text)

    def thinking(self, text: str) -> None:
        if self._open_kind != "thinking":
            self._begin_block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        self._delta(self._open, {"type": "thinking_delta", "thinking": text})

    def seal(self, data: str, origin: Origin, *, redacted: bool = False, id: str = "") -> None:
        if redacted and origin == "anthropic":
            self._begin_block("redacted", {"type": "redacted_thinking", "data": data})
            self._close_open()
            return
        if self._open_kind != "thinking":
            self._begin_block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        signature = wrapped(data, origin, "anthropic", id=id)
        self._delta(self._open, {"type": "signature_delta", "signature": signature})
        self._close_block(self._open)
        self._open, self._open_kind = -1, ""

    def call(self, index: int, id: str, name: str) -> None:
        self._close_open()
        for other in [*self._call_blocks]:
            if _is_complete(self._call_texts[other]):
                self._close_block(self._call_blocks.pop(other))
        self._call_blocks[index] = self._index
        self._call_texts[index] = ""
        self._start({"type": "tool_use", "id": id, "name": name, "input": {}})

    def arguments(self, index: int, text: str) -> None:
        self._call_texts[index] += text
        block = self._call_blocks.get(index)
        if block is not None:
            self._delta(block, {"type": "input_json_delta", "partial_json": text})

    def citation(self, citation: Citation) -> None:
        written = _citation(citation)
        if written is None:
            self._carried.append({"citation": citation["raw"]})
            return
        if self._open_kind != "text":
            self._begin_text()
        self._delta(self._open, {"type": "citations_delta", "citation": written})

    def logprobs(self, entries: list[dict[str, Any]]) -> None:
        """Nobody can ask for them in this dialect."""

    def foreign(self, item: dict[str, Any]) -> None:
        self._carried.append(item)

    def finish(self, reason: FinishReason, *, sequence: str = "", native: str = "") -> None:
        self._finish = {"stop_reason": _FINISH[reason], "stop_sequence": sequence or None}

    def usage(self, tokens: Tokens, *, tier: str = "") -> None:
        self._tokens, self._tier = tokens, tier

    def end(self) -> None:
        self._close_open()
        for block in self._call_blocks.values():
            self._close_block(block)
        self._call_blocks.clear()
        delta = {**self._finish, "provider_content": self._carried} if self._carried else self._finish
        self._write({"type": "message_delta", "delta": delta, "usage": usage_document(self._tokens)})
        self._write({"type": "message_stop"})

    def error_event(self, error: dict[str, object]) -> bytes:
        return error_event(error)

    def _begin_text(self) -> None:
        self._begin_block("text", {"type": "text", "text": ""})
        delta = {"type": "text_delta", "text": ""}
        front = {"type": "content_block_delta", "index": self._open, "delta": delta}
        # All deltas of a block differ in their text alone.
        self._text_front = named_event_of(front)[: -len(b'""}}\n\n')]

    def _begin_block(self, kind: str, block: dict[str, Any]) -> None:
        self._close_open()
        self._open, self._open_kind = self._index, kind
        self._start(block)

    def _start(self, block: dict[str, Any]) -> None:
        self._write({"type": "content_block_start", "index": self._index, "content_block": block})
        self._index += 1

    def _close_open(self) -> None:
        if self._open >= 0:
            if self._open_kind == "thinking":
                # Whoever made it gave nothing to continue from; the mark keeps it from others' signatures.
                signature = {"type": "signature_delta", "signature": wrapped("", "", "anthropic")}
                self._delta(self._open, signature)
            self._close_block(self._open)
            self._open, self._open_kind = -1, ""

    def _close_block(self, index: int) -> None:
        self._write({"type": "content_block_stop", "index": index})

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        self._write({"type": "content_block_delta", "index": index, "delta": delta})

    def _write(self, document: dict[str, Any]) -> None:
        self.out.append(named_event_of(document))


def _is_complete(arguments: str) -> bool:
    """Whether no more of this call can come: providers that interleave calls begin the next one early."""
    try:
        orjson.loads(arguments)
    except (orjson.JSONDecodeError, RecursionError):
        return False
    return True
