"""Structured output where a provider has none: a tool that the model must call, its arguments the answer.

Sits between a reader and a writer: the forced tool's arguments come out as text, its finish as a stop.
"""

from __future__ import annotations

from proxy.dialects.neutral.passing import PassingSink
from proxy.dialects.neutral.sink import FinishReason, Sink

FORCED_TOOL = "headgate_answer"


class ForcedToolSink(PassingSink):
    """Hands everything on but the calls of the forced tool."""

    def __init__(self, inner: Sink) -> None:
        super().__init__(inner)
        self._forced: set[int] = set()
        self._others = False
        # What the model says beside its answer: the client expects JSON alone.
        self._beside = ""

    def text(self, text: str) -> None:
        self._beside += text

    def call(self, index: int, id: str, name: str) -> None:
        if name == FORCED_TOOL:
            self._forced.add(index)
        else:
            self._others = True
            self._inner.call(index, id, name)

    def arguments(self, index: int, text: str) -> None:
        if index in self._forced:
            self._inner.text(text)
        else:
            self._inner.arguments(index, text)

    def finish(self, reason: FinishReason, *, sequence: str = "", native: str = "") -> None:
        if self._beside:
            if self._forced:
                self._inner.foreign({"text": self._beside})
            else:
                self._inner.text(self._beside)
        if reason == "tool_calls" and self._forced and not self._others:
            reason = "stop"
        self._inner.finish(reason, sequence=sequence, native=native)
