"""A Messages stream between a client and a provider that both speak this dialect: passed on as it comes.

What is read: usage (cumulative, in the first and the last events), the stop reason, errors, and the first
event with something in it. https://docs.anthropic.com/en/api/messages-streaming
"""

from __future__ import annotations

from proxy.dialects.failures import failure_in_answer
from proxy.dialects.messages.events import error_event
from proxy.dialects.messages.usage import merged
from proxy.dialects.sse import EventStream, data_of, document_of


class MessagesWatch(EventStream):
    __slots__ = ()

    def feed(self, data: bytes) -> bytes:
        if (
            self.started
            and not self._carry
            and data.endswith(b"\n\n")
            and b"message_" not in data
            and b"error" not in data
            and not self.tail
        ):
            self.events += data.count(b"content_block_delta") // 2
            return data
        return super().feed(data)

    def error_event(self, error: dict[str, object]) -> bytes:
        return error_event(error)

    def _event(self, event: bytes, out: list[bytes]) -> None:
        payload = data_of(event)
        if payload is None:
            self._emit(event, out)
            return
        document = document_of(payload)
        kind = document.get("type")
        had_started = self.started
        if kind == "content_block_delta":
            self.started = True
            self.events += 1
        elif kind == "content_block_start":
            block = document.get("content_block")
            if isinstance(block, dict) and block.get("type") not in ("text", "thinking"):
                self.started = True
        elif kind == "message_start" and isinstance(document.get("message"), dict):
            self._take(document["message"].get("usage"))
        elif kind == "message_delta":
            self._take(document.get("usage"))
            delta = document.get("delta")
            if isinstance(delta, dict) and delta.get("stop_reason"):
                self.started = self.finished = True
        elif kind == "message_stop":
            self.done = True
        elif kind == "error":
            self._fail(failure_in_answer(document.get("error") or document), had_started=had_started)
        self._emit(event, out)

    def _take(self, usage: object) -> None:
        self.usage = merged(self.usage, usage)
        tier = self.usage.get("service_tier") if self.usage is not None else None
        if isinstance(tier, str):
            self.service_tier = tier
