"""Variants that differ: how many units it takes to see it, and who is promoted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

from control_plane.experiments.decisions import Rule
from tests.perf.experiments import draws
from tests.perf.experiments.draws import GRADES, PREFERENCES
from tests.perf.experiments.looks import TWO_SIDED, Case, End, Growing, ours, run
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

MOST = 3_000  # units per variant
BY = (0.05, 0.1, 0.2)
LIKED_BY = 0.2
WITHIN = (100, 250, 500, 1_000, 2_000, MOST)
POWER = 0.8
# Of promotion: a true difference, and where it ends without a winner.
PROMOTED_BY = 0.1
MAX_UNITS = (50, 100, 150, 200, 300, 500, 2_000)
PROMISED = 0.95


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    case: Case
    # Units per variant of a test at one fixed moment.
    fixed: int


def _kinds() -> list[Kind]:
    found = []
    usual = draws.deviation(GRADES, draws.grades_of(0))
    for by in BY:
        better = draws.deviation(GRADES, draws.grades_of(by))
        name = f"scores, {by:g} (standard deviations {usual:.2f}, {better:.2f})"
        case = Case(name, (draws.grades(), draws.grades(by)), 2 * MOST)
        found.append(Kind(name, case, _fixed(by, usual**2 + better**2)))
    liked = (1 - draws.TIE_SHARE + LIKED_BY) / 2
    sigma = draws.deviation(PREFERENCES, (liked - LIKED_BY, draws.TIE_SHARE, liked))
    name = f"preferences, {liked:.0%} to {liked - LIKED_BY:.0%}"
    case = Case(name, (draws.preferences(LIKED_BY),), MOST, preferences=True)
    found.append(Kind(name, case, _fixed(LIKED_BY, sigma**2)))
    return found


def _fixed(by: float, variance: float) -> int:
    z = TWO_SIDED + NormalDist().inv_cdf(POWER)
    return int(z * z * variance / (by * by)) + 1


KINDS = _kinds()


def jobs(setting: Setting) -> list[Job]:
    found: list[Job] = [partial(_sequential, kind.case, setting) for kind in KINDS]
    found += [partial(_at_once, kind, setting) for kind in KINDS]
    return found + [partial(_promotions, most, setting) for most in MAX_UNITS]


def _sequential(case: Case, setting: Setting) -> list[End]:
    chance = setting.chance(f"differ {case.name}")
    look = ours(Rule(), case.preferences)
    return [run(case, look, chance) for _ in range(setting.runs)]


def _at_once(kind: Kind, setting: Setting) -> float:
    """The share of found ones of a test at its one moment."""
    chance = setting.chance(f"fixed {kind.name}")
    found = 0
    for _ in range(setting.runs):
        spread = mean = 0.0
        for sign, draw in zip((1, -1), reversed(kind.case.draws), strict=False):
            growing = Growing()
            for unit in draw(chance, kind.fixed):
                sums = growing.add(unit)
            mean += sign * (sums.mean or 0.0)
            spread += sums.variance / sums.units
        found += mean > TWO_SIDED * spread**0.5
    return found / setting.runs


def _promotions(most: int, setting: Setting) -> list[End]:
    """The second one is better: the first one is who stays where nothing is found."""
    chance = setting.chance(f"promoted {most}")
    # It ends by itself once each has `most`.
    case = Case("", (draws.grades(), draws.grades(PROMOTED_BY)), 4 * most + 1_000)
    look = ours(Rule(max_units=most))
    return [run(case, look, chance) for _ in range(setting.runs)]


def part(results: Sequence[object], setting: Setting) -> Part:
    count = len(KINDS)
    ends: Sequence[list[End]] = results[:count]  # type: ignore[assignment]
    fixed: Sequence[float] = results[count : 2 * count]  # type: ignore[assignment]
    promoted: Sequence[list[End]] = results[2 * count :]  # type: ignore[assignment]
    rows, shares, promises, series = [], [], [], {}
    for kind, found, power in zip(KINDS, ends, fixed, strict=True):
        arms = len(kind.case.draws)
        times = [end.units / arms if end.found else NEVER for end in found]
        wrong = sum(end.decision is not None and end.decision.winner == 0 for end in found)
        series[kind.name] = times
        median, most = quantile(times, 0.5), quantile(times, 0.8)
        rows.append(
            [
                kind.name,
                count_text(median),
                count_text(most),
                f"{kind.fixed:,}",
                f"{most / kind.fixed:.1f}",
                f"{power:.0%}",
                share_text(wrong, len(times)),
            ]
        )
        shares.append([kind.name, *(share_text(happened(times, within), len(times)) for within in WITHIN)])
        promises.append(
            Promise(
                f"{kind.name}: found in {share_text(happened(times), len(times))} within {MOST:,} units per "
                "variant "
                f"(at least 95 %), the wrong one won in {share_text(wrong, len(times))} (at most 2.5 %)",
                happened(times) >= 0.95 * len(times) and wrong <= 0.025 * len(times),
            )
        )
    heads = (
        "true difference",
        "half are found by",
        "four in five by",
        "a test at one fixed moment, for four in five",
        "times as many",
        "that test found",
        "the wrong one won",
    )
    about = f"Units per variant; {setting.runs:,} experiments of each kind, looked at after every new unit."
    within = Table(["found within", *(f"{one:,} units" for one in WITHIN)], shares)
    promotion, promise = _promotion(promoted, setting)
    return Part(
        "Variants that differ",
        [Table(heads, rows, about), within, promotion],
        [*promises, promise],
        series,
    )


def _promotion(promoted: Sequence[list[End]], setting: Setting) -> tuple[Table, Promise]:
    rows = []
    for most, ends in zip(MAX_UNITS, promoted, strict=True):
        better, worse = (
            sum(end.found and end.decision is not None and end.decision.winner == which for end in ends)
            for which in (1, 0)
        )
        none = len(ends) - better - worse
        rows.append([f"{most:,}", *(share_text(part, len(ends)) for part in (better, none, worse))])
    about = (
        f"Promotion at a true difference of {PROMOTED_BY:g} in scores, the second variant being better: what "
        "came of it, by `max_samples`."
    )
    heads = ("max_samples", "the better one won", "none was found, the first one stays", "the worse one won")
    text = (
        f"with max_samples {MAX_UNITS[-1]:,}, the better one is promoted in {share_text(better, len(ends))} "
        f"(at least {PROMISED:.0%})"
    )
    return Table(heads, rows, about), Promise(text, better >= PROMISED * setting.runs)
