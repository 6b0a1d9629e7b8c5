"""From a plan to an answer: which target next, with which provider key, and when to give up.

Retries connection errors, timeouts, 408, 429 and 5xx; never a 400. Retry-After is obeyed, or the next
target taken if that is sooner. Until a stream's first real event everything can still fail over.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headgate.policy.estimates import Estimates
from headgate.policy.facts import prefix_of
from headgate.policy.nodes import Arm, Heat, plain, targets_of
from headgate.v1 import usage_pb2
from proxy.config.model import ProviderKey, Step, Target
from proxy.dialects.bridge import Bridge, Whole
from proxy.dialects.choose import bridge_for
from proxy.dialects.neutral.request import Unsupported
from proxy.errors import CallError, spool_is_full
from proxy.exhausted import all_failed, resting, unsupported
from proxy.ids import Ids
from proxy.policy.health import Health
from proxy.policy.keys import asked_to_wait, choose_key, rest
from proxy.racing import race
from proxy.upstream.deadlines import Deadlines
from proxy.upstream.exchange import Exchange
from proxy.upstream.failure import AttemptFailed
from proxy.upstream.requests import UpstreamRequests
from proxy.usage.account import Account
from proxy.usage.spool import SpoolFull

if TYPE_CHECKING:
    from proxy.call import Call
    from proxy.dialects.asked import Asked
    from proxy.settle import Settlement

# First wait before another try at the same target; doubled each time, with full jitter on half of it.
BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 2.0
# A stream without a word for so long, and for so many times what nine of ten calls take, hangs.
HANGS_SECONDS = 10.0
HANGS_RATIO = 4.0
# Longest Retry-After that a call sits out; beyond it the client is told instead.
MAX_WAIT_SECONDS = 10.0


@dataclass(slots=True)
class Attempt:
    """One upstream call: what was sent where, and what became of it."""

    number: int
    id: bytes
    target: Target
    provider_key: ProviderKey | None
    account: Account
    intent: bytes
    bridge: Bridge
    exchange: Exchange
    started_at: float
    unix_ms: int
    failure: AttemptFailed | None = None
    # Of a whole answer, once it is there.
    whole: Whole | None = None
    usage: dict[str, object] | None = None
    service_tier: str = ""
    settled: bool = False
    # The end of its stream has counted for or against the model.
    end_counted: bool = False


class Attempts:
    def __init__(
        self,
        *,
        requests: UpstreamRequests,
        deadlines: Deadlines,
        settlement: Settlement,
        ids: Ids,
        random: Callable[[], float],
        health: Health,
        estimates: Estimates,
    ) -> None:
        self._health = health
        self._estimates = estimates
        self._requests = requests
        self._deadlines = deadlines
        self._settlement = settlement
        self._ids = ids
        self._random = random
        self._loop = asyncio.get_running_loop()

    async def answer(self, call: Call, plan: Sequence[Step]) -> Attempt:
        """The attempt that answered (a stream: that began). Raises CallError when none does.

        Steps whose circuits are open come after all others: an ejection never empties the set.
        """
        failures: list[tuple[Target, AttemptFailed]] = []
        steps = deque(plan)
        later: list[Step] = []
        while steps or later:
            if not steps:
                steps.extend(later)
                later = []
                second_round = True
            else:
                second_round = False
            step = steps.popleft()
            if call.attempts and not self._in_time(call, step):
                continue
            if not second_round and (steps or later) and not self._passes(step):
                call.excluded += [(target.model, "circuit_open") for target in targets_of((step,))]
                later.append(step)
                continue
            last = not steps and not later
            asked = call.asked_of(step)
            call.in_variant = isinstance(step, Arm)
            inner = plain(step)
            if isinstance(inner, Heat):
                attempt = await self._race(call, asked, inner, failures)
            else:
                attempt = await self._step(call, asked, inner, last, failures)
            if attempt is not None:
                call.rest = [*steps, *later]
                return attempt
            if failures and failures[-1][1].reason == usage_pb2.REASON_CONTEXT_LENGTH:
                steps = deque(step for step in steps if _holds_more(step, failures[-1][0]))
                later = [step for step in later if _holds_more(step, failures[-1][0])]
        raise all_failed(call, failures)

    async def after_cut(self, call: Call) -> Attempt | None:
        """A stream broke off: whoever of its plan answers next; None: nobody is left."""
        self.ended(call.attempts[-1])
        rest, call.rest = call.rest, []
        try:
            return await self.answer(call, rest) if rest else None
        except CallError:
            return None  # what the client is told is that its stream broke off

    def ended(self, attempt: Attempt) -> None:
        """A stream has ended: well, badly, or because its client left, having waited for it in vain."""
        if attempt.end_counted:
            return
        if not attempt.exchange.streaming:
            if self._hangs(attempt):
                attempt.end_counted = True
                self._health.failed(attempt.target, attempt.provider_key)
            return
        attempt.end_counted = True
        if attempt.failure is None:
            self._health.succeeded(attempt.target, attempt.provider_key)
        elif attempt.failure.against_model:
            self._health.failed(attempt.target, attempt.provider_key)

    def _hangs(self, attempt: Attempt) -> bool:
        """Its client gave up before the first token, later than any model should take for it.

        Whole answers take as long as they are: of those it is not known.
        """
        exchange, failure = attempt.exchange, attempt.failure
        if exchange.stream is None or not exchange.was_sent:
            return False
        if failure is None or failure.reason != usage_pb2.REASON_CLIENT_LEFT:
            return False
        usual = self._estimates.slow_seconds(attempt.target, True)
        return time.monotonic() - attempt.started_at > max(HANGS_SECONDS, HANGS_RATIO * usual)

    def _in_time(self, call: Call, step: Step) -> bool:
        """Whether an answer can still come before the call's time is up, as far as one can know."""
        left = call.deadline - time.monotonic()
        if left <= 0:
            return False
        late = [
            target
            for target in targets_of((step,))
            if self._estimates.first_seconds(target, call.asked.stream) > left
        ]
        if len(late) < len(targets_of((step,))):
            return True
        call.excluded += [(target.model, "too_slow_for_deadline") for target in late]
        return False

    def _passes(self, step: Step) -> bool:
        inner = plain(step)
        if isinstance(inner, Heat):
            return any(self._health.passes(target) for target in inner.targets)
        return self._health.passes(inner)

    async def _step(
        self,
        call: Call,
        asked: Asked,
        target: Target,
        last: bool,
        failures: list[tuple[Target, AttemptFailed]],
    ) -> Attempt | None:
        """One target, as far as it can be asked at all. `asked`: the request as this step puts it."""
        if not may_ask(call, target):
            return None
        try:
            bridge = bridge_for(asked, target, call.request_id, hold_end=call.inline_receipt)
        except Unsupported as reason:
            failures.append((target, unsupported(target, reason)))
            return None
        return await self._try_target(call, target, bridge, last, failures)

    async def _race(
        self, call: Call, asked: Asked, heat: Heat[Target], failures: list[tuple[Target, AttemptFailed]]
    ) -> Attempt | None:
        async def run(target: Target) -> Attempt | None:
            return await self._step(call, asked, target, False, failures)

        winner = await race(call, heat, run, self._settlement, self._estimates, failures)
        for attempt in call.attempts:
            if attempt.failure is not None and attempt.failure.reason == usage_pb2.REASON_RACE_LOST:
                self._health.stopped(attempt.target, attempt.provider_key)
        return winner

    async def _try_target(
        self,
        call: Call,
        target: Target,
        bridge: Bridge,
        last_target: bool,
        failures: list[tuple[Target, AttemptFailed]],
    ) -> Attempt | None:
        """The attempt that answered; None when this target did not, and then `failures` says why."""
        tries = call.route.attempts_per_target
        for number in range(tries):
            key, resting_seconds = choose_key(target, self._health)
            if resting_seconds > 0:
                if not last_target or not self._may_wait(call, resting_seconds):
                    if not number:  # else the provider's own 429 stands there already
                        failures.append((target, resting(resting_seconds)))
                    return None
                await asyncio.sleep(resting_seconds)
            attempt = await self._attempt(call, target, bridge, key)
            failure = attempt.failure
            if failure is None:
                if attempt.exchange.streaming:
                    self._health.began(target, key)
                else:
                    self._health.succeeded(target, key)
                return attempt
            failures.append((target, failure))
            if not call.purpose:
                rest(key, failure)
            if failure.against_model:
                self._health.failed(target, key)
            if failure.reason == usage_pb2.REASON_CONTEXT_LENGTH:
                return None
            if failure.fatal:
                raise all_failed(call, failures)
            limited = failure.status == 429
            more_keys = len(target.provider.keys) > 1
            if not more_keys and (failure.key_rejected or (limited and not last_target)):
                return None
            if failure.key_rejected or (limited and key is not None):
                continue  # with another key, or with this one when it has rested
            if not failure.retryable:
                return None
            if number + 1 < tries:
                if not last_target and not self._health.passes(target):
                    return None  # its circuit is open by now, and others are left
                backoff = min(BACKOFF_SECONDS * 2**number, MAX_BACKOFF_SECONDS)
                backoff *= 0.5 + 0.5 * self._random()
                wait = max(backoff, asked_to_wait(failure))
                # The next target is sooner than a provider that asks for more than our own pause.
                if not self._may_wait(call, wait) or (not last_target and wait > backoff):
                    return None
                await asyncio.sleep(wait)
        return None

    async def _attempt(self, call: Call, target: Target, bridge: Bridge, key: ProviderKey | None) -> Attempt:
        """One upstream call, up to its answer, its first real event, or its failure."""
        attempt = self._begin(call, target, bridge, key)
        exchange, now = attempt.exchange, attempt.started_at
        waits = exchange.stream is not None and not call.purpose
        waiting = self._estimates.waiting(target) if waits else None
        if waiting is not None:
            waiting[attempt.id] = now
        try:
            connect_seconds = min(call.route.timeouts.connect_seconds, max(call.deadline - now, 0.001))
            await self._requests.send(exchange, target, key, bridge, attempt.id, connect_seconds)
            if not exchange.ready.done():
                await exchange.ready
            if exchange.stale and exchange.failure is not None:
                exchange = attempt.exchange = self._again(call, exchange, bridge)
                await self._requests.send(
                    exchange, target, key, bridge, attempt.id, connect_seconds, fresh=True
                )
                await exchange.ready
            attempt.failure = exchange.failure if not exchange.streaming else None
            if attempt.failure is None and not exchange.streaming:
                attempt.whole = whole = bridge.whole(exchange.body)
                attempt.usage, attempt.service_tier = whole.usage, whole.service_tier
        except AttemptFailed as failure:
            attempt.failure = failure
        finally:
            call.upstream_seconds += time.monotonic() - now
            if waiting is not None:
                del waiting[attempt.id]
            if not exchange.streaming:
                self._deadlines.discard(exchange)
        return attempt

    def _begin(self, call: Call, target: Target, bridge: Bridge, key: ProviderKey | None) -> Attempt:
        """The attempt with its intent on disk. Raises CallError when there is no room for it."""
        settlement = self._settlement
        settlement.close_previous(call)
        now = time.monotonic()
        timeouts = call.route.timeouts
        exchange = Exchange(
            self._loop,
            bridge.stream(),
            total_deadline=call.deadline,
            first_token_seconds=timeouts.first_token_seconds,
            idle_seconds=timeouts.idle_seconds,
            hold_whole=call.route.hold_whole,
        )
        attempt_id = self._ids.new()
        try:
            account = settlement.account(call, target, key)
            intent = settlement.intent(attempt_id, call.request_id, account.record)
        except SpoolFull:
            raise spool_is_full() from None
        attempt = Attempt(
            number=len(call.attempts) + 1,
            id=attempt_id,
            target=target,
            provider_key=key,
            account=account,
            intent=intent,
            bridge=bridge,
            exchange=exchange,
            started_at=now,
            unix_ms=time.time_ns() // 1_000_000,
        )
        call.attempts.append(attempt)
        self._deadlines.add(exchange)
        self._health.tried(target, key)
        if not call.purpose:  # what is asked in the background leaves no trace in routing
            self._estimates.sent(target, prefix_of(call.asked.body))
        return attempt

    async def native(self, call: Call, target: Target, bridge: Bridge, head: bytes) -> Attempt:
        """One attempt whose body the caller sends: the request is out, the answer not yet awaited."""
        key, resting_seconds = choose_key(target, self._health)
        if resting_seconds > 0:
            raise all_failed(call, [(target, resting(resting_seconds))])
        attempt = self._begin(call, target, bridge, key)
        # Uploads take their time: what is due is the whole call.
        attempt.exchange.first_token_deadline = call.deadline
        try:
            await self._requests.send_native(
                attempt.exchange, target, key, attempt.id, head, call.route.timeouts.connect_seconds
            )
        except AttemptFailed as failure:
            attempt.failure = failure
            self._deadlines.discard(attempt.exchange)
            raise all_failed(call, [(target, failure)]) from None
        except BaseException:
            self._deadlines.discard(attempt.exchange)
            raise
        return attempt

    def _again(self, call: Call, stale: Exchange, bridge: Bridge) -> Exchange:
        """The same exchange anew, its deadlines unchanged."""
        self._deadlines.discard(stale)
        exchange = Exchange(
            self._loop,
            bridge.stream(),
            total_deadline=stale.total_deadline,
            first_token_seconds=0.0,
            idle_seconds=stale.idle_seconds,
            hold_whole=call.route.hold_whole,
        )
        exchange.first_token_deadline = stale.first_token_deadline
        self._deadlines.add(exchange)
        return exchange

    def _may_wait(self, call: Call, seconds: float) -> bool:
        return seconds <= MAX_WAIT_SECONDS and time.monotonic() + seconds < call.deadline


def may_ask(call: Call, target: Target) -> bool:
    """The last word before anything leaves: a plan that was made wrongly must not take a prompt abroad."""
    provider = target.provider
    residency = call.key.residency
    return not (target.disabled or provider.disabled or (residency and provider.region not in residency))


def _holds_more(step: Step, target: Target) -> bool:
    """Whether a longer prompt than this target's fits; what nobody declared may."""
    found = targets_of((step,))
    return any(not t.context_window or t.context_window > target.context_window for t in found)
