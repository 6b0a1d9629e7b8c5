"""What an attempt comes to: a pure function of call, model and time, the same for policies and oracles.

Chance is looked up in tables by the call and the model, so that whoever asks the same model for the same
call gets the same luck. Nothing waits here: an outcome says how long it would have taken.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from headgate.rules.money import Tokens, cost_picousd
from tests.perf.simulation.market import Model
from tests.perf.simulation.traffic import Call
from tests.perf.simulation.weather import ERRORS, HANGS, LIMITS, Weather

# Statuses beside those of HTTP: nothing, or not all, came in time; another one won the race.
TIMED_OUT, STOPPED = 0, -1
FIRST_TOKEN_LIMIT_SECONDS = 15.0
CALL_LIMIT_SECONDS = 180.0
# Of calls at a provider that limits its rate, and of any call: a 503 out of the blue.
LIMITED_SHARE = 0.7
ERROR_SHARE = 0.002
ERROR_SECONDS = 0.08
# A provider keeps the beginning of a prompt for so long, in steps of so many tokens, and sometimes does not.
CACHE_SECONDS = 360.0
CACHE_STEP = 128
CACHE_MINIMUM = 1_024
CACHE_HIT_SHARE = 0.9
# Midnight UTC of the day; prices ask for a date.
DAY_UNIX_MS = 1_760_054_400_000

_TABLE = 1 << 16
_MASK = _TABLE - 1
_STEP = 40_503  # odd and large: neighbouring models get unrelated places
FIRST_SIGMA, SPEED_SIGMA, LENGTH_SIGMA = 0.3, 0.18, 0.2
TAIL_SHARE, TAIL_EXPONENT, TAIL_LIMIT = 0.02, 1.3, 12.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`status`: 200, 503, 429, TIMED_OUT or STOPPED. `first_seconds`: until the first token, of a whole
    answer until all of it, of a failure until it is known."""

    status: int
    first_seconds: float
    seconds: float
    output_tokens: int = 0

    @property
    def spoke(self) -> bool:
        """Something of it has reached the client."""
        return self.status == 200 or self.first_seconds < self.seconds

    def until(self, seconds: float, *, stream: bool) -> Outcome:
        """The same, stopped after so long: another one won the race."""
        silent = self.first_seconds if stream else 0.0
        told = max(0.0, seconds - silent) / max(self.seconds - silent, 1e-9)
        return Outcome(STOPPED, seconds, seconds, int(self.output_tokens * min(1.0, told)))


class World:
    def __init__(self, seed: int, market: Sequence[Model], weather: Weather) -> None:
        self.market = market
        self.weather = weather
        self.index = {model.name: number for number, model in enumerate(market)}
        chance = random.Random(f"noise {seed}")
        self._even = [chance.random() for _ in range(_TABLE)]
        self._first = [_tailed(chance) for _ in range(_TABLE)]
        self._speed = [chance.lognormvariate(0, SPEED_SIGMA) for _ in range(_TABLE)]
        self._length = [chance.lognormvariate(0, LENGTH_SIGMA) for _ in range(_TABLE)]
        # Their means, for who knows everything but chance.
        self._first_mean = sum(self._first) / _TABLE
        self._speed_mean = sum(self._speed) / _TABLE

    def output_tokens(self, call: Call, number: int) -> int:
        luck = self._length[(call.noise + number * _STEP) & _MASK]
        usual = call.output_tokens * self.market[number].verbosity[call.task_index]
        return max(1, int(usual * luck))

    def seconds(self, call: Call, number: int, at: float, *, chance: bool = True) -> tuple[float, float]:
        """(until the first token, then until the end) of a good answer; without `chance`, as usual now."""
        model, region = self.market[number], call.region
        slower = self.weather.slower(region, number, at)
        first, speed = self._first_mean, self._speed_mean
        if chance:
            place = ((call.noise >> 8) + number * _STEP) & _MASK
            first, speed = self._first[place], self._speed[place]
        # The prompt is read at some 20,000 tokens a second.
        begin = (model.first_seconds[region] * first + call.input_tokens / 20_000) * slower
        tokens = self.output_tokens(call, number)
        return begin, tokens * speed * slower / model.tokens_per_second[region]

    def attempt(self, call: Call, number: int, at: float, turn: int = 0) -> Outcome:
        """`turn`: how often this call was tried at this model before."""
        state = self.weather.state(call.region, self.market[number].provider, at)
        luck = self._even[((call.noise >> 16) + number * _STEP + turn * 977) & _MASK]
        left = call.at + CALL_LIMIT_SECONDS - at
        if state == ERRORS or luck < ERROR_SHARE:
            return Outcome(503, ERROR_SECONDS, ERROR_SECONDS)
        if state == LIMITS and luck < LIMITED_SHARE:
            return Outcome(429, ERROR_SECONDS, ERROR_SECONDS)
        silence = min(FIRST_TOKEN_LIMIT_SECONDS, left) if call.stream else left
        if state == HANGS:
            return Outcome(TIMED_OUT, silence, silence)
        first, rest = self.seconds(call, number, at)
        tokens = self.output_tokens(call, number)
        if not call.stream:
            whole = first + rest
            return Outcome(TIMED_OUT, left, left) if whole > left else Outcome(200, whole, whole, tokens)
        if first > silence:
            return Outcome(TIMED_OUT, silence, silence)
        if first + rest > left:  # cut off in the middle: some of it was said
            return Outcome(TIMED_OUT, first, left, int(tokens * (left - first) / rest))
        return Outcome(200, first, first + rest, tokens)

    def price(self, call: Call, number: int, at: float, cached: int, output: int) -> int:
        """Pico-dollars."""
        target = self.market[number].target
        tokens = Tokens(input=call.input_tokens, cache_read=cached, output=output)
        return cost_picousd(target.prices, tokens, DAY_UNIX_MS + int(at * 1000)) or 0

    def hits(self, call: Call, number: int) -> bool:
        return self._even[((call.noise >> 24) + number * _STEP) & _MASK] < CACHE_HIT_SHARE


class Caches:
    """What providers still have of conversations: one for each who sends prompts there."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sent: dict[tuple[int, int, int], tuple[float, int]] = {}

    def tokens(self, call: Call, number: int, at: float) -> int:
        """Of the call's input, what the provider reads from its cache."""
        if not call.conversation or not self._world.market[number].caches:
            return 0
        sent = self._sent.get((number, call.region, call.conversation))
        if sent is None or at - sent[0] > CACHE_SECONDS or not self._world.hits(call, number):
            return 0
        kept = min(sent[1], call.input_tokens) // CACHE_STEP * CACHE_STEP
        return kept if kept >= CACHE_MINIMUM else 0

    def sent(self, call: Call, number: int, at: float) -> None:
        if call.conversation:
            self._sent[(number, call.region, call.conversation)] = (at, call.input_tokens)


def _tailed(chance: random.Random) -> float:
    """Lognormal; now and then a Pareto tail on top."""
    value = chance.lognormvariate(0, FIRST_SIGMA)
    if chance.random() < TAIL_SHARE:
        value *= min(TAIL_LIMIT, math.e * chance.paretovariate(TAIL_EXPONENT) / 1.5)
    return value
