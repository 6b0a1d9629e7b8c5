"""Guardrails: how soon a variant that is too bad is seen, and how often one is stopped that is not."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from control_plane.experiments.decisions import GUARD_ALPHA, rate_is_above, ratio_is_above
from control_plane.experiments.statistics import Sums, rate_bets
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
    happened,
    quantile,
    share_text,
)

LIMIT = 0.05
MOST = 5_000
SOON = 100
# Sessions that are open at a time, and how many calls each has on average.
OPEN, CALLS = 20, 5.0
RATIO = 2.0
RATIO_MOST = 2_000  # units per variant
# A promised share of runs, and how much more of 1,000 of them chance may bring.
TOLERATED = GUARD_ALPHA + 3 * math.sqrt(GUARD_ALPHA / 1_000)


@dataclass(frozen=True, slots=True)
class Rate:
    rate: float
    most: int = MOST


@dataclass(frozen=True, slots=True)
class Ratio:
    name: str
    sigma: float
    ratio: float
    most: int = 2 * RATIO_MOST


RATES = (Rate(0.20), Rate(0.10), Rate(0.07, 4 * MOST), Rate(LIMIT), Rate(0.04))
RATIOS = tuple(
    Ratio(name, sigma, ratio)
    for name, sigma in (("cost", draws.COST_SIGMA), ("latency", draws.LATENCY_SIGMA))
    for ratio in (3.0, RATIO, 1.9)
)


def jobs(setting: Setting) -> list[Job]:
    found: list[Job] = [partial(_rate_times, rate, setting) for rate in RATES]
    found.append(partial(_session_times, setting))
    return found + [partial(_ratio_times, ratio, setting) for ratio in RATIOS]


def _rate_times(rate: Rate, setting: Setting) -> list[float]:
    chance = setting.chance(f"rate {rate.rate}")
    stakes = rate_bets(LIMIT)
    won = [math.log(1 + stake * (1 - LIMIT)) for stake in stakes]
    lost = [math.log(1 - stake * LIMIT) for stake in stakes]

    def time() -> float:
        errors = 0
        for count in range(1, rate.most + 1):
            errors += chance.random() < rate.rate
            fine = count - errors
            if rate_is_above([errors * up + fine * down for up, down in zip(won, lost, strict=True)]):
                return count
        return NEVER

    # Those that are hardly above the limit take long, and only their middle is shown.
    runs = setting.runs if rate.most == MOST else max(20, setting.runs // 10)
    return [time() for _ in range(runs)]


def _session_times(setting: Setting) -> list[float]:
    """Units are sessions, several open at a time, and it is looked at after every call of theirs."""
    chance = setting.chance("rate sessions")
    stakes = rate_bets(LIMIT)
    runs = max(50, setting.runs // 2)
    return [_session_time(stakes, chance) for _ in range(runs)]


def _session_time(stakes: Sequence[float], chance: random.Random) -> float:
    opened: list[tuple[int, int]] = [(0, 0)] * OPEN
    wealths = [0.0] * len(stakes)
    for count in range(1, MOST + 1):
        which = chance.randrange(OPEN)
        calls, errors = opened[which]
        before = errors / calls - LIMIT if calls else 0.0
        calls, errors = calls + 1, errors + (chance.random() < LIMIT)
        after = errors / calls - LIMIT
        for at, stake in enumerate(stakes):
            wealths[at] += math.log((1 + stake * after) / (1 + stake * before))
        if rate_is_above(wealths):
            return count
        opened[which] = (0, 0) if chance.random() * CALLS < 1 else (calls, errors)
    return NEVER


def _ratio_times(ratio: Ratio, setting: Setting) -> list[float]:
    chance = setting.chance(f"ratio {ratio.name} {ratio.ratio}")
    first, other = draws.lognormal(ratio.sigma), draws.lognormal(ratio.sigma, ratio.ratio)
    return [_ratio_time(first, other, ratio.most, chance) for _ in range(setting.runs)]


def _ratio_time(first: draws.Draw, other: draws.Draw, most: int, chance: random.Random) -> float:
    """Units per variant."""
    supplies = (draws.units(first, chance), draws.units(other, chance))
    growing = (Growing(), Growing())
    sums = [Sums(), Sums()]
    for count in range(1, most + 1):
        which = chance.getrandbits(1)
        sums[which] = growing[which].add(next(supplies[which]))
        if ratio_is_above(sums[0], sums[1], RATIO):
            return count / 2
    return NEVER


def part(results: Sequence[list[float]], setting: Setting) -> Part:
    rates = list(zip(RATES, results, strict=False))
    rows = [[f"{rate.rate:.0%}", *_times(times), f"{rate.most:,}"] for rate, times in rates]
    sessions = results[len(RATES)]
    rows.append([f"{LIMIT:.0%}, sessions of {CALLS:g} calls", *_times(sessions), f"{MOST:,}"])
    ratios = list(zip(RATIOS, results[len(RATES) + 1 :], strict=True))
    ratio_rows = [
        [f"{one.name}, {one.ratio:g} times", *_times(times), f"{one.most // 2:,}"] for one, times in ratios
    ]
    soon = happened(results[0], SOON)
    promises = [
        Promise(
            f"{RATES[0].rate:.0%} errors are stopped within {SOON} samples in "
            f"{share_text(soon, len(results[0]))} (at least 95 %)",
            soon >= 0.95 * len(results[0]),
        )
    ]
    for rate, times in rates:
        if rate.rate <= LIMIT:
            promises.append(_false(f"{rate.rate:.0%} errors", times))
    promises.append(_false(f"{LIMIT:.0%} errors in sessions, looked at after every call", sessions))
    for one, times in ratios:
        if one.ratio <= RATIO:
            promises.append(_false(f"{one.name}, {one.ratio:g} times the first one's", times))
        else:
            found = happened(times, RATIO_MOST)
            promises.append(
                Promise(
                    f"{one.name}, {one.ratio:g} times the first one's: stopped within {RATIO_MOST:,} units "
                    "per variant in "
                    f"{share_text(found, len(times))} (at least 95 %)",
                    found >= 0.95 * len(times),
                )
            )
    heads = ("", "stopped", "half by", "95 % by", "all by", "looked at up to")
    return Part(
        "Guardrails",
        [
            Table(heads, rows, f"Samples of a variant until it is stopped; the limit is {LIMIT:.0%} errors."),
            Table(heads, ratio_rows, f"Units per variant; the limit is {RATIO:g} times the first one's."),
        ],
        promises,
    )


def _times(times: Sequence[float]) -> list[str]:
    return [
        share_text(happened(times), len(times)),
        *(count_text(quantile(times, share)) for share in (0.5, 0.95, 1)),
    ]


def _false(what: str, times: Sequence[float]) -> Promise:
    wrong = happened(times)
    return Promise(
        f"{what}: stopped in {share_text(wrong, len(times))} (at most {GUARD_ALPHA:.0%}, and what chance "
        "adds)",
        wrong <= TOLERATED * len(times),
    )
