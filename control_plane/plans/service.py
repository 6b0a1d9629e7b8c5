"""`route explain`: which model would answer now, and why; nobody is called.

The tree is the proxies' own, the figures are what the region's proxies reported last. Where chance decides
(weights, exploration), the plan is made many times, and the most frequent one is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from random import Random

from control_plane.plans.model import Explained, Explanation, PlanCandidate, Question
from control_plane.plans.tree import Trees
from control_plane.snapshots.service import Publisher
from control_plane.standings.service import Standings
from headgate.policy import standing
from headgate.policy.candidate import CandidateKey
from headgate.policy.estimates import Estimates
from headgate.policy.facts import Facts, StatedFacts
from headgate.policy.nodes import Step, targets_of, within
from headgate.v1 import config_pb2

# Plans made of one question: enough to see a weight of one in a hundred.
DRAWS = 100
_KINDS = ("tenant", "provider", "model", "experiment", "route", "key")


class Plans:
    def __init__(self, publisher: Publisher, standings: Standings, unix_now: Callable[[], float]) -> None:
        self._publisher = publisher
        self._standings = standings
        self._unix_now = unix_now

    def explain(self, question: Question) -> Explanation:
        """Raises NoSuchRoute, NoSuchKey, NotCallable, NoSnapshot."""
        region = question.region or self._some_region()
        snapshot = self._publisher.require()
        entries = {
            (name.kind, name.tenant, name.name): entry.message
            for name, entry in snapshot.view(region).entries.items()
            if name.kind in _KINDS
        }
        trees = Trees(question.tenant, entries)
        tree = trees.find(question.model, question.key)
        told = self._standings.of_region(region)
        estimates = Estimates(time.monotonic)
        standing.adopt(estimates, told.standings)
        metadata = {**trees.metadata(question.key), **dict(question.metadata)}

        def facts(draw: int) -> Facts:
            return StatedFacts(
                input_tokens=question.input_tokens,
                max_tokens=question.max_tokens,
                stream=question.stream,
                needs=question.needs,
                wants_json=question.wants_json,
                route=tree.name,
                random=_chance(draw),
                estimates=estimates,
                task=question.task or tree.task,
                now=self._unix_now(),
                model=question.model,
                tenant=question.tenant,
                key=question.key,
                region=region,
                residency=trees.residency,
                user=question.user,
                session=question.session,
                metadata=metadata,
            )

        health = Health(told)
        drawn: dict[tuple[PlanCandidate, ...], tuple[int, Facts]] = {}
        firsts: dict[PlanCandidate, int] = {}
        for draw in range(DRAWS):
            asked = facts(draw)
            plan = tuple(self._ordered(tree.node.plan(asked), asked, question, health))
            count, first_facts = drawn.get(plan, (0, asked))
            drawn[plan] = count + 1, first_facts
            if plan:
                firsts[plan[0]] = firsts.get(plan[0], 0) + 1
        plan, (_, asked) = max(drawn.items(), key=lambda item: item[1][0])
        candidates = [
            self._explained(candidate, asked, health, place, firsts)
            for place, candidate in enumerate(dict.fromkeys(plan), start=1)
        ]
        candidates += self._left_out(tree.node.targets(), plan, asked, health, firsts)
        return Explanation(tree.name, region, candidates)

    def _some_region(self) -> str:
        reports = self._standings.reports()
        return max(reports, key=lambda report: report.reported_at).region if reports else ""

    @staticmethod
    def _ordered(
        steps: Sequence[Step[PlanCandidate]], asked: Facts, question: Question, health: Health
    ) -> list[PlanCandidate]:
        """As attempts would be made: within the client's ceiling, open circuits after all others."""
        plan = targets_of(steps)
        if question.max_picousd is not None:
            cheap = targets_of(within(steps, asked, question.max_picousd))
            asked.excluded += [(one.model, "over_max_cost") for one in plan if one not in cheap]
            plan = cheap
        return sorted(plan, key=lambda candidate: health.of(candidate) in ("open", "resting"))

    def _left_out(
        self,
        targets: Iterable[PlanCandidate],
        plan: Sequence[PlanCandidate],
        asked: Facts,
        health: Health,
        firsts: dict[PlanCandidate, int],
    ) -> list[Explained]:
        reasons = dict(asked.excluded)
        found = []
        for candidate in dict.fromkeys(targets):
            if candidate in plan:
                continue
            explained = self._explained(candidate, asked, health, 0, firsts)
            explained.reason = reasons.pop(candidate.model, "not_chosen")
            found.append(explained)
        known = {explained.model for explained in found} | {candidate.model for candidate in plan}
        found += [Explained(name, reason=reason) for name, reason in reasons.items() if name not in known]
        return found

    @staticmethod
    def _explained(
        candidate: PlanCandidate, asked: Facts, health: Health, place: int, firsts: dict[PlanCandidate, int]
    ) -> Explained:
        estimates = asked.estimates
        state = health.of(candidate)
        return Explained(
            model=candidate.model,
            provider=candidate.provider.name,
            upstream_model=candidate.upstream_model,
            place=place,
            reason=f"circuit_{state}" if state == "open" else "keys_resting" if state == "resting" else "",
            share=firsts.get(candidate, 0) / DRAWS,
            expected_cost_picousd=estimates.cost_picousd(asked, candidate),
            expected_output_tokens=estimates.output_tokens(asked, candidate),
            first_token_seconds=estimates.seconds(asked, candidate, "first_token"),
            total_seconds=estimates.seconds(asked, candidate, "total"),
            quality=candidate.quality_for(asked.task),
            health=state,
        )


def _chance(draw: int) -> Callable[[], float]:
    """The first number of each draw is spread evenly; what a node below asks for is independent of it."""
    first = [(draw + 0.5) / DRAWS]
    further = Random(draw).random  # noqa: S311 - chance, the same at every asking
    return lambda: first.pop() if first else further()


class Health:
    """The circuits and resting keys of a region, asked by candidate."""

    def __init__(self, told: config_pb2.Standings) -> None:
        self._circuits: dict[CandidateKey, dict[str, int]] = {
            standing.key_of(one): {circuit.key: circuit.state for circuit in one.circuits}
            for one in told.standings
        }
        self._resting = {(rest.tenant, rest.provider, rest.key) for rest in told.resting_keys}

    def of(self, candidate: PlanCandidate) -> str:
        """The best of its keys: one that works is enough."""
        circuits = self._circuits.get(candidate.identity)
        provider = candidate.provider
        if all((provider.tenant, provider.name, key) in self._resting for key in provider.keys):
            return "resting"
        if circuits is None:
            return "unknown"
        states = [circuits.get(key, config_pb2.CIRCUIT_STATE_CLOSED) for key in provider.keys]
        if config_pb2.CIRCUIT_STATE_CLOSED in states:
            return "closed"
        return "half_open" if config_pb2.CIRCUIT_STATE_HALF_OPEN in states else "open"
