"""Who asks what and when: one region's calls of a day, the same for every policy.

A Poisson process whose rate follows the region's day. Conversations begin at once with their first call; the
later ones follow with pauses and carry what was said before, so their prompts grow and begin alike.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from tests.perf.simulation.market import REGIONS
from tests.perf.simulation.tasks import TASKS, Task

DAY_SECONDS = 86_400
# What a region's clock is ahead of UTC, in the order of REGIONS.
_AHEAD_HOURS = (-8.0, -5.0, 1.0, 5.5, 9.0)
# The quietest hour has this share of the busiest one's calls.
_NIGHT_SHARE = 0.15
_PEAK_HOUR = 14.0
_NONE: frozenset[str] = frozenset()
# An estimate by bytes is off by about a tenth.
_ESTIMATE_SIGMA = 0.1


@dataclass(frozen=True, slots=True)
class Call:
    """`noise` picks what chance there is in it; `output_tokens`: as the usual model would answer."""

    number: int
    at: float
    region: int
    task: Task
    task_index: int
    conversation: int
    input_tokens: int
    estimated_tokens: int
    output_tokens: float
    stream: bool
    needs: frozenset[str]
    noise: int


def busy(region: int, at: float) -> float:
    """How busy the region is at `at` seconds after midnight UTC: 0 at night to 1 at the peak."""
    hour = at / 3600 + _AHEAD_HOURS[region]
    return 0.5 + 0.5 * math.cos((hour - _PEAK_HOUR) / 24 * 2 * math.pi)


def calls(seed: int, region: int, calls_per_minute: float, seconds: float = DAY_SECONDS) -> list[Call]:
    """Of one region, in the order of time; `calls_per_minute`: the day's average."""
    chance = random.Random(f"traffic {seed} {REGIONS[region]}")
    # Of all beginnings, a task whose conversations are long has fewer.
    weights = [task.share / task.turns for task in TASKS]
    begin_rate = calls_per_minute / 60 * sum(weights) / ((1 + _NIGHT_SHARE) / 2)
    found: list[Call] = []
    at, conversation = 0.0, 0
    while True:
        at += chance.expovariate(begin_rate)
        if at >= seconds:
            break
        if chance.random() > _NIGHT_SHARE + (1 - _NIGHT_SHARE) * busy(region, at):
            continue
        index = chance.choices(range(len(TASKS)), weights)[0]
        conversation += 1
        found += _conversation(chance, region, index, conversation, at, seconds)
    found.sort(key=lambda call: call.at)
    return found


def _conversation(
    chance: random.Random, region: int, index: int, conversation: int, at: float, end: float
) -> list[Call]:
    task = TASKS[index]
    needs = set()
    if chance.random() < task.tools_share:
        needs.add("tools")
    if chance.random() < task.vision_share:
        needs.add("vision")
    prompt = chance.lognormvariate(math.log(task.input_median), task.input_sigma)
    stream = chance.random() < task.stream_share
    found: list[Call] = []
    while at < end:
        answer = chance.lognormvariate(math.log(task.output_median), task.output_sigma)
        estimate = prompt * chance.lognormvariate(0, _ESTIMATE_SIGMA)
        noise = chance.getrandbits(40)
        found.append(
            Call(
                number=region * 10_000_000 + conversation * 100 + len(found),
                at=at,
                region=region,
                task=task,
                task_index=index,
                conversation=conversation if task.turns > 1 else 0,
                input_tokens=int(prompt) + 1,
                estimated_tokens=int(estimate) + 1,
                output_tokens=answer,
                stream=stream,
                needs=frozenset(needs) if needs else _NONE,
                noise=noise,
            )
        )
        if chance.random() * task.turns < 1 or len(found) >= 99:
            break
        prompt += answer + chance.lognormvariate(math.log(60), 0.8)
        at += answer / 60 + chance.expovariate(1 / task.pause_seconds)
    return found
