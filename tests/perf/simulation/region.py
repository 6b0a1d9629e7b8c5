"""One region's proxy without its network: it plans with the real engine and follows the plan in order.

As proxy/attempts.py does: open circuits come last, two tries a target, a rate limit rests the provider's key,
a stream falls back until its first word. Circuits, estimates and choosing are the product's own code.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from headgate.policy.estimates import Estimates
from headgate.policy.facts import StatedFacts
from headgate.policy.nodes import Heat, Node, plain, targets_of
from headgate.rules.money import Tokens
from proxy.config.model import Target
from proxy.policy.health import Health
from proxy.policy.keys import DEFAULT_COOL_DOWN_SECONDS
from tests.perf.simulation.answers import Answer
from tests.perf.simulation.heats import run_heat
from tests.perf.simulation.market import REGIONS
from tests.perf.simulation.moments import Clock, Waits
from tests.perf.simulation.traffic import Call
from tests.perf.simulation.world import (
    CALL_LIMIT_SECONDS,
    DAY_UNIX_MS,
    STOPPED,
    Caches,
    Outcome,
    World,
)

ROUTE = "simulated"
TRIES = 2
BACKOFF_SECONDS = 0.1
# What a proxy takes for a prompt's beginning begins at this length (facts.CACHED_PREFIX_BYTES).
PREFIX_TOKENS = 1_024


class SimulatedFacts(StatedFacts):
    """Of a request that is not there, but belongs to a conversation."""

    __slots__ = ("_prefix",)

    def __init__(self, call: Call, estimates: Estimates, chance: random.Random) -> None:
        super().__init__(
            input_tokens=call.estimated_tokens,
            stream=call.stream,
            needs=call.needs,
            route=ROUTE,
            random=chance.random,
            estimates=estimates,
            task=call.task.name,
            now=DAY_UNIX_MS / 1000 + call.at,
            region=REGIONS[call.region],
        )
        self._prefix = prefix_of(call)

    @property
    def prefix(self) -> bytes:
        return self._prefix


@dataclass(frozen=True, slots=True)
class Attempt:
    """`cached`: tokens of the prompt that the provider has. `number`: the model's."""

    target: Target
    number: int
    cached: int
    began_at: float
    outcome: Outcome


class Region:
    """`seed`: of what the policy itself leaves to chance."""

    def __init__(self, world: World, node: Node[Target], seed: str) -> None:
        self.world = world
        self.clock = Clock()
        self.chance = random.Random(seed)
        self.estimates = Estimates(self.clock)
        self.health = Health(self.clock, self.chance.random)
        self.caches = Caches(world)
        self._node = node
        # Provider → when its key has rested.
        self._rests: dict[str, float] = {}

    def day(self, calls: Iterable[Call]) -> list[Answer]:
        answers: list[Answer] = []

        def beginnings() -> Iterator[tuple[float, Waits]]:
            for call in calls:
                answers.append(Answer(call))
                yield call.at, self._call(answers[-1])

        self.clock.run(beginnings())
        return answers

    def _call(self, answer: Answer) -> Waits:
        call = answer.call
        plan = self._node.plan(SimulatedFacts(call, self.estimates, self.chance))
        yield from self._follow(answer, list(map(plain, plan)))
        answer.seconds = self.clock.now - call.at
        if answer.failed:
            answer.first_seconds = answer.seconds
        else:
            answer.quality = self.world.market[answer.model].quality[call.task_index]

    def _follow(self, answer: Answer, plan: Sequence[Target | Heat[Target]]) -> Waits:
        steps, later, second_round = deque(plan), list[Target | Heat[Target]](), False
        while steps or later:
            if not steps:
                steps, later, second_round = deque(later), [], True
            step = steps.popleft()
            if not second_round and (steps or later) and not self._passes(step):
                later.append(step)
                continue
            if isinstance(step, Heat):
                yield from run_heat(self, answer, step)
            else:
                yield from self._try_target(answer, step, last=not steps and not later)
            if answer.first_seconds:  # answered, or broken off after its first word
                return

    def _passes(self, step: Target | Heat[Target]) -> bool:
        return any(self.health.passes(target) for target in targets_of((step,)))

    def _try_target(self, answer: Answer, target: Target, *, last: bool) -> Waits:
        call, provider = answer.call, target.provider.name
        for turn in range(TRIES):
            resting = self._rests.get(provider, 0.0) - self.clock.now
            if resting > 0:
                if not last:
                    return
                yield resting
            if self.clock.now - call.at >= CALL_LIMIT_SECONDS:
                return
            attempt = self.begin(call, target, turn)
            outcome = attempt.outcome
            if call.stream:
                self.estimates.waiting(target)[b"%d" % call.number] = self.clock.now
            yield outcome.first_seconds
            if call.stream:
                del self.estimates.waiting(target)[b"%d" % call.number]
            if outcome.spoke:
                yield from self._spoke(answer, attempt)
                return
            self.settle(answer, attempt)
            if outcome.status == 429:
                self._rests[provider] = self.clock.now + DEFAULT_COOL_DOWN_SECONDS
            if not last and (outcome.status == 429 or not self.health.passes(target)):
                return
            if turn + 1 < TRIES:
                yield BACKOFF_SECONDS * (0.5 + 0.5 * self.chance.random())

    def _spoke(self, answer: Answer, attempt: Attempt) -> Waits:
        self.answered(answer, attempt)
        if answer.call.stream:
            yield attempt.outcome.seconds - attempt.outcome.first_seconds
        self.settle(answer, attempt)

    def begin(self, call: Call, target: Target, turn: int = 0) -> Attempt:
        """An attempt goes out, now."""
        number, now = self.world.index[target.model], self.clock.now
        self.health.tried(target, None)
        self.estimates.sent(target, prefix_of(call))
        cached = self.caches.tokens(call, number, now)
        self.caches.sent(call, number, now)
        return Attempt(target, number, cached, now, self.world.attempt(call, number, now, turn))

    def answered(self, answer: Answer, attempt: Attempt) -> None:
        """A whole answer, or the first word of a stream; from here on nobody else is asked."""
        answer.first_seconds = self.clock.now - answer.call.at
        if attempt.outcome.status == 200:
            answer.model = attempt.number
        if answer.call.stream:
            self.health.began(attempt.target, None)

    def settle(self, answer: Answer, attempt: Attempt) -> None:
        """An attempt has ended: it is billed, once, and teaches.

        Silence is billed as the request, for the provider may have read it; errors and rate limits are free.
        """
        call, outcome, target = answer.call, attempt.outcome, attempt.target
        billed = 0
        if outcome.status not in (503, 429):
            billed = self.world.price(
                call, attempt.number, attempt.began_at, attempt.cached, outcome.output_tokens
            )
        answer.billed.append((attempt.number, billed))
        if outcome.status == STOPPED:
            self.health.stopped(target, None)
        elif outcome.status == 200:
            self.health.succeeded(target, None)
            self.estimates.answered(
                ROUTE,
                target,
                Tokens(input=call.input_tokens, cache_read=attempt.cached, output=outcome.output_tokens),
                first_token_seconds=outcome.first_seconds if call.stream else None,
                seconds=outcome.seconds,
            )
        elif outcome.status != 429:
            self.health.failed(target, None)


def prefix_of(call: Call) -> bytes:
    known = call.conversation and call.estimated_tokens >= PREFIX_TOKENS
    return b"%d" % call.conversation if known else b""
