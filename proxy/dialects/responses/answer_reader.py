"""A Responses answer, whole or as events, told to a sink.

https://platform.openai.com/docs/api-reference/responses-streaming. Items of the provider's own tools are
carried as they are.
"""

from __future__ import annotations

from typing import Any

import orjson

from headgate.v1 import usage_pb2
from proxy.dialects.failures import failure_in_answer
from proxy.dialects.neutral.reader import ReaderState
from proxy.dialects.neutral.sink import Citation, FinishReason, Sink
from proxy.dialects.responses.usage import tokens_of
from proxy.upstream.failure import broken

_CALLS = ("function_call", "custom_tool_call")
# States in which a whole response says nothing yet, or nothing any more.
_UNFINISHED = ("queued", "in_progress", "cancelled")


class ResponsesReader(ReaderState):
    __slots__ = ("_argued", "_calls", "_refused", "_said", "_summaries")

    def __init__(self, sink: Sink, seed: str = "") -> None:
        super().__init__(sink, seed)
        # By output index: calls begun; calls and messages whose content came in pieces.
        self._calls: set[int] = set()
        self._argued: set[int] = set()
        self._said: set[int] = set()
        # Summary parts of the reasoning begun so far, by output index.
        self._summaries: dict[int, int] = {}
        self._refused = False

    def read(self, document: dict[str, Any]) -> None:
        kind = document.get("type")
        index = document.get("output_index")
        index = index if index.__class__ is int else 0
        if not self.begun and document.get("output_index") is not None:  # a server that leaves it out
            self._begin({})
        if kind == "response.output_text.delta":
            self._text(index, document)
        elif kind == "response.function_call_arguments.delta":
            self.started = True
            if index in self._calls:
                self._argued.add(index)
                self.sink.arguments(index, str(document.get("delta") or ""))
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            self.started = True
            self._said.add(index)
            self.sink.thinking(str(document.get("delta") or ""))
        elif kind == "response.reasoning_summary_part.added":
            self._summaries[index] = self._summaries.get(index, 0) + 1
            if self._summaries[index] > 1:
                self.sink.thinking("\n\n")
        elif kind == "response.refusal.delta":
            self.started = self._refused = True
            self._said.add(index)
            self.sink.refusal(str(document.get("delta") or ""))
        elif kind == "response.output_text.annotation.added":
            if isinstance(document.get("annotation"), dict):
                self._annotation(document["annotation"])
        elif kind == "response.output_item.added":
            self._added(index, document.get("item"))
        elif kind == "response.output_item.done":
            self._item(index, document.get("item"))
        elif kind in ("response.created", "response.queued", "response.in_progress"):
            self._begin(document.get("response"))
        elif kind in ("response.completed", "response.incomplete"):
            self._end(document.get("response"))
        elif kind == "response.failed":
            response = document.get("response")
            self.error = failure_in_answer(
                (response.get("error") if isinstance(response, dict) else None) or {}
            )
        elif kind == "error":
            self.error = failure_in_answer(document.get("error") or document)

    def read_whole(self, document: dict[str, Any]) -> None:
        if document.get("status") == "failed" and document.get("error"):
            self.error = failure_in_answer(document["error"])
            return
        output = document.get("output")
        if not isinstance(output, list) or document.get("status") in _UNFINISHED:
            self.error = broken(
                usage_pb2.REASON_PROTOCOL_ERROR, "the provider's answer is no finished response"
            )
            return
        self._begin(document)
        for index, item in enumerate(output):
            self._added(index, item)
            self._item(index, item)
        self._end(document)

    def _begin(self, response: object) -> None:
        if self.begun or not isinstance(response, dict):
            return
        self.begun = True
        self.sink.begin(str(response.get("id") or ""), str(response.get("model") or ""))

    def _text(self, index: int, document: dict[str, Any]) -> None:
        self.started = True
        self._said.add(index)
        self.sink.text(str(document.get("delta") or ""))
        logprobs = document.get("logprobs")
        if logprobs and isinstance(logprobs, list):
            self.sink.logprobs(logprobs)

    def _added(self, index: int, item: object) -> None:
        if not isinstance(item, dict) or item.get("type") not in _CALLS:
            return
        self.started = True
        self._calls.add(index)
        name = str(item.get("name") or "")
        if item.get("namespace"):
            name = f"{item['namespace']}__{name}"
        self.sink.call(index, str(item.get("call_id") or item.get("id") or self.made_id(index)), name)

    def _item(self, index: int, item: object) -> None:
        """A complete item: what of it did not come in pieces is told now."""
        if not isinstance(item, dict):
            return
        kind = item.get("type")
        if kind == "message":
            self._message(index, item)
        elif kind in _CALLS:
            if index not in self._calls:
                self._added(index, item)
            if index not in self._argued:
                custom = kind == "custom_tool_call"
                text = (
                    orjson.dumps({"input": item.get("input")}).decode() if custom else item.get("arguments")
                )
                self.sink.arguments(index, str(text or ""))
        elif kind == "reasoning":
            self._reasoning(index, item)
        else:
            self.started = True
            self.sink.foreign(item)

    def _message(self, index: int, item: dict[str, Any]) -> None:
        content = item.get("content")
        for part in content if isinstance(content, list) else ():
            if not isinstance(part, dict) or index in self._said:
                continue
            self.started = True
            if part.get("type") == "refusal":
                self._refused = True
                self.sink.refusal(str(part.get("refusal") or ""))
            elif part.get("type") == "output_text":
                self.sink.text(str(part.get("text") or ""))
                annotations = part.get("annotations")
                for annotation in annotations if isinstance(annotations, list) else ():
                    if isinstance(annotation, dict):
                        self._annotation(annotation)
                logprobs = part.get("logprobs")
                if logprobs and isinstance(logprobs, list):
                    self.sink.logprobs(logprobs)
            else:
                self.sink.foreign(part)

    def _reasoning(self, index: int, item: dict[str, Any]) -> None:
        if index not in self._said:
            pieces = [
                str(piece.get("text") or "")
                for name in ("summary", "content")
                for piece in (item.get(name) or ())
                if isinstance(piece, dict)
            ]
            if any(pieces):
                self.started = True
                self.sink.thinking("\n\n".join(pieces))
        if item.get("encrypted_content"):
            self.started = True
            self.sink.seal(str(item["encrypted_content"]), self.maker, id=str(item.get("id") or ""))

    def _annotation(self, annotation: dict[str, Any]) -> None:
        citation: Citation = {"kind": "document", "dialect": "responses", "raw": annotation}
        if annotation.get("type") == "url_citation":
            citation = {
                "kind": "url",
                "url": annotation.get("url") or "",
                "title": annotation.get("title") or "",
                "start": annotation.get("start_index"),
                "end": annotation.get("end_index"),
                "cited_text": "",
            }
        self.sink.citation(citation)

    def _end(self, response: object) -> None:
        response = response if isinstance(response, dict) else {}
        self._begin(response)
        self.started = self.finished = self.done = True
        tier = response.get("service_tier")
        self.service_tier = tier if isinstance(tier, str) else ""
        usage = response.get("usage")
        if isinstance(usage, dict):
            self.usage = usage
            self.sink.usage(tokens_of(usage)[0], tier=self.service_tier)
        details = response.get("incomplete_details")
        why = str(details.get("reason") or "") if isinstance(details, dict) else ""
        reason: FinishReason = "stop"
        if why:
            reason = "content_filter" if why == "content_filter" else "length"
        elif self._calls:
            reason = "tool_calls"
        elif self._refused:
            reason = "refusal"
        self.sink.finish(reason, native=why or str(response.get("status") or "completed"))
        self.sink.end()
