"""A sink that hands everything on; what stands between a reader and a writer overrides what it changes."""

from __future__ import annotations

from headgate.rules.money import Tokens
from proxy.dialects.neutral.request import Origin
from proxy.dialects.neutral.sink import FinishReason, Sink


class PassingSink:
    def __init__(self, inner: Sink) -> None:
        self._inner = inner
        self.begin = inner.begin
        self.refusal = inner.refusal
        self.thinking = inner.thinking
        self.citation = inner.citation
        self.logprobs = inner.logprobs
        self.foreign = inner.foreign
        self.end = inner.end

    def text(self, text: str) -> None:
        self._inner.text(text)

    def seal(self, data: str, origin: Origin, *, redacted: bool = False, id: str = "") -> None:
        self._inner.seal(data, origin, redacted=redacted, id=id)

    def call(self, index: int, id: str, name: str) -> None:
        self._inner.call(index, id, name)

    def arguments(self, index: int, text: str) -> None:
        self._inner.arguments(index, text)

    def finish(self, reason: FinishReason, *, sequence: str = "", native: str = "") -> None:
        self._inner.finish(reason, sequence=sequence, native=native)

    def usage(self, tokens: Tokens, *, tier: str = "") -> None:
        self._inner.usage(tokens, tier=tier)
