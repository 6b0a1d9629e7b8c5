"""What units bring: grades of a judge, costs, errors, preferences; one call, or many that are alike.

A draw makes many units at a time, because chance is cheaper by the dozen.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate

# (calls, their sum, the sum of their squares)
Unit = tuple[float, float, float]
Draw = Callable[[random.Random, int], Sequence[Unit]]

AT_A_TIME = 128
GRADES = (0.0, 0.25, 0.5, 0.75, 1.0)
# Mean 0.52, standard deviation 0.30.
USUAL = (0.12, 0.20, 0.30, 0.24, 0.14)
ERROR_RATE = 0.03
# Lognormal; 1.2: the dearest hundredth of calls costs a seventh of it all.
COST_SIGMA = 1.2
LATENCY_SIGMA = 0.5
PREFERENCES = (-1.0, 0.0, 1.0)
TIE_SHARE = 0.3
# Units of many calls: how alike a unit's calls are, and how many there are on average.
UNIT_SIGMA = 0.2
CALL_SIGMA = 0.15
CALLS_PER_UNIT = 5.0


def units(draw: Draw, chance: random.Random) -> Iterator[Unit]:
    """Without end."""
    while True:
        yield from draw(chance, AT_A_TIME)


def grades_of(better_by: float) -> tuple[float, ...]:
    """The usual grades' shares, some of each raised by a step: their mean is higher by so much."""
    raised = better_by / 0.25 / (1 - USUAL[-1])
    found = [share * (1 - raised) for share in USUAL[:-1]] + [USUAL[-1]]
    for step, share in enumerate(USUAL[:-1]):
        found[step + 1] += share * raised
    return tuple(found)


def deviation(values: Sequence[float], shares: Sequence[float]) -> float:
    mean = sum(value * share for value, share in zip(values, shares, strict=True))
    return math.sqrt(sum(share * (value - mean) ** 2 for value, share in zip(values, shares, strict=True)))


def grades(better_by: float = 0.0) -> Draw:
    return partial(_chosen, GRADES, list(accumulate(grades_of(better_by))))


def preferences(better_by: float = 0.0) -> Draw:
    """`better_by`: the mean; 0.2: liked better 45 times, less 25 times, 30 times alike."""
    liked = (1 - TIE_SHARE + better_by) / 2
    return partial(_chosen, PREFERENCES, list(accumulate((1 - TIE_SHARE - liked, TIE_SHARE, liked))))


def errors(rate: float = ERROR_RATE) -> Draw:
    return partial(_chosen, (0.0, 1.0), list(accumulate((1 - rate, rate))))


def _chosen(
    values: Sequence[float], below: Sequence[float], chance: random.Random, count: int
) -> Sequence[Unit]:
    return [(1.0, y, y * y) for y in chance.choices(values, cum_weights=below, k=count)]


def lognormal(sigma: float, mean: float = 1.0) -> Draw:
    return partial(_lognormal, math.log(mean) - sigma * sigma / 2, sigma)


def _lognormal(mu: float, sigma: float, chance: random.Random, count: int) -> Sequence[Unit]:
    drawn = (math.exp(chance.gauss(mu, sigma)) for _ in range(count))
    return [(1.0, y, y * y) for y in drawn]


def sessions(chance: random.Random, count: int) -> Sequence[Unit]:
    """Scores of 1 to 60 calls a unit. Whoever is not pleased asks more often."""
    found = []
    for _ in range(count):
        pleased = chance.gauss(0, UNIT_SIGMA)
        calls = min(60, 1 + int(chance.expovariate(1 / (CALLS_PER_UNIT - 1 - 5 * min(0.6, pleased)))))
        y = yy = 0.0
        for _ in range(calls):
            score = min(1.0, max(0.0, 0.55 + pleased + chance.gauss(0, CALL_SIGMA)))
            y += score
            yy += score * score
        found.append((float(calls), y, yy))
    return found
