"""Calls that no client waits for: a request run through a plan, to its whole answer.

They go the way of any call (residency, keys, translation, fallbacks, a usage record per attempt) but leave no
trace in what decides about clients' calls: no circuit opens, no key rests, no speed or length is learned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headgate.policy.estimates import Estimates
from headgate.policy.facts import Assignment, RequestFacts
from headgate.policy.nodes import Node, first_target
from headgate.v1 import usage_pb2
from proxy.call import Call
from proxy.config.model import ProviderKey, Route, Step, Target, Timeouts
from proxy.errors import CallError
from proxy.ids import Ids
from proxy.judging.budget import Budget, Purse
from proxy.overheard import Overheard
from proxy.policy.health import Health
from proxy.resume import pump

if TYPE_CHECKING:
    from proxy.attempts import Attempts
    from proxy.dialects.asked import Asked
    from proxy.settle import Settlement

TOTAL_SECONDS = 120.0


class NotAnswered(Exception):
    """`outcome`: over_budget, failed or timeout."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer in the dialect of its request."""

    request_id: bytes
    operation: str
    body: bytes
    streamed: bool
    # Who answered it in the end, as the config calls it.
    model: str


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be asked beside a call, and who pays for it."""

    asked: Asked
    node: Node[Target]
    # As records and `usage` name it.
    route: str
    variant: str
    purpose: usage_pb2.Purpose
    purse: Purse
    max_picousd: int | None


class Onlooker(Health):
    """Sees how models stand, and changes nothing about it."""

    def __init__(self, health: Health) -> None:
        self.passes = health.passes  # type: ignore[method-assign]
        self.passes_key = health.passes_key  # type: ignore[method-assign]

    def tried(self, target: Target, key: ProviderKey | None) -> None: ...

    def stopped(self, target: Target, key: ProviderKey | None) -> None: ...

    def began(self, target: Target, key: ProviderKey | None) -> None: ...

    def succeeded(self, target: Target, key: ProviderKey | None) -> None: ...

    def failed(self, target: Target, key: ProviderKey | None) -> None: ...


class Aside:
    def __init__(
        self,
        *,
        attempts: Attempts,
        settlement: Settlement,
        estimates: Estimates,
        budget: Budget,
        ids: Ids,
        random: Callable[[], float],
    ) -> None:
        self._attempts = attempts
        self._settlement = settlement
        self._estimates = estimates
        self._budget = budget
        self._ids = ids
        self._random = random

    async def run(self, beside: Call, errand: Errand) -> Answered:
        """Raises NotAnswered."""
        call, plan = self._call(beside, errand)
        expected = self._expected(call, plan)
        if not self._settlement.has_room():
            raise NotAnswered("failed")
        if not self._budget.take(errand.purse, errand.max_picousd, expected):
            raise NotAnswered("over_budget")
        try:
            body = await self._answer(call, plan)
        except CallError as error:
            raise NotAnswered("timeout" if error.code == "upstream_timeout" else "failed") from None
        except BaseException:
            self._settlement.abandon(call)
            raise
        finally:
            self._settlement.close(call, 0)
            self._budget.settle(errand.purse, expected, call.cost_picousd)
        model = call.attempts[-1].target.model
        return Answered(call.request_id, call.asked.operation, body, call.asked.stream, model)

    def _call(self, beside: Call, errand: Errand) -> tuple[Call, Sequence[Step]]:
        request_id = self._ids.new()
        asked, before = errand.asked, beside.facts
        if before is None or before.experiment is None:
            raise ValueError("the call is of no experiment")
        facts = RequestFacts(
            asked,
            route=errand.route,
            random=self._random,
            estimates=self._estimates,
            task=before.task,
            model=asked.model,
            tenant=before.tenant,
            key=before.key,
            region=before.region,
            residency=before.residency,
            user=before.user,
            session=before.session,
            metadata=before.metadata,
            request_id=request_id.hex(),
        )
        plan = errand.node.plan(facts)
        # An experiment inside of the variant is not the one that this was made for.
        facts.assignments = [Assignment(before.experiment.name, errand.variant)]
        facts.experiment, facts.judged = None, False
        timeouts = replace(beside.route.timeouts, total_seconds=TOTAL_SECONDS)
        now = time.monotonic()
        call = Call(
            beside.request,
            request_id,
            now,
            beside.snapshot,
            beside.key,
            asked,
            Route(errand.route, errand.node, beside.route.task, timeouts=timeouts),
            # A receipt would change how its stream ends.
            replace(beside.options, inline_receipt=False) if beside.options is not None else None,
            now + min(timeouts.total_seconds, Timeouts().total_seconds),
            facts,
            facts.excluded,
            purpose=errand.purpose,
        )
        return call, plan

    def _expected(self, call: Call, plan: Sequence[Step]) -> int | None:
        if not plan or call.facts is None:
            return 0
        return self._estimates.cost_picousd(call.facts, first_target(plan))

    async def _answer(self, call: Call, plan: Sequence[Step]) -> bytes:
        attempt = await self._attempts.answer(call, plan)
        exchange = attempt.exchange
        if not exchange.streaming:
            return attempt.whole.body if attempt.whole is not None else exchange.body
        listener = Overheard()
        await pump(exchange, listener, listener)
        attempt.failure = exchange.failure
        if attempt.failure is not None or listener.data is None:
            raise NotAnswered("failed")
        return listener.data
