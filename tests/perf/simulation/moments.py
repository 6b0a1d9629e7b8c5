"""Simulated time: many calls under way at once, no sleeping. What yields seconds goes on after them."""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterable

Waits = Generator[float, None, None]


class Clock:
    """Seconds of the simulated day; goes forward only while `run` runs."""

    def __init__(self) -> None:
        # Not 0: to the estimates, 0 is "never measured".
        self.now = 1.0

    def __call__(self) -> float:
        return self.now

    def run(self, beginnings: Iterable[tuple[float, Waits]]) -> None:
        """`beginnings`: in the order of time. Ends when everything that began has ended."""
        waiting: list[tuple[float, int, Waits]] = []
        order = 0
        for begins, coming in beginnings:
            while waiting and waiting[0][0] <= begins:
                order = self._step(waiting, order)
            self._go(begins, coming, waiting, order)
            order += 1
        while waiting:
            order = self._step(waiting, order)

    def _step(self, waiting: list[tuple[float, int, Waits]], order: int) -> int:
        at, _, coming = heapq.heappop(waiting)
        self._go(at, coming, waiting, order)
        return order + 1

    def _go(self, at: float, coming: Waits, waiting: list[tuple[float, int, Waits]], order: int) -> None:
        self.now = at
        seconds = next(coming, None)
        if seconds is not None:
            heapq.heappush(waiting, (at + seconds, order, coming))
