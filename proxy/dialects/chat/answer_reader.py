"""A chat completions answer, whole or as chunks, told to a sink.

Where providers differ: reasoning comes as `reasoning`, `reasoning_content`, `reasoning_details` or as parts
of the content (Mistral); usage in any chunk; calls may lack an id or an index.
https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

from typing import Any

import orjson

from headgate.v1 import usage_pb2
from proxy.dialects.chat.usage import tokens_of
from proxy.dialects.chat.watch import usage_of
from proxy.dialects.failures import failure_in_answer
from proxy.dialects.neutral.reader import ReaderState
from proxy.dialects.neutral.reasoning import origin_of
from proxy.dialects.neutral.sink import FinishReason, Sink
from proxy.upstream.failure import broken

FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# Of a message or delta: read here, or without content of its own.
_KNOWN = frozenset(
    {
        *("role", "content", "refusal", "reasoning", "reasoning_content", "reasoning_details"),
        *("tool_calls", "function_call", "annotations", "channel", "prefix", "name", "obfuscation"),
        *("thought_signature", "extra_content", "index", "reasoning_opaque"),
    }
)


class ChatReader(ReaderState):
    __slots__ = ("_calls", "_count", "_last", "_refused")

    def __init__(self, sink: Sink, seed: str = "") -> None:
        super().__init__(sink, seed)
        # Calls begun, by the provider's index: our number for it, and its id.
        self._calls: dict[int, tuple[int, str]] = {}
        self._count = 0
        self._last = 0
        self._refused = False

    def read(self, document: dict[str, Any]) -> None:
        error = document.get("error")
        if not self.begun:
            self._begin(document)
        choices = document.get("choices")
        for choice in choices if choices.__class__ is list else ():
            if choice.__class__ is not dict or choice.get("index"):
                continue
            error = error or choice.get("error")
            delta = choice.get("delta")
            if delta.__class__ is dict:
                self._message(delta)
            self._logprobs(choice)
            if choice.get("finish_reason"):
                self._finish(choice)
        self._usage(document)
        if error:
            self.error = failure_in_answer(error)

    def read_whole(self, document: dict[str, Any]) -> None:
        choices = document.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(first, dict):
            self.error = broken(usage_pb2.REASON_PROTOCOL_ERROR, "the provider's answer has no choices")
            return
        error = first.get("error")
        if error:
            self.error = failure_in_answer(error)
            return
        self._begin(document)
        message = first.get("message")
        if isinstance(message, dict):
            self._message(message)
        self._logprobs(first)
        self._finish(first)
        self._usage(document)
        self.done = True
        self.sink.end()

    def finish_at_end(self) -> None:
        """`[DONE]` without a finish before it is an end all the same."""
        if not self.finished:
            self._finish({})
        super().finish_at_end()

    def _begin(self, document: dict[str, Any]) -> None:
        self.begun = True
        self.sink.begin(str(document.get("id") or ""), str(document.get("model") or ""))

    def _message(self, message: dict[str, Any]) -> None:
        """A message or a delta: the same fields."""
        sink = self.sink
        details = message.get("reasoning_details")
        if details:
            self._details(details)
        else:
            thought = message.get("reasoning_content") or message.get("reasoning")
            if thought and thought.__class__ is str:
                self.started = True
                sink.thinking(thought)
        google = message.get("extra_content")
        if google.__class__ is dict:
            self._google(google)
        content = message.get("content")
        if content:
            if content.__class__ is str:
                self.started = True
                sink.text(content)
            elif content.__class__ is list:
                self._parts(content)
        refusal = message.get("refusal")
        if refusal and refusal.__class__ is str:
            self.started = self._refused = True
            sink.refusal(refusal)
        annotations = message.get("annotations")
        if annotations:
            self._annotations(annotations)
        calls = message.get("tool_calls")
        if calls.__class__ is list:
            for position, call in enumerate(calls):
                if call.__class__ is dict:
                    self._call(call, position)
        legacy = message.get("function_call")
        if legacy.__class__ is dict:
            self._call({"index": 0, "function": legacy}, 0)
        if len(message) > 1 and not message.keys() <= _KNOWN:
            self._unknown(message)

    def _call(self, call: dict[str, Any], position: int) -> None:
        function = call.get("function")
        if function.__class__ is not dict:
            function = call.get("custom")
            if function.__class__ is not dict:
                return
        self.started = True
        number = self._number(call, position, str(function.get("name") or ""))
        arguments = function.get("arguments")
        if arguments.__class__ is dict:
            arguments = orjson.dumps(arguments).decode()
        if not arguments and function.get("input"):
            arguments = orjson.dumps({"input": function["input"]}).decode()
        if arguments and arguments.__class__ is str:
            self.sink.arguments(number, arguments)

    def _number(self, call: dict[str, Any], position: int, name: str) -> int:
        """Which call this is about. Some servers give all the same index, or none: another id is another
        call, and no id means the one before."""
        index = call.get("index")
        id = str(call.get("id") or "")
        if index.__class__ is not int:
            index = position if id or not self._calls else self._last
        self._last = index
        known = self._calls.get(index)
        if known is not None and (not id or id == known[1]):
            return known[0]
        number = self._count
        self._count += 1
        id = id or self.made_id(number)
        self._calls[index] = (number, id)
        google = call.get("extra_content")
        if google.__class__ is dict:
            self._google(google)
        self.sink.call(number, id, name)
        return number

    def _parts(self, parts: list[Any]) -> None:
        """Mistral: text and thinking in one list."""
        for part in parts:
            if part.__class__ is not dict:
                continue
            self.started = True
            if part.get("type") == "text":
                self.sink.text(str(part.get("text") or ""))
            elif part.get("type") == "thinking":
                pieces = part.get("thinking")
                for piece in pieces if isinstance(pieces, list) else ():
                    if isinstance(piece, dict) and piece.get("text"):
                        self.sink.thinking(str(piece["text"]))
            else:
                self.sink.foreign(part)

    def _details(self, details: Any) -> None:
        for entry in details if isinstance(details, list) else ():
            if not isinstance(entry, dict):
                continue
            self.started = True
            origin = origin_of(str(entry.get("format") or ""))
            text = entry.get("text") or entry.get("summary")
            if text:
                self.sink.thinking(str(text))
            if entry.get("signature"):
                self.sink.seal(str(entry["signature"]), origin)
            if entry.get("data"):
                redacted = origin == "anthropic"
                self.sink.seal(str(entry["data"]), origin, redacted=redacted, id=str(entry.get("id") or ""))

    def _google(self, extra: dict[str, Any]) -> None:
        google = extra.get("google")
        signature = google.get("thought_signature") if isinstance(google, dict) else None
        if signature:
            self.sink.seal(str(signature), "gemini")

    def _annotations(self, annotations: Any) -> None:
        for annotation in annotations if isinstance(annotations, list) else ():
            if not isinstance(annotation, dict):
                continue
            url = annotation.get("url_citation")
            if isinstance(url, dict):
                self.sink.citation(
                    {
                        "kind": "url",
                        "url": url.get("url") or "",
                        "title": url.get("title") or "",
                        "start": url.get("start_index"),
                        "end": url.get("end_index"),
                        "cited_text": url.get("content") or "",
                    }
                )
            else:
                self.sink.foreign({"annotation": annotation})

    def _logprobs(self, choice: dict[str, Any]) -> None:
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            self.sink.logprobs(logprobs["content"])

    def _finish(self, choice: dict[str, Any]) -> None:
        self.started = self.finished = True
        native = str(choice.get("finish_reason") or "stop")
        reason = FINISH.get(native, "stop")
        sequence = choice.get("stop_reason")  # vLLM says which one it met
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        elif reason == "stop" and self._refused:
            reason = "refusal"
        elif reason == "stop" and isinstance(sequence, str) and sequence:
            reason = "stop_sequence"
        self.sink.finish(reason, sequence=sequence if isinstance(sequence, str) else "", native=native)

    def _usage(self, document: dict[str, Any]) -> None:
        tier = document.get("service_tier")
        if isinstance(tier, str):
            self.service_tier = tier
        usage = usage_of(document)
        if usage is not None:
            self.usage = usage
            self.sink.usage(tokens_of(usage)[0], tier=self.service_tier)

    def _unknown(self, message: dict[str, Any]) -> None:
        more = {name: value for name, value in message.items() if name not in _KNOWN and value}
        if more:
            self.started = True
            self.sink.foreign(more)
