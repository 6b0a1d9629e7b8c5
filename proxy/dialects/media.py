"""Images and audio on their way through: bytes as they come, and events whose last one has the usage.

https://platform.openai.com/docs/api-reference/images-streaming, …/audio/speech-audio-delta-event,
…/audio/transcript-text-delta-event
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.chat.watch import error_event
from proxy.dialects.failures import failure_in_answer
from proxy.dialects.sse import DONE, EventStream, data_of, document_of
from proxy.upstream.failure import AttemptFailed

_LAST = (".completed", ".done")


class MediaWatch(EventStream):
    """Events of an image or a transcript in the making."""

    __slots__ = ()

    def error_event(self, error: dict[str, object]) -> bytes:
        return error_event(error)

    def _event(self, event: bytes, out: list[bytes]) -> None:
        payload = data_of(event)
        if payload is None or payload == DONE:
            self._emit(event, out)
            return
        document = document_of(payload)
        had_started = self.started
        if document.get("error"):
            self._fail(failure_in_answer(document["error"]), had_started=had_started)
        else:
            self.started = True
            self.events += 1
        if str(document.get("type")).endswith(_LAST):
            self.finished = self.done = True
            if isinstance(document.get("usage"), dict):
                self.usage = document["usage"]
        self._emit(event, out)


class RawStream:
    """A Stream of bytes that nobody looks into: complete when the connection says so."""

    raw = True
    hold_end = False

    def __init__(self) -> None:
        self.started = False
        self.finished = False
        self.done = False
        self.usage: dict[str, Any] | None = None
        self.error: AttemptFailed | None = None
        self.service_tier = ""
        self.events = 0
        self.tail: list[bytes] = []

    def accepts(self, status: int, content_type: bytes) -> bool:
        return status == 200

    def feed(self, data: bytes) -> bytes:
        self.started = True
        return data

    def end(self) -> bytes:
        self.started = self.finished = True
        return b""

    def error_event(self, error: dict[str, object]) -> bytes:
        """There is no room for words: the connection is cut."""
        return b""
