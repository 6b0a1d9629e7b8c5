"""What a call came to: who answered, how long it took, what each of its attempts was billed."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.perf.simulation.traffic import Call


@dataclass(slots=True)
class Answer:
    """`model`: the index of who answered; -1: nobody did. Seconds count from the call's beginning."""

    call: Call
    model: int = -1
    first_seconds: float = 0.0
    seconds: float = 0.0
    quality: float = 0.0
    # (model, pico-dollars) of each attempt, in the order in which they were billed.
    billed: list[tuple[int, int]] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return self.model < 0

    @property
    def picousd(self) -> int:
        return sum(picousd for _, picousd in self.billed)

    @property
    def too_bad(self) -> bool:
        """Answered by a model that is not good enough for the task."""
        return not self.failed and self.quality < self.call.task.floor
