"""The alarm about a split that is not as the weights say: falsely, and how soon it sees one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from itertools import accumulate

from control_plane.experiments.statistics import SHARE_ALARM, share_p_value
from tests.perf.experiments.parts import (
    NEVER,
    Job,
    Part,
    Promise,
    Setting,
    Table,
    count_text,
    happened,
    quantile,
    share_text,
)

UNITS = 2_500
# Of runs: more than promised, as much as chance may do to some thousands of them.
TOLERATED = 0.003
LONG = 20_000
Weights = tuple[float, ...]
RIGHT: tuple[Weights, ...] = ((1, 1), (9, 1), (5, 3, 2))
# (weights, shares that units have)
OFF: tuple[tuple[Weights, Weights], ...] = (
    ((1, 1), (45, 55)),
    ((1, 1), (40, 60)),
    ((9, 1), (85, 15)),
)
# Beyond the first alarm nothing is looked at, so the long runs cost little.
FOUND_BY = 5_000


def jobs(setting: Setting) -> list[Job]:
    found: list[Job] = [partial(_alarms, weights, weights, UNITS, setting) for weights in RIGHT]
    return found + [partial(_alarms, weights, actual, LONG, setting) for weights, actual in OFF]


def _alarms(weights: Weights, actual: Weights, most: int, setting: Setting) -> list[float]:
    """Per run: units in all at the first alarm."""
    chance = setting.chance(f"shares {weights} {actual}")
    runs = setting.runs if weights == actual else max(50, setting.runs // 4)
    return [_alarm(weights, list(accumulate(actual)), most, chance) for _ in range(runs)]


def _alarm(weights: Weights, below: list[float], most: int, chance: random.Random) -> float:
    counts = [0] * len(weights)
    for units, which in enumerate(chance.choices(range(len(weights)), cum_weights=below, k=most), 1):
        counts[which] += 1
        if share_p_value(counts, weights) < SHARE_ALARM:
            return units
    return NEVER


def part(results: Sequence[list[float]], setting: Setting) -> Part:
    right = [
        [_said(weights), f"{len(times):,}", str(happened(times))]
        for weights, times in zip(RIGHT, results, strict=False)
    ]
    off, promises = [], []
    for (weights, actual), times in zip(OFF, results[len(RIGHT) :], strict=True):
        off.append(
            [
                f"{_said(weights)}, in truth {_said(actual)}",
                *(count_text(quantile(times, share)) for share in (0.5, 0.95, 1)),
            ]
        )
        promises.append(
            Promise(
                f"{_said(actual)} under {_said(weights)} is found within {FOUND_BY:,} units in "
                f"{share_text(happened(times, FOUND_BY), len(times))} (at least 95 %)",
                happened(times, FOUND_BY) >= 0.95 * len(times),
            )
        )
    wrong = sum(map(happened, results[: len(RIGHT)]))
    runs = len(RIGHT) * setting.runs
    false = Promise(
        f"{wrong} false alarms in {runs:,} experiments (promised: one in a thousand; at most "
        f"{_tolerated(runs)} by chance)",
        wrong <= _tolerated(runs),
    )
    heads = ("weights", "experiments", "false alarms")
    about = f"Looked at after every unit, up to {UNITS:,}."
    found_heads = ("weights", "units in all, half", "95 %", "all")
    return Part(
        "A split that is off",
        [Table(heads, right, about), Table(found_heads, off)],
        [false, *promises],
    )


def _tolerated(runs: int) -> int:
    return max(2, int(TOLERATED * runs))


def _said(weights: Weights) -> str:
    return " : ".join(f"{weight:g}" for weight in weights)
