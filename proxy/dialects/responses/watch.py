"""A Responses stream between a client and a provider that both speak this dialect: passed on as it comes.

What is read: usage and status in the last event, errors, and the first event with something in it.
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.failures import failure_in_answer
from proxy.dialects.responses.events import error_events
from proxy.dialects.sse import DONE, EventStream, data_of, document_of

_LAST = ("response.completed", "response.incomplete")


class ResponsesWatch(EventStream):
    __slots__ = ("_id", "_sequence")

    def __init__(self, *, hold_end: bool = False) -> None:
        super().__init__(hold_end=hold_end)
        # Events seen, near enough to number one of ours.
        self._sequence = 0
        # Of the response, which every event about it repeats.
        self._id = ""

    def feed(self, data: bytes) -> bytes:
        if (
            self.started
            and not self._carry
            and data.endswith(b"\n\n")
            and b"response.completed" not in data
            and b"response.incomplete" not in data
            and b"response.failed" not in data
            and b'"error"' not in data
            and DONE not in data
            and not self.tail
        ):
            count = data.count(b"\ndata:")
            self.events += count
            self._sequence += count
            return data
        return super().feed(data)

    def error_event(self, error: dict[str, object]) -> bytes:
        return error_events(error, self._sequence, {"id": self._id} if self._id else None)

    def _event(self, event: bytes, out: list[bytes]) -> None:
        payload = data_of(event)
        if payload is None or payload == DONE:
            self._emit(event, out)
            return
        document = document_of(payload)
        self._sequence += 1
        kind = document.get("type")
        had_started = self.started
        if kind in _LAST:
            self.started = self.finished = self.done = True
            self._take(document.get("response"))
        elif kind == "response.failed":
            response = document.get("response")
            self._take(response)
            error = response.get("error") if isinstance(response, dict) else None
            self._fail(failure_in_answer(error or {}), had_started=had_started)
        elif kind == "response.created":
            self._take(document.get("response"))
        elif kind == "error":
            self._fail(failure_in_answer(document.get("error") or document), had_started=had_started)
        elif isinstance(kind, str) and (
            kind.endswith((".delta", "_call.in_progress")) or _is_call(kind, document)
        ):
            self.started = True
            self.events += 1
        self._emit(event, out)

    def _take(self, response: Any) -> None:
        if not isinstance(response, dict):
            return
        if isinstance(response.get("id"), str):
            self._id = response["id"]
        if isinstance(response.get("usage"), dict):
            self.usage = response["usage"]
        if isinstance(response.get("service_tier"), str):
            self.service_tier = response["service_tier"]


def _is_call(kind: str, document: dict[str, Any]) -> bool:
    item = document.get("item")
    if kind == "response.output_item.done":
        return True
    return (
        kind == "response.output_item.added"
        and isinstance(item, dict)
        and str(item.get("type")).endswith("_call")
    )
