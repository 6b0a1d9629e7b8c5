"""What was learned of models from real calls: how long their answers are, how fast they come, what they cost.

Kept per worker, decayed by the number of calls and by time, bounded. No probes: what is measured is traffic.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from headgate.policy.candidate import Candidate, CandidateKey
from headgate.rules.money import Tokens, cost_picousd

if TYPE_CHECKING:
    from headgate.policy.facts import Facts

# An answer's length before anything is known: a few paragraphs.
PRIOR_OUTPUT_TOKENS = 300
# Weight of the newest call in the averages.
OUTPUT_WEIGHT = 0.1
SPEED_WEIGHT = 0.3
# One slow call counts as at most this many times the estimate: outliers are no trend, and who is left
# because of one gets no calls that would show it.
MAX_STEP = 2.0
# A fast one may count for more: if it was luck, the calls that follow it say so at once.
MAX_FALL = 4.0
# Weight of a faster call of a model that had not been called for so long: nobody else tells of a recovery.
RECOVERY_WEIGHT = 0.7
RECOVERY_SECONDS = 5.0
# The first call also opens a connection: before the second nothing is known, and a faster second one is
# believed alone.
CALLS_TO_KNOW = 2
QUANTILE_STEP = 0.02
# How often a model is measured that is called anyway.
DUE_SECONDS = 0.02
# After so long without a call, what was measured says nothing any more.
SPEED_HALF_LIFE_SECONDS = 300.0
# Providers keep a prompt's beginning for 5 minutes and more after it was last used.
# https://platform.openai.com/docs/guides/prompt-caching
CACHE_SECONDS = 300.0
# A model that hangs gives no answers to learn from: if half of the streams that wait for their first token,
# and this many, wait longer than so many times what was usual, it is as slow as they wait.
WAITING_STREAMS = 4
WAITING_RATIO = 2.0
# Of many that wait, so many are looked at.
MAX_WAITING_LOOKED_AT = 200
# Of the input, where a prefix was seen and no answer has told yet what the cache made of it.
PRIOR_CACHED_SHARE = 0.8
MAX_MODELS = 10_000
MAX_PREFIXES = 20_000


@dataclass(slots=True)
class Learned:
    """Of one target. Tokens."""

    output_tokens: float = 0.0
    # Calls behind `output_tokens`, to trust a few of them less.
    answers: int = 0
    cached_share: float = PRIOR_CACHED_SHARE
    # Learned by somebody else: not to be told as one's own.
    adopted: bool = False


@dataclass(slots=True)
class Speed:
    """Of one target's streams, or of its whole answers, whose first token comes with the last. Seconds.

    Apart, because one takes many times as long as the other: mixed in one average, chance would decide.
    """

    first_token_seconds: float = 0.0
    seconds_per_token: float = 0.0
    # Until the first token in nine of ten calls.
    slow_seconds: float = 0.0
    # Clock of the last measurement; 0: never measured.
    measured_at: float = 0.0
    measurements: int = 0
    # Measured by somebody else.
    adopted: bool = False


K = TypeVar("K")
V = TypeVar("V")


class Estimates:
    """`clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._learned: dict[CandidateKey, Learned] = {}
        # (route, target) → output tokens: the same model answers a classifier's route in one word.
        self._by_route: dict[tuple[str, CandidateKey], Learned] = {}
        # (target, whether streamed)
        self._speeds: dict[tuple[CandidateKey, bool], Speed] = {}
        self._waiting: dict[CandidateKey, dict[bytes, float]] = {}
        # (target, digest of the prompt's beginning) → when it was last sent there.
        self._prefixes: OrderedDict[tuple[CandidateKey, bytes], float] = OrderedDict()

    def slow_seconds(self, target: Candidate, stream: bool) -> float:
        """Until the first token in nine of ten calls; 0: not measured."""
        speed = self._speeds.get((target.identity, stream))
        return 0.0 if speed is None else speed.slow_seconds

    def first_seconds(self, target: Candidate, stream: bool) -> float:
        """Until a stream's first token, or a whole answer; 0: not measured."""
        speed = self._speeds.get((target.identity, stream))
        return 0.0 if speed is None else speed.first_token_seconds

    def learned(self) -> Iterator[tuple[str, CandidateKey, Learned]]:
        """Lengths and caches: (route or "" for all, model, what was learned)."""
        for key, learned in self._learned.items():
            yield "", key, learned
        for (route, key), learned in self._by_route.items():
            yield route, key, learned

    def speeds(self) -> Iterator[tuple[CandidateKey, bool, Speed]]:
        """(model, whether of streams, speed)"""
        return ((key, streamed, speed) for (key, streamed), speed in self._speeds.items())

    def learned_of(self, key: CandidateKey, route: str = "") -> Learned:
        """To be filled from what somebody else learned."""
        if route:
            return _entry(self._by_route, (route, key), Learned)
        return _entry(self._learned, key, Learned)

    def speed_of(self, key: CandidateKey, streamed: bool) -> Speed:
        """To be filled from what somebody else measured."""
        return _entry(self._speeds, (key, streamed), Speed)

    def waiting(self, target: Candidate) -> dict[bytes, float]:
        """Streams that wait for their first token: attempt → its start. For whoever makes the attempts."""
        return _entry(self._waiting, target.identity, dict)

    def sent(self, target: Candidate, prefix: bytes) -> None:
        """A prompt went to this target: its beginning may be in the provider's cache from now on."""
        if not prefix:
            return
        identity = (target.identity, prefix)
        self._prefixes[identity] = self.clock()
        self._prefixes.move_to_end(identity)
        if len(self._prefixes) > MAX_PREFIXES:
            self._prefixes.popitem(last=False)

    def is_due(self, target: Candidate, stream: bool) -> bool:
        """Whether the last measurement is not of just now."""
        speed = self._speeds.get((target.identity, stream))
        return speed is None or self.clock() - speed.measured_at > DUE_SECONDS

    def answered(
        self,
        route: str,
        target: Candidate,
        tokens: Tokens,
        *,
        first_token_seconds: float | None,
        seconds: float,
    ) -> None:
        """A complete answer. `first_token_seconds`: None where nothing was streamed."""
        key = target.identity
        by_route = _entry(self._by_route, (route, key), Learned)
        _average(by_route, tokens.output)
        learned = _entry(self._learned, key, Learned)
        _average(learned, tokens.output)
        if tokens.input and tokens.cache_read:
            share = tokens.cache_read / tokens.input
            learned.cached_share += OUTPUT_WEIGHT * (share - learned.cached_share)
        speed = _entry(self._speeds, (key, first_token_seconds is not None), Speed)
        self._measure(speed, tokens, first_token_seconds, seconds)

    def output_tokens(self, facts: Facts, target: Candidate) -> float:
        """Predicted: from this route and model, else from the model, else a prior; never over the limit."""
        key = target.identity
        known = self._by_route.get((facts.route, key)) or self._learned.get(key)
        if known is None:
            predicted = float(PRIOR_OUTPUT_TOKENS)
        else:
            trust = min(1.0, known.answers / 10)
            predicted = trust * known.output_tokens + (1 - trust) * PRIOR_OUTPUT_TOKENS
        limit = facts.max_tokens
        return min(predicted, limit) if limit else predicted

    def cached_tokens(self, facts: Facts, target: Candidate) -> int:
        """Input that the provider will likely read from its cache."""
        prefix = facts.prefix
        if not prefix:
            return 0
        key = target.identity
        sent_at = self._prefixes.get((key, prefix))
        if sent_at is None or self.clock() - sent_at > CACHE_SECONDS:
            return 0
        learned = self._learned.get(key)
        share = learned.cached_share if learned is not None else PRIOR_CACHED_SHARE
        return int(facts.input_tokens * share)

    def cost_picousd(self, facts: Facts, target: Candidate) -> int | None:
        """Expected cost of this request; None: unpriced."""
        tokens = Tokens(
            input=facts.input_tokens,
            cache_read=self.cached_tokens(facts, target),
            output=math.ceil(self.output_tokens(facts, target)),
        )
        return cost_picousd(target.prices, tokens, int(facts.now * 1000), "", target.discount_ppm)

    def seconds(self, facts: Facts, target: Candidate, by: str, *, ever: bool = False) -> float | None:
        """Expected: until the first token, per token of output, or in all; None: not measured (lately).

        `ever`: what was measured long ago will do where there is nothing newer.
        """
        key = target.identity
        streamed = facts.stream or (by == "total" and self._streams_tell(key))
        speed = self._known(key, streamed, ever)
        if speed is None:  # better than nothing; exploring mends it
            streamed = not streamed
            speed = self._known(key, streamed, ever)
        if speed is None:
            return None
        if by == "throughput":
            return speed.seconds_per_token
        if by == "total":
            rest = speed.seconds_per_token * self.output_tokens(facts, target)
            return self._first_token(key, speed) + rest if streamed else rest
        return self._first_token(key, speed) if streamed else speed.first_token_seconds

    def _streams_tell(self, key: CandidateKey) -> bool:
        """Whether a model's streams say better how long a whole answer takes: unless they are the older news.

        Of whole answers the time per token has the beginning in it, which is all of one word and little of a
        thousand: mixed, it fits neither. Streams tell the two apart (simulated: p95 a third lower).
        """
        streams, wholes = self._speeds.get((key, True)), self._speeds.get((key, False))
        if streams is None or wholes is None:
            return streams is not None
        return wholes.measured_at - streams.measured_at < SPEED_HALF_LIFE_SECONDS

    def _first_token(self, key: CandidateKey, speed: Speed) -> float:
        """As measured, or as long as those that still wait have done already."""
        usual = speed.first_token_seconds
        waiting = self._waiting.get(key)
        if waiting is None or len(waiting) < WAITING_STREAMS:
            return usual
        middle = min(max(WAITING_STREAMS - 1, len(waiting) // 2), MAX_WAITING_LOOKED_AT)
        waited = self.clock() - next(islice(waiting.values(), middle, None))
        return waited if waited > WAITING_RATIO * usual else usual

    def _known(self, key: CandidateKey, streamed: bool, ever: bool) -> Speed | None:
        speed = self._speeds.get((key, streamed))
        if speed is None or speed.measurements < CALLS_TO_KNOW:
            return None
        if ever:
            return speed
        return None if self.clock() - speed.measured_at > 4 * SPEED_HALF_LIFE_SECONDS else speed

    def age_seconds(self, facts: Facts, target: Candidate) -> float:
        """Since it was last measured in calls like this one; infinite if never."""
        speed = self._speeds.get((target.identity, facts.stream))
        return math.inf if speed is None else self.clock() - speed.measured_at

    def _measure(
        self, speed: Speed, tokens: Tokens, first_token_seconds: float | None, seconds: float
    ) -> None:
        now = self.clock()
        age = now - speed.measured_at if speed.measured_at else math.inf
        # Old measurements count less: after a half-life the newest counts for half and more.
        weight = max(SPEED_WEIGHT, 1 - 0.5 ** (age / SPEED_HALF_LIFE_SECONDS)) if age < math.inf else 1.0
        speed.measurements += 1
        if speed.measurements <= CALLS_TO_KNOW:
            faster_weight = 1.0
        else:
            faster_weight = max(weight, RECOVERY_WEIGHT) if age > RECOVERY_SECONDS else weight
        first = seconds if first_token_seconds is None else first_token_seconds
        speed.first_token_seconds = _moved(speed.first_token_seconds, first, weight, faster_weight)
        rest = max(0.0, seconds - first) if first_token_seconds is not None else seconds
        if tokens.output > 1:
            per_token = rest / tokens.output
            speed.seconds_per_token = _moved(speed.seconds_per_token, per_token, weight, faster_weight)
        speed.slow_seconds = _quantile(speed.slow_seconds, first)
        speed.measured_at = now
        speed.adopted = False


def _entry(table: dict[K, V], key: K, make: Callable[[], V]) -> V:
    found = table.get(key)
    if found is None:
        if len(table) >= MAX_MODELS:
            table.clear()
        found = table[key] = make()
    return found


def _average(learned: Learned, output_tokens: int) -> None:
    learned.answers += 1
    learned.adopted = False
    weight = max(OUTPUT_WEIGHT, 1 / learned.answers)
    learned.output_tokens += weight * (output_tokens - learned.output_tokens)


def _moved(before: float, value: float, weight: float, faster_weight: float) -> float:
    """A weighted average in which no value counts as more than MAX_STEP of it, or less than 1 / MAX_FALL."""
    if value < before:
        weight = faster_weight
    if weight >= 1.0 or before <= 0:
        return value
    bounded = min(max(value, before / MAX_FALL), before * MAX_STEP)
    return before + weight * (bounded - before)


def _quantile(before: float, value: float) -> float:
    """The 90th percentile, followed by small steps: up nine times as far as down."""
    if before <= 0:
        return value
    step = before * QUANTILE_STEP
    return before + 9 * step if value > before else max(before - step, 0.001)
