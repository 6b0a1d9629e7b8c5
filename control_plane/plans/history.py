"""What each model did in the recorded time: how often it failed, how long it took, how much it said.

Where a replay sends a call to another model than the one that answered it, this is all there is to go by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from control_plane.plans.recorded import Recorded
from headgate.v1 import usage_pb2

OK = usage_pb2.OUTCOME_OK
# Outcomes that say nothing of a model: the client left, another won, the proxy died.
_NO_VERDICT = (usage_pb2.OUTCOME_CANCELLED, usage_pb2.OUTCOME_RACE_LOST, usage_pb2.OUTCOME_UNKNOWN)
# Failures that are the request's.
_OF_THE_REQUEST = (
    usage_pb2.REASON_INVALID_REQUEST,
    usage_pb2.REASON_CONTEXT_LENGTH,
    usage_pb2.REASON_CONTENT_FILTER,
)
# Times kept of one model, chosen evenly from all: enough for a 95th percentile.
MAX_TIMES = 2_000
# Answers of a route's model before its length is believed.
ANSWERS_TO_BELIEVE = 10

ModelKey = tuple[str, str]


@dataclass(slots=True)
class Times:
    """A fair choice of the times of streams, or of whole answers. Milliseconds: (first token, all)."""

    seen: int = 0
    kept: list[tuple[int, int]] = field(default_factory=list)

    def add(self, first_ms: int, all_ms: int, random: Callable[[], float]) -> None:
        self.seen += 1
        if len(self.kept) < MAX_TIMES:
            self.kept.append((first_ms, all_ms))
        elif (place := int(random() * self.seen)) < MAX_TIMES:  # reservoir sampling, Vitter's algorithm R
            self.kept[place] = first_ms, all_ms


@dataclass(slots=True)
class Conduct:
    """Of one model at one provider, in one region."""

    judged: int = 0
    failed: int = 0
    streams: Times = field(default_factory=Times)
    wholes: Times = field(default_factory=Times)

    @property
    def failing_share(self) -> float:
        return self.failed / self.judged if self.judged else 0.0

    def times(self, stream: bool) -> Times:
        return self.streams if stream else self.wholes


class History:
    """`random`: in [0, 1); decides which times are kept."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._conduct: dict[tuple[str, ModelKey], Conduct] = {}
        self._anywhere: dict[ModelKey, Conduct] = {}
        # (route, model) → answers, sum of their output tokens.
        self._lengths: dict[tuple[str, ModelKey], tuple[int, int]] = {}
        # Route → requests whose size is known, sum of their input tokens.
        self._sizes: dict[str, tuple[int, int]] = {}

    def add(self, attempt: Recorded) -> None:
        model = attempt.provider, attempt.upstream_model
        for conduct in (
            self._conduct.setdefault((attempt.region, model), Conduct()),
            self._anywhere.setdefault(model, Conduct()),
        ):
            if attempt.outcome not in _NO_VERDICT and attempt.reason not in _OF_THE_REQUEST:
                conduct.judged += 1
                conduct.failed += attempt.outcome != OK
            if attempt.outcome == OK:
                first = attempt.first_token_ms if attempt.first_token_ms is not None else attempt.latency_ms
                conduct.times(attempt.stream).add(first, attempt.latency_ms, self._random)
        if attempt.outcome == OK:
            answers, tokens = self._lengths.get((attempt.route, model), (0, 0))
            self._lengths[attempt.route, model] = answers + 1, tokens + attempt.output_tokens
            known, size = self._sizes.get(attempt.route, (0, 0))
            self._sizes[attempt.route] = known + 1, size + attempt.input_tokens

    def conduct(self, region: str, model: ModelKey) -> Conduct | None:
        """In this region, else anywhere; None: it was never called."""
        return self._conduct.get((region, model)) or self._anywhere.get(model)

    def output_ratio(self, route: str, model: ModelKey, instead_of: ModelKey) -> float:
        """How much more one model says than another to the same route; 1 where that is not known."""
        lengths = [self._lengths.get((route, one), (0, 0)) for one in (model, instead_of)]
        if any(answers < ANSWERS_TO_BELIEVE or not tokens for answers, tokens in lengths):
            return 1.0
        (more, more_tokens), (less, less_tokens) = lengths
        return (more_tokens / more) / (less_tokens / less)

    def input_tokens(self, route: str) -> int:
        """The usual size of a request of a route, for those that were never counted."""
        known, size = self._sizes.get(route, (0, 0))
        return size // known if known else 0
