"""A whole answer, collected from a reader's calls; what a client's answer writer renders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headgate.rules.money import Tokens
from proxy.dialects.neutral.request import Origin
from proxy.dialects.neutral.sink import Citation, FinishReason


@dataclass(slots=True)
class SaidText:
    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    refusal: bool = False


@dataclass(slots=True)
class SaidThinking:
    text: str = ""
    data: str = ""
    origin: Origin = ""
    redacted: bool = False
    sealed: bool = False
    id: str = ""


@dataclass(slots=True)
class SaidCall:
    index: int
    id: str
    name: str
    arguments: str = ""


Said = SaidText | SaidThinking | SaidCall


class Answer:
    """Implements Sink. `parts` in the order in which they began."""

    __slots__ = (
        "_calls",
        "finish_reason",
        "foreign_items",
        "id",
        "model",
        "native_reason",
        "parts",
        "stop_sequence",
        "tier",
        "tokens",
    )

    def __init__(self) -> None:
        self.id = ""
        self.model = ""
        self.parts: list[Said] = []
        self.foreign_items: list[dict[str, Any]] = []
        self.finish_reason: FinishReason = "stop"
        self.stop_sequence = ""
        self.native_reason = ""
        self.tokens = Tokens()
        self.tier = ""
        self._calls: dict[int, SaidCall] = {}

    def begin(self, id: str, model: str) -> None:
        self.id, self.model = id, model

    def text(self, text: str) -> None:
        last = self._last_text(refusal=False)
        last.text += text

    def refusal(self, text: str) -> None:
        self._last_text(refusal=True).text += text

    def _last_text(self, *, refusal: bool) -> SaidText:
        last = self.parts[-1] if self.parts else None
        if not isinstance(last, SaidText) or last.refusal != refusal:
            last = SaidText(refusal=refusal)
            self.parts.append(last)
        return last

    def thinking(self, text: str) -> None:
        self._open_thinking().text += text

    def seal(self, data: str, origin: Origin, *, redacted: bool = False, id: str = "") -> None:
        part = SaidThinking() if redacted else self._open_thinking()
        if redacted:
            self.parts.append(part)
        part.data, part.origin, part.redacted, part.id, part.sealed = data, origin, redacted, id, True

    def _open_thinking(self) -> SaidThinking:
        last = self.parts[-1] if self.parts else None
        if not isinstance(last, SaidThinking) or last.sealed:
            last = SaidThinking()
            self.parts.append(last)
        return last

    def call(self, index: int, id: str, name: str) -> None:
        call = SaidCall(index, id, name)
        self._calls[index] = call
        self.parts.append(call)

    def arguments(self, index: int, text: str) -> None:
        self._calls[index].arguments += text

    def citation(self, citation: Citation) -> None:
        self._last_text(refusal=False).citations.append(citation)

    def logprobs(self, entries: list[dict[str, Any]]) -> None:
        self._last_text(refusal=False).logprobs += entries

    def foreign(self, item: dict[str, Any]) -> None:
        self.foreign_items.append(item)

    def finish(self, reason: FinishReason, *, sequence: str = "", native: str = "") -> None:
        self.finish_reason, self.stop_sequence, self.native_reason = reason, sequence, native

    def usage(self, tokens: Tokens, *, tier: str = "") -> None:
        self.tokens, self.tier = tokens, tier or self.tier

    def end(self) -> None: ...

    @property
    def calls(self) -> list[SaidCall]:
        return [part for part in self.parts if isinstance(part, SaidCall)]
