"""What the background of experiments may cost in a UTC day.

Counted here at once, and by the control plane over all proxies every few seconds; the larger of the two
counts. So what can go over a limit is what other proxies spend between two reports, and what is under way
here beyond what it was expected to cost, which is set aside beforehand.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from headgate.v1 import config_pb2

SECONDS_PER_DAY = 86_400
# (tenant, experiment, shadow variant or "" for judging)
Purse = tuple[str, str, str]


class Budget:
    def __init__(self, unix_seconds: Callable[[], float] = time.time) -> None:
        self._unix_seconds = unix_seconds
        self._day = 0
        self._here: dict[Purse, int] = {}
        self._everywhere: dict[Purse, int] = {}
        self._set_aside: dict[Purse, int] = {}

    def take(self, purse: Purse, limit_picousd: int | None, expected_picousd: int | None) -> bool:
        """Whether it may be spent. True: `settle` is to follow. `expected_picousd` None: nobody knows its
        price, and what has a limit is then not spent."""
        if limit_picousd is not None:
            if expected_picousd is None:
                return False
            self._turn()
            spent = max(self._here.get(purse, 0), self._everywhere.get(purse, 0))
            if spent + self._set_aside.get(purse, 0) + expected_picousd > limit_picousd:
                return False
        self._set_aside[purse] = self._set_aside.get(purse, 0) + (expected_picousd or 0)
        return True

    def settle(self, purse: Purse, expected_picousd: int | None, cost_picousd: int | None) -> None:
        """What became of it."""
        self._turn()
        # Nothing is kept of what expects to cost nothing, of several at once or of the last.
        left = self._set_aside.pop(purse, 0) - (expected_picousd or 0)
        if left > 0:
            self._set_aside[purse] = left
        if cost_picousd:
            self._here[purse] = self._here.get(purse, 0) + cost_picousd

    def adopt(self, told: config_pb2.Spending) -> None:
        """What all proxies have spent, as far as the control plane knows."""
        self._turn()
        if told.day == self._day:
            self._everywhere = {(s.tenant, s.experiment, s.variant): s.picousd for s in told.spent}

    def _turn(self) -> None:
        day = int(self._unix_seconds() // SECONDS_PER_DAY)
        if day != self._day:
            self._day = day
            self._here.clear()
            self._everywhere.clear()
