"""Nodes that choose by figures: the cheapest, the fastest, and the race that does not choose at all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Generic

from headgate.policy.candidate import C, Candidate, CandidateKey
from headgate.policy.facts import Facts
from headgate.policy.nodes import Arm, Heat, Node, Step, first_target

# The leader is left for one that is faster by this much: less is noise, and traffic must not flap.
LEAD_RATIO = 0.8
# A model that has not been measured for so long gets one call in fifty, so that a recovery is noticed.
STALE_SECONDS = 5.0
EXPLORE_SHARE = 0.02
# A model of which nothing is known gets one call in this time: if it is dead or hangs, not all go there.
TRY_SECONDS = 1.0
# Of the calls whose answers are judged anyhow: how many go to a model of which it is open whether it is
# good enough.
EXPLORE_UNDECIDED_SHARE = 0.1
# Nobody has judged it at this task, and nobody said beforehand how good it is.
NO_EVIDENCE = "no_evidence_yet"
QUALITY_TOO_LOW = "quality_too_low"


class Cheapest(Generic[C]):
    """By the expected cost of this request; what is too dear, unpriced or not good enough is left out."""

    __slots__ = ("_nodes", "max_picousd", "min_quality")

    def __init__(
        self, nodes: Sequence[Node[C]], *, max_picousd: int | None = None, min_quality: float | None = None
    ) -> None:
        self._nodes = tuple(nodes)
        self.max_picousd = max_picousd
        self.min_quality = min_quality

    def plan(self, facts: Facts) -> Sequence[Step[C]]:
        priced: list[tuple[float, int, Sequence[Step[C]]]] = []
        undecided: list[tuple[float, int, Sequence[Step[C]]]] = []
        for position, node in enumerate(self._nodes):
            steps = node.plan(facts)
            if not steps:
                continue
            target = first_target(steps)
            cost = facts.estimates.cost_picousd(facts, target)
            reason = self._exclusion(target, facts, cost)
            # Unpriced ones come last: nobody knows that they are cheap.
            entry = (math.inf if cost is None else cost, position, steps)
            if not reason:
                priced.append(entry)
                continue
            facts.excluded.append((target.model, reason))
            if reason == QUALITY_TOO_LOW and target.may_be_worth(facts.task, self.min_quality or 0.0):
                undecided.append(entry)
        priced.sort(key=lambda item: item[:2])
        if undecided and facts.judged and facts.random() < EXPLORE_UNDECIDED_SHARE:
            # Its answer is judged, so that more is known of it next time.
            priced.insert(0, min(undecided, key=lambda item: item[:2]))
        return [step for _, _, steps in priced for step in steps]

    def _exclusion(self, target: Candidate, facts: Facts, cost: int | None) -> str:
        if self.max_picousd is not None:
            if cost is None:
                return "unpriced"
            if cost > self.max_picousd:
                return "over_price_ceiling"
        if self.min_quality is not None:
            quality = target.quality_for(facts.task)
            if quality is None:
                return NO_EVIDENCE
            if quality < self.min_quality:
                return QUALITY_TOO_LOW
        return ""

    def targets(self) -> Iterator[C]:
        return itertools.chain.from_iterable(node.targets() for node in self._nodes)


class Fastest(Generic[C]):
    """By measured speed, with a leader that keeps its place until it is clearly beaten."""

    __slots__ = ("_leader", "_nodes", "_tried", "by")

    def __init__(self, nodes: Sequence[Node[C]], *, by: str = "first_token") -> None:
        self._nodes = tuple(nodes)
        self.by = by
        # Only a preference: a new snapshot, or another worker, may begin with another one.
        self._leader: CandidateKey | None = None
        # When one of which nothing is known was last put first.
        self._tried: dict[CandidateKey, float] = {}

    def plan(self, facts: Facts) -> Sequence[Step[C]]:
        plans = [steps for node in self._nodes if (steps := node.plan(facts))]
        if len(plans) < 2:
            return plans[0] if plans else ()
        estimates = facts.estimates
        measured: list[tuple[float, int]] = []
        for position, steps in enumerate(plans):
            # What is old is explored, not tried anew: where 50 models share 14 calls a minute, trying
            # whoever was not called for 20 minutes took a third of all calls.
            seconds = estimates.seconds(facts, first_target(steps), self.by, ever=True)
            measured.append((math.inf if seconds is None else seconds, position))
        measured.sort()
        order = [position for _, position in measured]
        self._keep_leader(measured, order, plans)
        unknown = [position for seconds, position in measured if seconds == math.inf]
        if not (unknown and self._try(unknown, order, plans, estimates.clock())):
            known = [position for position in order[1:] if position not in unknown]
            self._explore(facts, known, order, plans)
        return [step for position in order for step in plans[position]]

    def _keep_leader(
        self, measured: list[tuple[float, int]], order: list[int], plans: list[Sequence[Step[C]]]
    ) -> None:
        best_seconds = measured[0][0]
        for seconds, position in measured:
            if first_target(plans[position]).identity == self._leader:
                if best_seconds >= seconds * LEAD_RATIO:
                    order.remove(position)
                    order.insert(0, position)
                    return
                break
        self._leader = first_target(plans[order[0]]).identity

    def _try(self, unknown: list[int], order: list[int], plans: list[Sequence[Step[C]]], now: float) -> bool:
        """Puts one of which nothing is known first, for this call alone; whether there was one to try."""
        for position in unknown:
            key = first_target(plans[position]).identity
            if now - self._tried.get(key, -math.inf) >= TRY_SECONDS:
                self._tried[key] = now
                order.remove(position)
                order.insert(0, position)
                return True
        return False

    def _explore(
        self, facts: Facts, known: list[int], order: list[int], plans: list[Sequence[Step[C]]]
    ) -> None:
        """Now and then the one that was measured longest ago goes first, for this call alone."""
        if facts.random() >= EXPLORE_SHARE or not known:
            return
        ages = [(facts.estimates.age_seconds(facts, first_target(plans[p])), p) for p in known]
        age, position = max(ages)
        if age > STALE_SECONDS:
            order.remove(position)
            order.insert(0, position)

    def targets(self) -> Iterator[C]:
        return itertools.chain.from_iterable(node.targets() for node in self._nodes)


class Race(Generic[C]):
    """Several at once; behind them, whoever did not start.

    An experiment or a race among them, which an apply refuses, does not start: it is more than one target.
    """

    __slots__ = ("_nodes", "max_picousd", "stagger_seconds", "width")

    def __init__(
        self,
        nodes: Sequence[Node[C]],
        *,
        stagger_seconds: float | None = 0.0,
        width: int = 2,
        max_picousd: int | None = None,
    ) -> None:
        self._nodes = tuple(nodes)
        self.stagger_seconds = stagger_seconds
        self.width = width
        self.max_picousd = max_picousd

    def plan(self, facts: Facts) -> Sequence[Step[C]]:
        plans = [steps for node in self._nodes if (steps := node.plan(facts))]
        runners: list[C] = []
        rest: list[Step[C]] = []
        spent = 0
        for steps in plans:
            target = first_target(steps)
            cost = facts.estimates.cost_picousd(facts, target) if self.max_picousd is not None else 0
            dear = self.max_picousd is not None and (cost is None or spent + cost > self.max_picousd)
            bare = not isinstance(steps[0], (Arm, Heat))
            if bare and len(runners) < self.width and target not in runners and not (dear and runners):
                runners.append(target)
                spent += cost or 0
                rest += steps[1:]
            else:
                rest += steps
        if len(runners) < 2:
            return [step for steps in plans for step in steps]
        return [Heat(tuple(runners), self.stagger_seconds), *rest]

    def targets(self) -> Iterator[C]:
        return itertools.chain.from_iterable(node.targets() for node in self._nodes)
