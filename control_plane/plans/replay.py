"""Recorded calls through another policy: what they would have cost, and which model would have answered.

Two passes over the same records: the first learns what each model did, the second decides call by call with
the proxies' own tree, which learns speeds and lengths from the records as they came. Nobody is called.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from control_plane.plans.errors import NoSuchKey, NoSuchRoute, NotCallable
from control_plane.plans.history import OK, History
from control_plane.plans.model import PlanCandidate
from control_plane.plans.recorded import Recorded
from control_plane.plans.report import Report
from control_plane.plans.tree import EntryName, Tree, Trees
from headgate.policy.estimates import Estimates
from headgate.policy.facts import StatedFacts
from headgate.policy.nodes import Heat, Step, plain, targets_of
from headgate.rules.money import Tokens, cost_picousd
from headgate.v1 import config_pb2

SEED = 1
# What a policy routes and tokens price; the rest is left as it was.
OPERATIONS = ("chat.completions", "completions", "messages", "responses", "embeddings")
# Names a client may invent.
MAX_NAMES = 10_000

EntriesOf = Callable[[str], Mapping[EntryName, config_pb2.ConfigEntry]]


class Replay:
    """`entries_of`: the config as proxies of a region would get it."""

    def __init__(self, tenant: str, entries_of: EntriesOf, one_in: int) -> None:
        self._tenant = tenant
        self._entries_of = entries_of
        self._random = random.Random(SEED)  # noqa: S311 - chance that must repeat
        self._history = History(self._random.random)
        self._regions: dict[str, _Region] = {}
        self.report = Report(one_in=one_in)

    def learn(self, attempts: Iterable[Recorded]) -> None:
        """The first pass."""
        for attempt in attempts:
            self._history.add(attempt)

    def decide(self, attempts: Iterable[Recorded]) -> None:
        """The second pass, over the same attempts in the order of time."""
        for attempt in attempts:
            self.report.attempts += 1
            region = self._regions.get(attempt.region)
            if region is None:
                entries = self._entries_of(attempt.region)
                region = self._regions[attempt.region] = _Region(Trees(self._tenant, entries))
            region.now = attempt.time.timestamp()
            if attempt.final:
                self._call(attempt, region)
            elif attempt.operation in OPERATIONS and not isinstance(region.tree(attempt.route), str):
                self._pay(attempt)  # of a call whose final attempt is another one
            region.take(attempt)

    def _call(self, recorded: Recorded, region: _Region) -> None:
        report = self.report
        if recorded.operation not in OPERATIONS:
            report.skip(recorded.operation, "is not routed by tokens")
            return
        found = region.tree(recorded.route)
        if isinstance(found, str):
            report.skip(recorded.route, found)
            return
        report.calls += 1
        self._as_it_was(recorded)
        facts = StatedFacts(
            input_tokens=recorded.input_tokens or self._history.input_tokens(recorded.route),
            stream=recorded.stream,
            route=found.name,
            random=self._random.random,
            estimates=region.estimates,
            task=recorded.task or found.task,
            now=region.now,
            model=recorded.route,
            tenant=self._tenant,
            key=recorded.key,
            region=recorded.region,
            residency=region.trees.residency,
            user=recorded.user_name,
            session=recorded.session,
            metadata=recorded.metadata or {},
        )
        steps = found.node.plan(facts)
        if not steps:
            reason = ", ".join(sorted({why for _, why in facts.excluded})) or "its policy names nobody for it"
            report.nobody[reason] = report.nobody.get(reason, 0) + 1
            report.replayed.failed += 1
            return
        self._as_it_would_be(recorded, steps, facts.input_tokens)

    def _as_it_was(self, recorded: Recorded) -> None:
        account = self.report.recorded
        if recorded.client_status < 400 and recorded.outcome == OK:
            account.total_ms.append(recorded.request_latency_ms)
            if recorded.first_token_ms is not None:
                account.first_ms.append(recorded.first_token_ms)
        else:
            account.failed += 1
        self.report.model(recorded.model).recorded_calls += 1
        self._pay(recorded)

    def _pay(self, recorded: Recorded) -> None:
        account = self.report.recorded
        if recorded.cost_picousd is None:
            account.unpriced += 1
        else:
            account.cost_picousd += recorded.cost_picousd
            self.report.model(recorded.model).recorded_picousd += recorded.cost_picousd

    def _as_it_would_be(
        self, recorded: Recorded, steps: Sequence[Step[PlanCandidate]], input_tokens: int
    ) -> None:
        report = self.report
        first: PlanCandidate | None = None
        reaching = 1.0
        for step in steps:
            runners = targets_of((step,))
            first = first or runners[0]
            failing = 1.0
            for candidate in runners:
                share = self._failing_share(recorded, candidate)
                failing *= share
                cost = self._cost(recorded, candidate, input_tokens)
                if cost is None:
                    report.replayed.unpriced += reaching == 1.0
                    continue
                expected = round(cost * reaching * (1 - share))
                report.replayed.cost_picousd += expected
                report.model(candidate.model).replayed_picousd += expected
            reaching *= failing
        report.replayed.failed += reaching
        if first is None:
            return
        report.model(first.model).replayed_calls += 1
        report.moved += first.model != recorded.model
        self._time(recorded, steps[0], first)

    def _time(self, recorded: Recorded, step: Step[PlanCandidate], first: PlanCandidate) -> None:
        account = self.report.replayed
        if first.model == recorded.model and recorded.outcome == OK and not isinstance(plain(step), Heat):
            account.total_ms.append(recorded.request_latency_ms)
            if recorded.first_token_ms is not None:
                account.first_ms.append(recorded.first_token_ms)
            return
        drawn = []
        for candidate in targets_of((step,)):
            conduct = self._history.conduct(recorded.region, _key(candidate))
            times = conduct.times(recorded.stream).kept if conduct is not None else []
            if times:
                drawn.append(times[int(self._random.random() * len(times))])
        if not drawn:
            self.report.unmeasured += 1
            return
        first_ms, total_ms = min(drawn)
        account.total_ms.append(total_ms)
        if recorded.stream:
            account.first_ms.append(first_ms)

    def _failing_share(self, recorded: Recorded, candidate: PlanCandidate) -> float:
        conduct = self._history.conduct(recorded.region, _key(candidate))
        return conduct.failing_share if conduct is not None else 0.0

    def _cost(self, recorded: Recorded, candidate: PlanCandidate, input_tokens: int) -> int | None:
        was, now = (recorded.provider, recorded.upstream_model), _key(candidate)
        same = was == now
        ratio = 1.0 if same else self._history.output_ratio(recorded.route, now, was)
        tokens = Tokens(
            input=input_tokens,
            cache_read=recorded.cache_read_tokens if same else 0,
            output=round(recorded.output_tokens * ratio),
        )
        tier = recorded.service_tier if same else ""
        return cost_picousd(candidate.prices, tokens, recorded.unix_ms, tier, candidate.discount_ppm)


class _Region:
    """The tree of one region, and what its proxies would have learned by now."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self.now = 0.0
        self.estimates = Estimates(lambda: self.now)
        self._found: dict[str, Tree | str] = {}

    def tree(self, name: str) -> Tree | str:
        """Why there is none, as text."""
        found = self._found.get(name)
        if found is None:
            try:
                found = self.trees.find(name, "")
            except (NoSuchRoute, NoSuchKey):
                found = "is no route or model of this config"
            except NotCallable as error:
                found = error.why
            if len(self._found) < MAX_NAMES:
                self._found[name] = found
        return found

    def take(self, attempt: Recorded) -> None:
        """What a proxy learns of an answer."""
        if attempt.outcome != OK:
            return
        candidate = self.trees.model(attempt.model)
        if candidate is None or _key(candidate) != (attempt.provider, attempt.upstream_model):
            return
        first = attempt.first_token_ms
        self.estimates.answered(
            attempt.route,
            candidate,
            Tokens(attempt.input_tokens, attempt.cache_read_tokens, output=attempt.output_tokens),
            first_token_seconds=first / 1000 if first is not None else None,
            seconds=attempt.latency_ms / 1000,
        )


def _key(candidate: PlanCandidate) -> tuple[str, str]:
    return candidate.provider.name, candidate.upstream_model
