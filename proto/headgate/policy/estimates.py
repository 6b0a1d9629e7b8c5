"""What was learned of models from real calls: how long their answers are, how fast they come, what they cost.

Kept per worker, decayed by the number of calls and by time, bounded. No probes: what is measured is traffic.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from headgate.policy.candidate import Candidate, CandidateKey, key_of
from headgate.rules.money import Tokens, cost_picousd

if TYPE_CHECKING:
    from headgate.policy.facts import Facts

# An answer's length before anything is known: a few paragraphs.
PRIOR_OUTPUT_TOKENS = 300
# Weight of the newest call in the averages.
OUTPUT_WEIGHT = 0.1
SPEED_WEIGHT = 0.3
# One slow call moves the estimate of the speed by at most this factor: outliers are no trend.
MAX_STEP = 4.0
QUANTILE_STEP = 0.02
# After so long without a call, what was measured says nothing any more.
SPEED_HALF_LIFE_SECONDS = 300.0
# Providers keep a prompt's beginning for 5 minutes and more after it was last used.
# https://platform.openai.com/docs/guides/prompt-caching
CACHE_SECONDS = 300.0
# Of the input, where a prefix was seen and no answer has told yet what the cache made of it.
PRIOR_CACHED_SHARE = 0.8
MAX_MODELS = 10_000
MAX_PREFIXES = 20_000


@dataclass(slots=True)
class Learned:
    """Of one target. Seconds; tokens."""

    output_tokens: float = 0.0
    # Calls behind `output_tokens`, to trust a few of them less.
    answers: int = 0
    cached_share: float = PRIOR_CACHED_SHARE
    first_token_seconds: float = 0.0
    seconds_per_token: float = 0.0
    # Until the first token in nine of ten calls.
    slow_seconds: float = 0.0
    # Clock of the last measurement; 0: never measured.
    measured_at: float = 0.0
    # Measured by somebody else: not to be told as one's own.
    adopted: bool = False


K = TypeVar("K")


class Estimates:
    """`clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._learned: dict[CandidateKey, Learned] = {}
        # (route, target) → output tokens: the same model answers a classifier's route in one word.
        self._by_route: dict[tuple[str, CandidateKey], Learned] = {}
        # (target, digest of the prompt's beginning) → when it was last sent there.
        self._prefixes: OrderedDict[tuple[CandidateKey, bytes], float] = OrderedDict()

    def all(self) -> Iterator[tuple[CandidateKey, Learned]]:
        return iter(self._learned.items())

    def by_route(self) -> Iterator[tuple[str, CandidateKey, Learned]]:
        return ((route, key, learned) for (route, key), learned in self._by_route.items())

    def entry(self, key: CandidateKey, route: str = "") -> Learned:
        """To be filled from what somebody else learned."""
        return _entry(self._by_route, (route, key)) if route else _entry(self._learned, key)

    def learned(self, target: Candidate) -> Learned | None:
        return self._learned.get(key_of(target))

    def sent(self, target: Candidate, prefix: bytes) -> None:
        """A prompt went to this target: its beginning may be in the provider's cache from now on."""
        if not prefix:
            return
        identity = (key_of(target), prefix)
        self._prefixes[identity] = self.clock()
        self._prefixes.move_to_end(identity)
        if len(self._prefixes) > MAX_PREFIXES:
            self._prefixes.popitem(last=False)

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
        key = key_of(target)
        by_route = _entry(self._by_route, (route, key))
        _average(by_route, tokens.output)
        learned = _entry(self._learned, key)
        _average(learned, tokens.output)
        if tokens.input and tokens.cache_read:
            share = tokens.cache_read / tokens.input
            learned.cached_share += OUTPUT_WEIGHT * (share - learned.cached_share)
        self._measure(learned, tokens, first_token_seconds, seconds)

    def output_tokens(self, facts: Facts, target: Candidate) -> float:
        """Predicted: from this route and model, else from the model, else a prior; never over the limit."""
        key = key_of(target)
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
        key = key_of(target)
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

    def seconds(self, facts: Facts, target: Candidate, by: str) -> float | None:
        """Expected: until the first token, per token of output, or in all; None: not measured (lately)."""
        learned = self._learned.get(key_of(target))
        if learned is None or not learned.measured_at:
            return None
        if self.clock() - learned.measured_at > 4 * SPEED_HALF_LIFE_SECONDS:
            return None
        if by == "throughput":
            return learned.seconds_per_token
        if by == "total":
            output = self.output_tokens(facts, target)
            return learned.first_token_seconds + learned.seconds_per_token * output
        return learned.first_token_seconds

    def age_seconds(self, target: Candidate) -> float:
        """Since it was last measured; infinite if never."""
        learned = self._learned.get(key_of(target))
        if learned is None or not learned.measured_at:
            return math.inf
        return self.clock() - learned.measured_at

    def _measure(
        self, learned: Learned, tokens: Tokens, first_token_seconds: float | None, seconds: float
    ) -> None:
        now = self.clock()
        age = now - learned.measured_at if learned.measured_at else math.inf
        # Old measurements count less: after a half-life the newest counts for half and more.
        weight = max(SPEED_WEIGHT, 1 - 0.5 ** (age / SPEED_HALF_LIFE_SECONDS)) if age < math.inf else 1.0
        first = seconds if first_token_seconds is None else first_token_seconds
        learned.first_token_seconds = _moved(learned.first_token_seconds, first, weight)
        rest = max(0.0, seconds - first) if first_token_seconds is not None else seconds
        if tokens.output > 1:
            learned.seconds_per_token = _moved(learned.seconds_per_token, rest / tokens.output, weight)
        learned.slow_seconds = _quantile(learned.slow_seconds, first)
        learned.measured_at = now
        learned.adopted = False


def _entry(table: dict[K, Learned], key: K) -> Learned:
    found = table.get(key)
    if found is None:
        if len(table) >= MAX_MODELS:
            table.clear()
        found = table[key] = Learned()
    return found


def _average(learned: Learned, output_tokens: int) -> None:
    learned.answers += 1
    weight = max(OUTPUT_WEIGHT, 1 / learned.answers)
    learned.output_tokens += weight * (output_tokens - learned.output_tokens)


def _moved(before: float, value: float, weight: float) -> float:
    """A weighted average in which no single value moves the result beyond MAX_STEP of it."""
    if weight >= 1.0 or before <= 0:
        return value
    bounded = min(max(value, before / MAX_STEP), before * MAX_STEP)
    return before + weight * (bounded - before)


def _quantile(before: float, value: float) -> float:
    """The 90th percentile, followed by small steps: up nine times as far as down."""
    if before <= 0:
        return value
    step = before * QUANTILE_STEP
    return before + 9 * step if value > before else max(before - step, 0.001)
