"""A race in simulated time: what its runners would come to is known, so the winner is, and when.

As proxy/racing.py does: the next one starts when the one before is slower than `stagger`, or has failed; the
first good answer (a stream: its first token) wins, and the others are stopped and billed as far as they got.
Simpler than there: a runner has one try.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from headgate.policy.nodes import Heat
from proxy.config.model import Target
from proxy.racing import DEFAULT_STAGGER_SECONDS
from tests.perf.simulation.answers import Answer
from tests.perf.simulation.moments import Waits

if TYPE_CHECKING:
    from tests.perf.simulation.region import Attempt, Region

# When what happens, in this order where it happens at once.
Event = tuple[float, int, Callable[[], None]]


def run_heat(region: Region, answer: Answer, heat: Heat[Target]) -> Waits:
    """Afterwards `answer.first_seconds` says whether somebody won."""
    runners: list[tuple[Attempt, float]] = []
    for target in heat.targets:
        stagger = heat.stagger_seconds
        if stagger is None:
            stagger = region.estimates.slow_seconds(target, answer.call.stream) or DEFAULT_STAGGER_SECONDS
        attempt = region.begin(answer.call, target)
        outcome = attempt.outcome
        good = outcome.status == 200
        answers_at = region.clock.now + outcome.first_seconds if good else math.inf
        runners.append((attempt, answers_at))
        if target is heat.targets[-1]:
            break
        # Nobody else starts once one has won.
        next_at = region.clock.now + (stagger if good else min(stagger, outcome.first_seconds))
        if min(at for _, at in runners) <= next_at:
            break
        yield next_at - region.clock.now
    won_at = min(at for _, at in runners)
    events: list[Event] = []
    for number, (attempt, answers_at) in enumerate(runners):
        ends_at = attempt.began_at + attempt.outcome.seconds
        if answers_at == won_at < math.inf:
            events.append((won_at, -1, partial(region.answered, answer, attempt)))
        elif won_at < ends_at:
            stopped = attempt.outcome.until(won_at - attempt.began_at, stream=answer.call.stream)
            attempt, ends_at = replace(attempt, outcome=stopped), won_at
        events.append((ends_at, number, partial(region.settle, answer, attempt)))
    for at, _, happen in sorted(events, key=lambda event: event[:2]):
        if at > region.clock.now:
            yield at - region.clock.now
        happen()
