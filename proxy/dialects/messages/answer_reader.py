"""A Messages answer, whole or as events, told to a sink. https://docs.anthropic.com/en/api/messages-streaming"""

from __future__ import annotations

from typing import Any

import orjson

from proxy.dialects.failures import failure_in_answer
from proxy.dialects.messages.usage import merged, tokens_of
from proxy.dialects.neutral.reader import ReaderState
from proxy.dialects.neutral.sink import Citation, FinishReason, Sink

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context",
}


_CONTENT = ("content_block_start", "content_block_delta", "message_delta")


class MessagesReader(ReaderState):
    __slots__ = ("_blocks", "_calls", "_json")

    def __init__(self, sink: Sink, seed: str = "") -> None:
        super().__init__(sink, seed)
        self._calls: set[int] = set()
        # Blocks that are carried as they are, until they are complete.
        self._blocks: dict[int, dict[str, Any]] = {}
        self._json: dict[int, str] = {}

    def read(self, document: dict[str, Any]) -> None:
        kind = document.get("type")
        if not self.begun and kind in _CONTENT:  # a server that leaves the beginning out
            self._begin({})
        if kind == "content_block_delta":
            delta = document.get("delta")
            index = document.get("index")
            if delta.__class__ is dict and index.__class__ is int:
                self._delta(index, delta)
        elif kind == "content_block_start":
            block = document.get("content_block")
            index = document.get("index")
            if block.__class__ is dict and index.__class__ is int:
                self._start(index, block)
        elif kind == "content_block_stop":
            self._stop(document.get("index"))
        elif kind == "message_start":
            message = document.get("message")
            if isinstance(message, dict):
                self._begin(message)
        elif kind == "message_delta":
            delta = document.get("delta")
            self._usage(document.get("usage"))
            if isinstance(delta, dict):
                self._finish(delta)
        elif kind == "message_stop":
            self.done = True
            self.sink.end()
        elif kind == "error":
            self.error = failure_in_answer(document.get("error") or document)

    def read_whole(self, document: dict[str, Any]) -> None:
        self._begin(document)
        content = document.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            if isinstance(block, dict):
                self._start(index, block)
                self._stop(index)
        self._finish(document)
        self.done = True
        self.sink.end()

    def _begin(self, message: dict[str, Any]) -> None:
        self.begun = True
        self._usage(message.get("usage"))
        self.sink.begin(str(message.get("id") or ""), str(message.get("model") or ""))

    def _start(self, index: int, block: dict[str, Any]) -> None:
        """A block, which in a whole answer (and sometimes in a stream) is complete at once."""
        kind = block.get("type")
        sink = self.sink
        if kind == "text":
            if block.get("text"):
                self.started = True
                sink.text(str(block["text"]))
            citations = block.get("citations")
            for citation in citations if isinstance(citations, list) else ():
                if isinstance(citation, dict):
                    sink.citation(_citation(citation))
        elif kind == "thinking":
            if block.get("thinking"):
                self.started = True
                sink.thinking(str(block["thinking"]))
            if block.get("signature"):
                self.started = True
                sink.seal(str(block["signature"]), "anthropic")
        elif kind == "redacted_thinking":
            self.started = True
            sink.seal(str(block.get("data") or ""), "anthropic", redacted=True)
        elif kind == "tool_use":
            self.started = True
            self._calls.add(index)
            sink.call(index, str(block.get("id") or self.made_id(index)), str(block.get("name") or ""))
            if block.get("input"):
                sink.arguments(index, orjson.dumps(block["input"]).decode())
        else:
            self.started = True
            self._blocks[index] = dict(block)

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        kind = delta.get("type")
        self.started = True
        if kind == "text_delta":
            self.sink.text(str(delta.get("text") or ""))
        elif kind == "input_json_delta":
            text = str(delta.get("partial_json") or "")
            if index in self._blocks:
                self._json[index] = self._json.get(index, "") + text
            elif text and index in self._calls:
                self.sink.arguments(index, text)
        elif kind == "thinking_delta":
            self.sink.thinking(str(delta.get("thinking") or ""))
        elif kind == "signature_delta":
            self.sink.seal(str(delta.get("signature") or ""), "anthropic")
        elif kind == "citations_delta" and isinstance(delta.get("citation"), dict):
            self.sink.citation(_citation(delta["citation"]))
        elif index in self._blocks:
            self._blocks[index].update({k: v for k, v in delta.items() if k != "type"})

    def _stop(self, index: object) -> None:
        block = self._blocks.pop(index, None) if isinstance(index, int) else None
        if block is None or not isinstance(index, int):
            return
        text = self._json.pop(index, "")
        if text:
            try:
                block["input"] = orjson.loads(text)
            except (orjson.JSONDecodeError, RecursionError):
                block["input"] = text
        self.sink.foreign(block)

    def _finish(self, delta: dict[str, Any]) -> None:
        native = delta.get("stop_reason")
        if not isinstance(native, str):
            return
        self.started = self.finished = True
        for name in ("stop_details", "container", "context_management"):
            if delta.get(name):
                self.sink.foreign({name: delta[name]})
        sequence = delta.get("stop_sequence")
        self.sink.finish(
            FINISH.get(native, "stop"), sequence=sequence if isinstance(sequence, str) else "", native=native
        )

    def _usage(self, update: object) -> None:
        self.usage = merged(self.usage, update)
        if self.usage is not None:
            tier = self.usage.get("service_tier")
            self.service_tier = tier if isinstance(tier, str) else self.service_tier
            self.sink.usage(tokens_of(self.usage)[0], tier=self.service_tier)


def _citation(citation: dict[str, Any]) -> Citation:
    if citation.get("type") == "web_search_result_location":
        return {
            "kind": "url",
            "url": citation.get("url") or "",
            "title": citation.get("title") or "",
            "start": None,
            "end": None,
            "cited_text": citation.get("cited_text") or "",
        }
    return {"kind": "document", "dialect": "messages", "raw": citation}
