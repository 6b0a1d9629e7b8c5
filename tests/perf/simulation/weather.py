"""How well providers do at each minute: load, incidents, outages, rate limits, drifts. Known to nobody.

Laid out once per seed as rows of a minute, so that asking costs a look-up. `Incident` is for the plots.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from tests.perf.simulation.market import PROVIDERS, REGIONS, Model
from tests.perf.simulation.traffic import DAY_SECONDS, busy

MINUTES = DAY_SECONDS // 60
# Means per day.
SLOW_PER_MODEL = 1.2
DOWN_PER_PROVIDER = 1.0
STORMS_PER_PROVIDER = 1.0
DRIFTING_SHARE = 0.25
# States of a provider.
WELL, ERRORS, HANGS, LIMITS = 0, 1, 2, 3
# How much slower a provider may be at the peak.
PEAK_SLOWER = (0.1, 0.8)


@dataclass(frozen=True, slots=True)
class Incident:
    """`what`: slow, errors, hangs, limits or drift. `who`: model or provider. Seconds of the day."""

    region: int
    what: str
    who: str
    begins: float
    ends: float
    factor: float = 1.0


class Weather:
    def __init__(self, seed: int, market: Sequence[Model]) -> None:
        self.incidents: list[Incident] = []
        count = len(market)
        # [region][minute * models + model]: how many times slower than usual.
        self._slower: list[array[float]] = []
        # [region][minute * PROVIDERS + provider]
        self._state: list[bytearray] = []
        self._models = count
        for region, name in enumerate(REGIONS):
            chance = random.Random(f"weather {seed} {name}")
            self._slower.append(self._loads(seed, region, market))
            self._state.append(bytearray(MINUTES * PROVIDERS))
            for number, model in enumerate(market):
                self._drift(random.Random(f"drift {seed} {number}"), region, number, model)
                self._slow(chance, region, number, model)
            for provider in range(PROVIDERS):
                self._down(chance, region, provider)

    def slower(self, region: int, model: int, at: float) -> float:
        minute = min(int(at) // 60, MINUTES - 1)
        return self._slower[region][minute * self._models + model]

    def state(self, region: int, provider: int, at: float) -> int:
        minute = min(int(at) // 60, MINUTES - 1)
        return self._state[region][minute * PROVIDERS + provider]

    def _loads(self, seed: int, region: int, market: Sequence[Model]) -> array[float]:
        chance = random.Random(f"load {seed}")
        peaks = [chance.uniform(*PEAK_SLOWER) for _ in range(PROVIDERS)]
        rows = array("d")
        for minute in range(MINUTES):
            load = busy(region, minute * 60)
            rows.extend(1 + peaks[model.provider] * load for model in market)
        return rows

    def _slow(self, chance: random.Random, region: int, number: int, model: Model) -> None:
        for begins, minutes in _times(chance, SLOW_PER_MODEL, 5, 60):
            factor = chance.uniform(3, 10)
            self._multiply(region, number, begins, begins + minutes, factor)
            self._note(region, "slow", model.name, begins, minutes, factor)

    def _drift(self, chance: random.Random, region: int, number: int, model: Model) -> None:
        """The same in all regions: somebody changed the model, or its machines."""
        if chance.random() < DRIFTING_SHARE:
            begins = chance.randrange(MINUTES)
            factor = chance.choice((0.5, 0.65, 1.5, 2.0, 2.5))
            self._multiply(region, number, begins, MINUTES, factor)
            self._note(region, "drift", model.name, begins, MINUTES - begins, factor)

    def _down(self, chance: random.Random, region: int, provider: int) -> None:
        for begins, minutes in _times(chance, DOWN_PER_PROVIDER, 2, 15):
            state = chance.choice((ERRORS, ERRORS, HANGS))
            self._set(region, provider, begins, minutes, state)
        for begins, minutes in _times(chance, STORMS_PER_PROVIDER, 1, 10):
            self._set(region, provider, begins, minutes, LIMITS)

    def _set(self, region: int, provider: int, begins: int, minutes: int, state: int) -> None:
        for minute in range(begins, min(begins + minutes, MINUTES)):
            self._state[region][minute * PROVIDERS + provider] = state
        what = {ERRORS: "errors", HANGS: "hangs", LIMITS: "limits"}[state]
        self._note(region, what, f"p{provider:02}", begins, minutes, 1.0)

    def _multiply(self, region: int, number: int, begins: int, ends: int, factor: float) -> None:
        rows = self._slower[region]
        for minute in range(begins, min(ends, MINUTES)):
            rows[minute * self._models + number] *= factor

    def _note(self, region: int, what: str, who: str, begins: int, minutes: int, factor: float) -> None:
        ends = min(begins + minutes, MINUTES)
        self.incidents.append(Incident(region, what, who, begins * 60.0, ends * 60.0, factor))


def _times(chance: random.Random, per_day: float, low: int, high: int) -> list[tuple[int, int]]:
    """(first minute, minutes) of a Poisson process."""
    found, at = [], 0.0
    while (at := at + chance.expovariate(per_day / MINUTES)) < MINUTES:
        found.append((int(at), chance.randint(low, high)))
    return found
