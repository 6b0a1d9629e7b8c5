"""What a provider's answer reader keeps beside what it tells its sink: how far the answer is, what it used.

A reader takes one document at a time (an event of a stream, or a whole answer) and never looks back.
"""

from __future__ import annotations

from typing import Any, Protocol

from proxy.dialects.neutral.sink import Sink
from proxy.upstream.failure import AttemptFailed


class Reader(Protocol):
    started: bool
    finished: bool
    done: bool
    usage: dict[str, Any] | None
    service_tier: str
    error: AttemptFailed | None
    maker: str

    def read(self, document: dict[str, Any]) -> None:
        """One event of a stream."""
        ...

    def read_whole(self, document: dict[str, Any]) -> None:
        """A whole answer."""
        ...

    def finish_at_end(self) -> None:
        """The stream ended, or said that it is done."""
        ...


class ReaderState:
    """The attributes of Reader; `read` and `read_whole` are the dialect's."""

    __slots__ = (
        "begun",
        "done",
        "error",
        "finished",
        "maker",
        "seed",
        "service_tier",
        "sink",
        "started",
        "usage",
    )

    def __init__(self, sink: Sink, seed: str = "") -> None:
        self.sink = sink
        # What ids are made from where the provider gives none: no two answers may share one.
        self.seed = seed
        # Of encrypted reasoning, where the dialect does not say.
        self.maker = "openai"
        # `begin` was told.
        self.begun = False
        # Something real came: content, a call, reasoning, or the finish.
        self.started = False
        self.finished = False
        # The last event of the dialect came.
        self.done = False
        # As the provider wrote it.
        self.usage: dict[str, Any] | None = None
        self.service_tier = ""
        # The provider reported an error inside the answer.
        self.error: AttemptFailed | None = None

    def made_id(self, index: int) -> str:
        return f"call_{self.seed or 'made'}_{index}"

    def finish_at_end(self) -> None:
        """Tells the end of an answer that has no last event of its own."""
        if self.finished and not self.done:
            self.done = True
            self.sink.end()
