"""An answer as a sequence of calls: what a provider's reader tells, a client's writer hears.

One event of a stream becomes one or two calls here and one or two events there; a whole answer becomes
the same calls in one go. Order: `begin`, then content in the order in which it is to be read, `finish`,
`usage` (before or after `finish`, or repeatedly: the last counts), `end`.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from headgate.rules.money import Tokens
from proxy.dialects.neutral.request import Origin

# stop: the model was done. stop_sequence: it met one of the client's. pause: it wants to be called again.
# context: its window is full. malformed: it tried to call a tool and failed.
FinishReason = Literal[
    "stop",
    "stop_sequence",
    "length",
    "tool_calls",
    "content_filter",
    "refusal",
    "pause",
    "context",
    "malformed",
]
Citation = dict[str, Any]
"""`kind` url: url, title, start, end, cited_text. `kind` document: `raw` as its provider wrote it."""


class Sink(Protocol):
    def begin(self, id: str, model: str) -> None: ...

    def text(self, text: str) -> None: ...

    def refusal(self, text: str) -> None: ...

    def thinking(self, text: str) -> None:
        """Reasoning that may be read."""
        ...

    def seal(self, data: str, origin: Origin, *, redacted: bool = False, id: str = "") -> None:
        """Ends the reasoning so far with what its maker needs to continue from it."""
        ...

    def call(self, index: int, id: str, name: str) -> None:
        """A tool call begins. `index` tells calls apart; calls may overlap."""
        ...

    def arguments(self, index: int, text: str) -> None:
        """More of the JSON text of its arguments."""
        ...

    def citation(self, citation: Citation) -> None:
        """Of the text so far."""
        ...

    def logprobs(self, entries: list[dict[str, Any]]) -> None:
        """Of the text that was told last, as OpenAI writes them."""
        ...

    def foreign(self, item: dict[str, Any]) -> None:
        """Content without a counterpart; carried as it is in `provider_content`."""
        ...

    def finish(self, reason: FinishReason, *, sequence: str = "", native: str = "") -> None: ...

    def usage(self, tokens: Tokens, *, tier: str = "") -> None: ...

    def end(self) -> None: ...
