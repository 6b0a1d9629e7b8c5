"""Who knows what no policy can: the bounds that policies are held against.

For each call the best of the models that can answer it and would: the cheapest (with the true length of each
answer and what is in each cache), or the fastest. Apart from that, the *informed* ones know each model's
true speed at the moment and not the chance in this call: what perfect measuring would reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tests.perf.simulation.answers import Answer
from tests.perf.simulation.tasks import TASKS
from tests.perf.simulation.traffic import Call
from tests.perf.simulation.world import Caches, World


@dataclass(frozen=True, slots=True)
class Oracle:
    """`by`: cost, first or total. `floor`: only who is good enough. `chance`: knows it too."""

    name: str
    by: str
    floor: bool = False
    chance: bool = True


ORACLES = (
    Oracle("oracle: cost", "cost"),
    Oracle("oracle: cost, good enough", "cost", floor=True),
    Oracle("oracle: first token", "first"),
    Oracle("oracle: total", "total"),
    Oracle("informed: first token", "first", chance=False),
    Oracle("informed: total", "total", chance=False),
)


class Seer:
    """Answers calls as one oracle would; its conversations are in the caches where it led them."""

    def __init__(self, world: World, oracle: Oracle) -> None:
        self._world = world
        self._oracle = oracle
        self._caches = Caches(world)
        self._able = lru_cache(maxsize=1_000)(self._find_able)

    def day(self, calls: Sequence[Call]) -> list[Answer]:
        return [self._answer(call) for call in calls]

    def _answer(self, call: Call) -> Answer:
        chosen, least = -1, 0.0
        for number in self._able(call.needs, call.task_index if self._oracle.floor else -1):
            window = self._world.market[number].target.context_window
            if call.input_tokens > window or call.estimated_tokens > window:
                continue
            if self._world.attempt(call, number, call.at).status != 200:
                continue
            figure = self._figure(call, number)
            if chosen < 0 or figure < least:
                chosen, least = number, figure
        if chosen < 0:
            return Answer(call)
        outcome = self._world.attempt(call, chosen, call.at)
        cached = self._caches.tokens(call, chosen, call.at)
        self._caches.sent(call, chosen, call.at)
        return Answer(
            call,
            chosen,
            outcome.first_seconds,
            outcome.seconds,
            self._world.market[chosen].quality[call.task_index],
            [(chosen, self._world.price(call, chosen, call.at, cached, outcome.output_tokens))],
        )

    def _figure(self, call: Call, number: int) -> float:
        world = self._world
        if self._oracle.by == "cost":
            cached = self._caches.tokens(call, number, call.at)
            return world.price(call, number, call.at, cached, world.output_tokens(call, number))
        first, rest = world.seconds(call, number, call.at, chance=self._oracle.chance)
        return first if self._oracle.by == "first" and call.stream else first + rest

    def _find_able(self, needs: frozenset[str], task_index: int) -> list[int]:
        return [
            number
            for number, model in enumerate(self._world.market)
            if needs <= (model.target.capabilities or frozenset())
            and (task_index < 0 or model.quality[task_index] >= TASKS[task_index].floor)
        ]
