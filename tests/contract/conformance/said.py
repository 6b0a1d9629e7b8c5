"""What an answer says, whatever dialect it is written in: the form in which the recorded answer and the one
that the client got are compared.

The readers (`said_chat` …) are written from the providers' references and share no code with the product.
Each reads whole answers and streams, recorded ones and those that the SDKs hand over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Call:
    """`arguments` parsed, or the text where it is no JSON."""

    id: str
    name: str
    arguments: Any


@dataclass(slots=True)
class Said:
    """`finish`: stop, stop_sequence, length, tool_calls, content_filter, refusal, pause, context or
    malformed."""

    id: str = ""
    model: str = ""
    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str = ""
    # The provider's own word.
    native: str = ""
    stop_sequence: str = ""
    urls: list[str] = field(default_factory=list)
    # Signatures and encrypted reasoning, as their maker wrote them.
    seals: list[str] = field(default_factory=list)
    logprobs: list[tuple[str, float]] = field(default_factory=list)
    # Content that only this dialect knows.
    foreign: list[Any] = field(default_factory=list)
    # In which order thinking that can be read, text and calls began; neighbours of a kind are one.
    order: list[str] = field(default_factory=list)
    # An error inside the answer.
    error: dict[str, Any] | None = None

    def began(self, kind: str) -> None:
        if not self.order or self.order[-1] != kind:
            self.order.append(kind)

    def say(self, words: str) -> None:
        if words:
            self.began("text")
            self.text += words

    def think(self, words: str) -> None:
        if words:
            self.began("thinking")
            self.thinking += words

    def refuse(self, words: str) -> None:
        if words:
            self.began("text")
            self.refusal += words

    def called(self, id: str, name: str, arguments: Any) -> None:
        self.began("call")
        self.calls.append(Call(id, name, parsed(arguments)))


def parsed(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def holds(document: Any, wanted: Any) -> bool:
    """Whether something stands anywhere in a document, as it is or with more fields."""
    if contains(document, wanted):
        return True
    if isinstance(document, dict):
        return any(holds(value, wanted) for value in document.values())
    return isinstance(document, list) and any(holds(value, wanted) for value in document)


def contains(found: Any, wanted: Any) -> bool:
    """Equal, apart from fields without a value and further ones."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(value is None or contains(found.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(contains, found, wanted))
    return bool(found == wanted)
