"""An experiment that is looked at after every new unit: sums that grow, and when somebody was named."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from control_plane.experiments.decisions import Decision, Rule, decide
from control_plane.experiments.statistics import MIN_UNITS, Interval, Sums
from tests.perf.experiments.draws import AT_A_TIME, Draw, Unit, units

# Of the sums of each variant; None: go on.
Look = Callable[[Sequence[Sums]], "Decision | None"]
TWO_SIDED = NormalDist().inv_cdf(0.975)


class Growing:
    """Sums of units that come one by one."""

    __slots__ = ("n", "nn", "ny", "units", "y", "yy")

    def __init__(self) -> None:
        self.units = 0
        self.n = self.y = self.nn = self.yy = self.ny = 0.0

    def add(self, unit: Unit) -> Sums:
        n, y, _ = unit
        self.units += 1
        self.n += n
        self.y += y
        self.nn += n * n
        self.yy += y * y
        self.ny += n * y
        return Sums(self.units, self.n, self.y, self.nn, self.yy, self.ny)

    def add_calls(self, unit: Unit) -> Sums:
        """As if each of its calls were a unit: what a careless count does."""
        n, y, yy = unit
        self.units += int(n)
        self.n += n
        self.y += y
        self.nn += n
        self.yy += yy
        self.ny += y
        return Sums(self.units, self.n, self.y, self.nn, self.yy, self.ny)


@dataclass(frozen=True, slots=True)
class Case:
    """Of simulated experiments. `draws`: of each variant; `weights`: how many units each gets.

    `every`: it is looked at after so many new units. `most`: units in all.
    """

    name: str
    draws: tuple[Draw, ...]
    most: int
    weights: tuple[float, ...] = (1.0, 1.0)
    preferences: bool = False
    every: int = 1
    by_call: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """`units`: of all variants together, when `decision` fell; None: it never did."""

    units: int
    decision: Decision | None

    @property
    def found(self) -> bool:
        return self.decision is not None and self.decision.by is not None


def run(case: Case, look: Look, chance: random.Random) -> End:
    supplies = [units(draw, chance) for draw in case.draws]
    growing = [Growing() for _ in supplies]
    add = [one.add_calls if case.by_call else one.add for one in growing]
    # Preferences are those of the others to the first, which has none.
    offset = int(case.preferences)
    sums = [Sums()] * (len(supplies) + offset)
    everyone, weights = range(len(supplies)), case.weights[: len(supplies)]
    count = 0
    while count < case.most:
        for which in chance.choices(everyone, weights, k=min(AT_A_TIME, case.most - count)):
            sums[which + offset] = add[which](next(supplies[which]))
            count += 1
            if count % case.every == 0:
                decision = look(sums)
                if decision is not None:
                    return End(count, decision)
    return End(count, None)


def ours(rule: Rule, preferences: bool = False) -> Look:
    def look(sums: Sequence[Sums]) -> Decision | None:
        return decide(sums, rule, preferences=preferences)

    return look


def peeked(sums: Sequence[Sums]) -> Decision | None:
    """A test of two variants that is made for one fixed moment (two-sided, 5 %)."""
    first, other = sums
    if min(first.units, other.units) < MIN_UNITS:
        return None
    by = (other.mean or 0.0) - (first.mean or 0.0)
    half = TWO_SIDED * (first.variance / first.units + other.variance / other.units) ** 0.5
    return Decision(int(by > 0), Interval(abs(by), half)) if abs(by) > half else None
