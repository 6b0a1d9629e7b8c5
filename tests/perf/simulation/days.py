"""A whole day: the world, its traffic, and what became of it under each policy and each oracle.

Policies do not know of each other, so they run in processes of their own where there are cores; the figures
are the same with one process. Everything follows from the seed.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.perf.simulation import market
from tests.perf.simulation.answers import Answer
from tests.perf.simulation.figures import Figures, figures
from tests.perf.simulation.oracles import ORACLES, Oracle, Seer
from tests.perf.simulation.policies import Contender, compiler, contenders
from tests.perf.simulation.region import Region
from tests.perf.simulation.series import Series, series
from tests.perf.simulation.traffic import DAY_SECONDS, Call, calls
from tests.perf.simulation.weather import Incident, Weather
from tests.perf.simulation.world import World


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run follows from. `calls_per_minute`: of one region, the day's average."""

    seed: int = 1
    calls_per_minute: float = 14.0
    begins: float = 0.0
    ends: float = DAY_SECONDS


class Day:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.market = market.models(setting.seed)
        self.weather = Weather(setting.seed, self.market)
        self.world = World(setting.seed, self.market, self.weather)
        self.calls: list[list[Call]] = [
            [
                call
                for call in calls(setting.seed, region, setting.calls_per_minute, setting.ends)
                if call.at >= setting.begins
            ]
            for region in range(len(market.REGIONS))
        ]

    def under(self, contender: Contender | Oracle) -> list[Answer]:
        """All regions' answers, in the order of regions and of time."""
        found: list[Answer] = []
        if isinstance(contender, Oracle):
            seer = Seer(self.world, contender)
            for asked in self.calls:
                found += seer.day(asked)
            return found
        compile_policy = compiler(self.market)
        for region, asked in enumerate(self.calls):
            seed = f"{contender.name} {self.setting.seed} {region}"
            found += Region(self.world, compile_policy(contender.policy), seed).day(asked)
        return found


@dataclass(frozen=True, slots=True)
class Result:
    """`spent_seconds`: of processor, for this policy alone."""

    figures: Figures
    series: Series
    spent_seconds: float


_day: list[Day] = []


def _begin(setting: Setting) -> None:
    _day[:] = [Day(setting)]


def _result(contender: Contender | Oracle) -> Result:
    begun = time.process_time()
    answers = _day[0].under(contender)
    kind = "oracle" if isinstance(contender, Oracle) else contender.kind
    return Result(figures(contender.name, kind, answers), series(answers), time.process_time() - begun)


def incidents(setting: Setting) -> list[Incident]:
    return Weather(setting.seed, market.models(setting.seed)).incidents


def simulate(setting: Setting, processes: int, said: Callable[[str], None]) -> list[Result]:
    """Policies first, then oracles."""
    everyone: list[Contender | Oracle] = [*contenders(market.models(setting.seed)), *ORACLES]
    found = []
    with multiprocessing.get_context("spawn").Pool(processes, _begin, (setting,)) as pool:
        for contender, result in zip(everyone, pool.imap(_result, everyone), strict=True):
            said(f"{contender.name}: {result.figures.calls} calls, {result.spent_seconds:.0f} s")
            found.append(result)
    return found
