"""Several variants, the losers of which are stopped on the way: what it saves, and whether it errs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf

from control_plane.experiments.decisions import Rule, decide, losers
from control_plane.experiments.statistics import Sums
from tests.perf.experiments import draws
from tests.perf.experiments.looks import Growing
from tests.perf.experiments.parts import (
    NEVER,
    Job,
    Part,
    Promise,
    Setting,
    Table,
    count_text,
    quantile,
    share_text,
)

PROMISED = 0.05
MOST = 40_000  # units in all


@dataclass(frozen=True, slots=True)
class Case:
    """`better_by`: of each variant, in scores. `every`: it is looked at after so many new units."""

    name: str
    better_by: tuple[float, ...]
    most: int = MOST
    # By how much all variants are better together, in turn: a day and a night of so many units.
    tide: float = 0.0
    tide_units: int = 400
    every: int = 10


FIGURES = (
    Case("one of four better by 0.1", (0.0, 0.1, 0.0, 0.0)),
    Case("0, 0.05, 0.1 and 0.15", (0.0, 0.05, 0.1, 0.15)),
    Case("two of six near each other: 0.1, 0.15, and four at 0", (0.1, 0.15, 0.0, 0.0, 0.0, 0.0)),
    Case("three: 0, 0.1, 0.15", (0.0, 0.1, 0.15)),
)
ALIKE = (
    Case("four that are alike", (0.0,) * 4, 8_000),
    # The worst one goes early, and what is left meets other hours than it did.
    Case("three that are alike and a worse one, by day and by night", (0.2, 0.2, 0.2, 0.0), 8_000, tide=0.2),
)


@dataclass(slots=True)
class Run:
    """`winner` None: not found within the units there were."""

    units: list[int]
    winner: int | None = None
    eliminated: list[int] = field(default_factory=list)


def run(case: Case, chance: random.Random, *, eliminate: bool) -> Run:
    arms = len(case.better_by)
    rule = Rule(variants=arms)
    levels = (0.0, case.tide) if case.tide else (0.0,)
    supplies = [[draws.units(draws.grades(by + level), chance) for by in case.better_by] for level in levels]
    growing = [Growing() for _ in case.better_by]
    sums = [Sums()] * arms
    left, found = list(range(arms)), Run([0] * arms)
    for count in range(1, case.most + 1):
        which = left[int(chance.random() * len(left))]
        level = count // case.tide_units % len(levels)
        sums[which] = growing[which].add(next(supplies[level][which]))
        found.units[which] += 1
        if count % case.every:
            continue
        theirs = [sums[one] for one in left]
        decision = decide(theirs, rule)
        if decision is not None:
            found.winner = left[decision.winner]
            return found
        if eliminate and (lost := losers(theirs, rule)):
            gone = [left[loss.loser] for loss in lost]
            found.eliminated += gone
            left = [one for one in left if one not in gone]
    return found


def jobs(setting: Setting) -> list[Job]:
    found: list[Job] = [
        partial(_runs, case, setting, eliminate) for case in FIGURES for eliminate in (False, True)
    ]
    return found + [partial(_runs, case, setting, True) for case in ALIKE]


def _runs(case: Case, setting: Setting, eliminate: bool) -> list[Run]:
    chance = setting.chance(f"eliminate {case.name}")
    return [run(case, chance, eliminate=eliminate) for _ in range(setting.runs)]


def part(results: Sequence[list[Run]], setting: Setting) -> Part:
    rows, promises = [], []
    for number, case in enumerate(FIGURES):
        even, less = results[2 * number], results[2 * number + 1]
        best = max(range(len(case.better_by)), key=case.better_by.__getitem__)
        times, sooner = (_times(runs) for runs in (even, less))
        usual, median = quantile(times, 0.5), quantile(sooner, 0.5)
        spent, saved = (_elsewhere(runs, best) for runs in (even, less))
        wrong = sum(best in one.eliminated or one.winner not in (None, best) for one in less)
        rows.append(
            [
                case.name,
                count_text(usual),
                count_text(median),
                f"{median / usual:.2f}" if usual < inf else "",
                f"{spent:,.0f}",
                f"{saved:,.0f}",
                share_text(wrong, len(less)),
            ]
        )
        promises.append(
            Promise(
                f"{case.name}: the best one was eliminated or lost in {share_text(wrong, len(less))} "
                f"(at most {PROMISED:.0%}), and was found after {count_text(median)} units beside "
                f"{count_text(usual)}",
                wrong <= PROMISED * len(less) and median <= usual,
            )
        )
    alike = results[2 * len(FIGURES) :]
    for case, runs in zip(ALIKE, alike, strict=True):
        top = max(case.better_by)
        wrong = sum(
            one.winner is not None or any(case.better_by[gone] == top for gone in one.eliminated)
            for one in runs
        )
        promises.append(
            Promise(
                f"{case.name}: one of the alike was eliminated, or won, in {share_text(wrong, len(runs))} of "
                f"{len(runs):,} experiments of {case.most:,} units (at most {PROMISED:.0%})",
                wrong <= PROMISED * len(runs),
            )
        )
    heads = (
        "scores",
        "even split: half are decided by",
        "with `eliminate`",
        "of it",
        "units that got another than the best, even split",
        "with `eliminate`",
        "the best one was lost",
    )
    about = (
        f"Units in all; {setting.runs:,} experiments of each kind, looked at after every ten new units, up "
        f"to {MOST:,}. Even shares, at 95 % confidence."
    )
    return Part("Losers stopped on the way", [Table(heads, rows, about)], promises)


def _times(runs: Sequence[Run]) -> list[float]:
    return [float(sum(one.units)) if one.winner is not None else NEVER for one in runs]


def _elsewhere(runs: Sequence[Run], best: int) -> float:
    """Mean over the experiments."""
    return sum(sum(one.units) - one.units[best] for one in runs) / len(runs)
