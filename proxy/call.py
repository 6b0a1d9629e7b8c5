"""The way of one call. Read top to bottom: each stage is one call into one module.

authenticate → read and parse → resolve the route → plan → attempt(s) → relay → settle → record.
Nothing here waits but for the client's body and for the provider; cancellation (the client left) is a
normal path, and what it cost is recorded without awaiting anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headgate.policy.estimates import Estimates
from headgate.policy.facts import Assignment, Facts, RequestFacts
from headgate.policy.nodes import Arm, targets_of, within
from headgate.v1 import usage_pb2
from proxy.attempts import Attempt, Attempts
from proxy.auth import Authenticator
from proxy.config.model import Key, Route, Snapshot, Step
from proxy.config.resolve import resolve
from proxy.dialects.asked import COUNTING, Asked
from proxy.dialects.varied import varied
from proxy.errors import CallError, internal, spool_is_full, unavailable
from proxy.http.asking import read_request
from proxy.http.options import Options, options_of
from proxy.http.request import Request
from proxy.http.responses import Raw, Streamed, error_response, json_response
from proxy.ids import Ids
from proxy.logs import Log
from proxy.metrics import Metrics
from proxy.overheard import Overheard
from proxy.read_on import ReadOn
from proxy.relay import left_out_text, relay_stream, whole_answer
from proxy.settle import Settlement

if TYPE_CHECKING:
    from proxy.judging.background import Background

_NOTHING_SAID = Options()
# From here on it was not the client's fault.
SERVER_ERROR = 500
# How long a client is asked to wait when we cannot serve yet.
RETRY_AFTER_SECONDS = 2


@dataclass(slots=True, eq=False)
class Call:
    """Everything known about one call while it lasts."""

    request: Request
    request_id: bytes
    # Monotonic seconds, as all times here.
    started_at: float
    snapshot: Snapshot
    key: Key
    asked: Asked
    route: Route
    options: Options | None
    # By when the whole call must be answered.
    deadline: float
    # What its policy was told; None where nothing depended on it.
    facts: Facts | None = None
    # (model, reason) of who was not asked, or only after the others.
    excluded: list[tuple[str, str]] = field(default_factory=list)
    # Steps of its plan that were not needed so far.
    rest: Sequence[Step] = ()
    attempts: list[Attempt] = field(default_factory=list)
    # The step under way is one of the variant that the call was assigned to.
    in_variant: bool = False
    # Serialised final records, in order.
    records: list[bytes] = field(default_factory=list)
    # Seconds spent waiting for providers.
    upstream_seconds: float = 0.0
    # Sum over the settled attempts; None as soon as one of them is unpriced.
    cost_picousd: int | None = 0
    # Anything but a client's call runs in the background, and nobody waits for it.
    purpose: usage_pb2.Purpose = usage_pb2.PURPOSE_UNSPECIFIED
    # What the client of a judged stream was sent.
    heard: Overheard | None = None

    @property
    def assignment(self) -> Assignment | None:
        """Of the first experiment that its policy met: the outer one, where one stands in another."""
        return self.facts.assignments[0] if self.facts is not None and self.facts.assignments else None

    def asked_of(self, step: Step) -> Asked:
        """The request as a step puts it to its targets: an experiment's variant may change it."""
        asked = self.asked
        while isinstance(step, Arm):
            variant = step.variant
            if variant.changes:
                asked = varied(asked, variant.system, dict(variant.parameters))
            step = step.step
        return asked

    @property
    def wants_json(self) -> bool:
        return self.facts is not None and self.facts.wants_json

    @property
    def inline_receipt(self) -> bool:
        return self.options is not None and self.options.inline_receipt


class Calls:
    """Handles calls under whatever snapshot is current when they begin."""

    def __init__(
        self,
        *,
        snapshot: Callable[[], Snapshot | None],
        authenticator: Authenticator,
        attempts: Attempts,
        settlement: Settlement,
        metrics: Metrics,
        log: Log,
        ids: Ids,
        random: Callable[[], float],
        estimates: Estimates,
        region: str,
        background: Background,
        read_on: ReadOn,
    ) -> None:
        self._background = background
        self._read_on = read_on
        self._region = region
        self._estimates = estimates
        self._snapshot = snapshot
        self._authenticator = authenticator
        self._attempts = attempts
        self._settlement = settlement
        self._metrics = metrics
        self._log = log
        self._ids = ids
        self._random = random

    async def handle(self, request: Request, operation: str) -> Raw | Streamed:
        """Answers one call; every error becomes an answer in the client's dialect."""
        started_at = time.monotonic()
        request_id = self._ids.new()
        call: Call | None = None
        self._metrics.inflight += 1
        try:
            snapshot, key = self.authenticate(request)
            if not self._settlement.has_room():
                raise spool_is_full()
            asked = read_request(request, operation)
            options = options_of(request)
            route = resolve(snapshot, key, asked.model)
            plan: Sequence[Step] | None = route.fixed_plan
            facts: Facts | None = None
            max_picousd = options.max_picousd if options is not None else None
            if plan is None or max_picousd is not None or key.residency:
                facts = self._facts(request_id, key, route, asked, options)
                plan = route.node.plan(facts)
                if max_picousd is not None:
                    plan = _affordable(plan, facts, max_picousd)
            total_seconds = route.timeouts.total_seconds
            if options is not None and options.timeout_seconds is not None:
                total_seconds = min(total_seconds, options.timeout_seconds)
            call = Call(
                request,
                request_id,
                started_at,
                snapshot,
                key,
                asked,
                route,
                options,
                started_at + total_seconds,
                facts,
                facts.excluded if facts is not None else [],
            )
            if operation in COUNTING and (estimate := self._estimate(asked, plan)) is not None:
                return json_response(estimate, request_id.hex())
            attempt = await self._attempts.answer(call, plan)
            if attempt.exchange.streaming:
                response = await relay_stream(call, attempt, self._settlement, self._attempts.after_cut)
                self._attempts.ended(call.attempts[-1])
                if facts is not None and facts.experiment is not None:
                    self._streamed(call)
                return response
            answer = whole_answer(call, attempt, self._settlement)
            if facts is not None and facts.experiment is not None and attempt.whole is not None:
                self._background.answered(call, attempt.whole.body, streamed=asked.stream)
            return answer
        except CallError as error:
            if call is not None and error.status >= SERVER_ERROR:
                self._background.not_answered(call)
            return self._refused(request, request_id, call, error)
        except BaseException as error:
            # The client left, or we have a bug: whatever it is, the attempt is accounted for.
            if call is not None:
                self._read_on.left(call)
            if not isinstance(error, Exception) or isinstance(error, ConnectionError):
                raise
            self._log.event("internal_error", request_id=request_id.hex(), error=type(error).__name__)
            if request.response_begun:
                raise ConnectionAbortedError("the answer cannot be finished") from error
            return self._refused(request, request_id, call, internal())
        finally:
            self._metrics.inflight -= 1

    def _facts(
        self, request_id: bytes, key: Key, route: Route, asked: Asked, options: Options | None
    ) -> Facts:
        said = options or _NOTHING_SAID
        return RequestFacts(
            asked,
            route=route.name,
            random=self._random,
            estimates=self._estimates,
            task=said.task or route.task,
            model=asked.model,
            tenant=key.tenant,
            key=key.name,
            region=self._region,
            residency=key.residency,
            user=said.user or asked.user,
            session=said.session,
            metadata=key.metadata + said.metadata,
            request_id=request_id.hex(),
            forced_variant=said.variant,
        )

    def _streamed(self, call: Call) -> None:
        """A stream of an experiment has ended, well or badly."""
        if call.attempts[-1].failure is not None:
            self._background.not_answered(call)
        else:
            heard = call.heard.data if call.heard is not None else b""
            self._background.answered(call, heard, streamed=True)

    @staticmethod
    def _estimate(asked: Asked, plan: Sequence[Step]) -> dict[str, Any] | None:
        """The count where nobody counts for this model; None: its provider does."""
        from proxy.dialects.counting import uncounted  # see `choose.py`

        return uncounted(asked, targets_of(plan))

    def authenticate(self, request: Request) -> tuple[Snapshot, Key]:
        snapshot = self._snapshot()
        if snapshot is None:
            raise unavailable("This proxy has no configuration yet.", RETRY_AFTER_SECONDS)
        return snapshot, self._authenticator.authenticate(snapshot, request.credential(), request)

    def _refused(self, request: Request, request_id: bytes, call: Call | None, error: CallError) -> Raw:
        headers: dict[str, str] = {}
        if call is None:
            self._metrics.refuse(error.code)
        else:
            self._settlement.close(call, error.status)
            overhead_ms = self._settlement.overhead_seconds(call) * 1000
            headers = {
                "x-headgate-route": call.route.name,
                "x-headgate-attempts": str(len(call.attempts)),
                "x-headgate-cache": "off",
                "x-headgate-overhead-ms": f"{overhead_ms:.2f}",
            }
            if call.assignment is not None:
                headers["x-headgate-experiment"] = call.assignment.label
            if call.attempts:
                headers["x-headgate-model"] = call.attempts[-1].target.label
                headers["x-headgate-cost-usd"] = self._settlement.cost_text(call)
                left_out = call.attempts[-1].bridge.left_out
                if left_out:
                    headers["x-headgate-left-out"] = left_out_text(left_out)
        return error_response(error, request, request_id.hex(), headers)


def _affordable(plan: Sequence[Step], facts: Facts, max_picousd: int) -> Sequence[Step]:
    """Raises CallError where the client's ceiling leaves nobody."""
    found = within(plan, facts, max_picousd)
    if plan and not found:
        raise CallError(
            400,
            "no_capable_model",
            f"No model of route {facts.route!r} is priced and expected to answer within the "
            "'x-headgate-max-cost-usd' of this request: raise it, or lower `max_tokens`.",
            "x-headgate-max-cost-usd",
        )
    return found
