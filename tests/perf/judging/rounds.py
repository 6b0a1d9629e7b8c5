"""Interleaved rounds of the same load through each case, and what came of it as figures by case.

A round of a case: the load, then a pause in which what is judged about it comes to its end, so that the CPU
of judging is counted to the case that caused it. Rounds of all cases alternate, in another order each time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.perf import accounting, paced
from tests.perf.judging.world import CASES, CHOSEN, HANGING, JUDGES, PLAIN, SPLIT, World
from tests.perf.load import run_load
from tests.perf.rounds import progress

RATE = 150.0
SETTLE_SECONDS = 0.7
KINDS = ("whole", "streamed")
# 524 jobs can wait or be under way, and one in five calls becomes one.
FILLING_RATE, FILLING_SECONDS = 900.0, 3.5
SATURATED = (PLAIN, CHOSEN, SPLIT, *(name for name in JUDGES if name != HANGING))
# Of the memory's phase: bodies so large that their bytes are the queue's limit, not their number.
PADDING_BYTES = 100_000
MEMORY_RATE = 100.0


@dataclass(slots=True)
class Found:
    """Of one case, a figure a round, or of all rounds together."""

    p50_ms: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    p99_ms: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    cpu_us: list[float] = field(default_factory=list)
    calls: int = 0
    failed: int = 0
    # What was done in the background, by (what, outcome).
    background: dict[tuple[str, str], int] = field(default_factory=dict)
    saturated_cpu_us: list[float] = field(default_factory=list)
    saturated_rate: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Grown:
    """RSS in MB: before the load, and each second of it."""

    before: float
    during: Sequence[float]


def paced_rounds(world: World, rounds: int, seconds: float) -> dict[str, Found]:
    found = {name: Found() for name in CASES}
    for name in CASES:
        _paced(world, name, Found(), 1.0, 0)  # warm
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        for name in _turn(CASES, number):
            _paced(world, name, found[name], seconds, number)
    return found


def _paced(world: World, name: str, found: Found, seconds: float, seed: int) -> None:
    asks = world.asks(name)
    if name == HANGING:
        paced.run(asks[:1], world.target, FILLING_RATE, FILLING_SECONDS, seed)
    before, background = accounting.read_cpu(world.pids), world.background()
    seen = paced.run(asks, world.target, RATE, seconds, seed)
    time.sleep(SETTLE_SECONDS)
    spent = accounting.spent_us(before, accounting.read_cpu(world.pids))
    for kind, latencies in zip(KINDS, seen.latencies_us, strict=True):
        found.p50_ms[kind].append(paced.percentile_us(latencies, 0.5) / 1000)
        found.p99_ms[kind].append(paced.percentile_us(latencies, 0.99) / 1000)
    found.cpu_us.append(spent / seen.requests)
    found.calls += seen.requests
    found.failed += seen.errors
    for names, count in world.background().items():
        done = count - background.get(names, 0)
        if done:
            found.background[names] = found.background.get(names, 0) + done
    if name == HANGING:
        world.let_go()


def saturated_rounds(world: World, found: dict[str, Found], rounds: int, seconds: int, scratch: Path) -> None:
    """As many whole answers as sixteen connections carry: CPU per call, judging not counted apart."""
    for number in range(rounds):
        progress(f"saturated round {number + 1} of {rounds}")
        for name in _turn(SATURATED, number):
            before = accounting.read_cpu(world.pids)
            result = run_load(world.target, seconds, scratch, model=name)
            spent = accounting.spent_us(before, accounting.read_cpu(world.pids))
            found[name].saturated_cpu_us.append(spent / result.requests)
            found[name].saturated_rate.append(result.requests_per_second)
            world.at_rest()


def memory(world: World, name: str, seconds: int) -> Grown:
    asks = world.asks(name, padding=PADDING_BYTES)
    paced.run(asks, world.target, MEMORY_RATE, 2.0, 0)  # buffers that any large call needs
    if name == HANGING:
        world.let_go()
    before = world.rss_mb()
    during = []
    for number in range(seconds):
        paced.run(asks, world.target, MEMORY_RATE, 1.0, number)
        during.append(world.rss_mb())
    if name == HANGING:
        world.let_go()
    return Grown(before, during)


def _turn(names: Sequence[str], number: int) -> Iterator[str]:
    for index in range(len(names)):
        yield names[(index * (1 if number % 2 else -1) + number) % len(names)]
