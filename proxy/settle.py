"""What an attempt was worth: tokens, money, record, receipt, metrics, log line.

Everything here is synchronous, so that neither a cancellation nor a slow peer can come between an
answer and its record (P4). A failed attempt is kept open until it is known whether another follows,
because the request's own figures hang on its last one.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from headgate.policy.estimates import Estimates
from headgate.rules.money import Tokens, cost_picousd, usd_text
from headgate.v1 import usage_pb2
from proxy.config.model import ProviderKey, Target
from proxy.dialects.asked import COUNTING, GENERATING, TEXTLESS
from proxy.dialects.bridge import MEDIA
from proxy.dialects.chat.usage import estimated_tokens, reported_picousd
from proxy.logs import Log
from proxy.receipts import Receipts
from proxy.upstream.failure import AttemptFailed
from proxy.usage.account import Account, Accounts, Labels
from proxy.usage.record import Recorder
from proxy.usage.spool import Spool, SpoolFull

if TYPE_CHECKING:
    from proxy.attempts import Attempt
    from proxy.call import Call

# Characters of a provider's word for it; a record must stay below the 64 KiB that are accepted of it.
MAX_SERVICE_TIER_LENGTH = 64
MAX_MODEL_LENGTH = 256
PASSTHROUGH = "passthrough"
# Native calls that cost nothing: what a batch or an answer has used is told again at every look at it.
MAKING_NOTHING = ("GET", "DELETE")
# From here on a provider says that it did not do what it was asked for.
REFUSED_STATUS = 400
# Outcomes of attempts that a provider may have worked on without saying what it used.
_STOPPED = (usage_pb2.OUTCOME_TIMEOUT, usage_pb2.OUTCOME_CANCELLED, usage_pb2.OUTCOME_RACE_LOST)
_OK = usage_pb2.OUTCOME_OK
_OUTCOME_NAMES = {value: name.removeprefix("OUTCOME_").lower() for name, value in usage_pb2.Outcome.items()}


class Settlement:
    def __init__(
        self,
        *,
        recorder: Recorder,
        accounts: Accounts,
        spool: Spool,
        receipts: Receipts,
        log: Log,
        estimates: Estimates,
    ) -> None:
        self._estimates = estimates
        self._recorder = recorder
        self._accounts = accounts
        self._receipts = receipts
        # Spools what is about to be sent. Raises SpoolFull.
        self.intent = recorder.intent
        self._log = log
        self.has_room = spool.has_room

    def account(self, call: Call, target: Target, provider_key: ProviderKey | None) -> Account:
        asked = call.asked
        options = call.options
        labels = None
        if options is not None:
            labels = Labels(options.user or asked.user, options.session, options.task, options.metadata)
        elif asked.user:
            labels = Labels(asked.user)
        if call.purpose:
            labels = replace(labels or Labels(), purpose=call.purpose)
        assignment = call.assignment
        return self._accounts.account(
            call.key,
            call.route,
            target,
            provider_key,
            asked.operation,
            asked.stream,
            labels,
            assignment,
            assignment is not None and not call.in_variant,
        )

    def close_previous(self, call: Call) -> None:
        """Another attempt follows: what failed before it was not the last. (What races goes on.)"""
        for attempt in call.attempts:
            if not attempt.settled and attempt.failure is not None:
                self._settle(call, attempt, final=False, client_status=0)

    def lost(self, call: Call, attempt: Attempt) -> None:
        """Another one won the race: stops the provider, keeps what it cost."""
        attempt.exchange.abort()
        if not attempt.settled:
            if attempt.failure is None:
                attempt.failure = AttemptFailed(
                    usage_pb2.REASON_RACE_LOST, outcome=usage_pb2.OUTCOME_RACE_LOST
                )
            self._settle(call, attempt, final=False, client_status=0)

    def close(self, call: Call, client_status: int) -> None:
        """The call is over; to be called before the client's last byte."""
        if not call.attempts:
            return
        attempt = call.attempts[-1]
        if not attempt.settled:
            self._settle(call, attempt, final=True, client_status=client_status)

    def abandon(self, call: Call) -> None:
        """The client left (or we failed): stop the provider, keep what it cost."""
        left = False
        for attempt in call.attempts:  # several where they raced
            attempt.exchange.abort()
            if attempt.settled:
                continue
            if attempt.failure is None:
                attempt.failure = _failure_when_left(attempt)
            if attempt.failure is not None and attempt.failure.reason == usage_pb2.REASON_CLIENT_LEFT:
                left = True
            last = attempt is call.attempts[-1]
            self._settle(call, attempt, final=last, client_status=(499 if left else 200) if last else 0)

    def overhead_seconds(self, call: Call) -> float:
        return max(0.0, time.monotonic() - call.started_at - call.upstream_seconds)

    def cost_text(self, call: Call) -> str:
        """`x-headgate-cost-usd`: the sum over the attempts, or `unpriced`."""
        return "unpriced" if call.cost_picousd is None else usd_text(call.cost_picousd)

    def _settle(self, call: Call, attempt: Attempt, *, final: bool, client_status: int) -> None:
        attempt.settled = True
        now = time.monotonic()
        exchange = attempt.exchange
        failure = attempt.failure
        tokens, estimated = _tokens_of(call, attempt)
        stated = False
        if failure is not None and not (tokens.input or tokens.output) and not _is_untold(call, attempt):
            cost: int | None = 0  # nothing was used
        else:
            cost, stated = _cost_of(call, attempt, tokens)
        rest = usage_pb2.UsageRecord(
            attempt_number=attempt.number,
            outcome=_OK if failure is None else failure.outcome,  # type: ignore[arg-type]
            status=exchange.status,
            started_ms=int((attempt.started_at - call.started_at) * 1000),
            latency_ms=int((now - attempt.started_at) * 1000),
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cost_picousd=cost,
        )
        if cost is None:
            call.cost_picousd = None
        elif call.cost_picousd is not None:
            call.cost_picousd += cost
        if failure is not None:
            rest.reason = failure.reason  # type: ignore[assignment]
            rest.status = rest.status or failure.status
        if final:
            rest.final = True
            rest.client_status = client_status
            rest.request_latency_ms = int((now - call.started_at) * 1000)
        if exchange.first_event_at is not None:
            rest.first_token_ms = int((exchange.first_event_at - attempt.started_at) * 1000)
        if tokens.cache_read:
            rest.cache_read_tokens = tokens.cache_read
        if tokens.reasoning:
            rest.reasoning_tokens = tokens.reasoning
        if tokens.cache_write_5m or tokens.cache_write_1h or tokens.audio_input or tokens.audio_output:
            rest.cache_write_5m_tokens = tokens.cache_write_5m
            rest.cache_write_1h_tokens = tokens.cache_write_1h
            rest.audio_input_tokens = tokens.audio_input
            rest.audio_output_tokens = tokens.audio_output
        if stated:
            rest.price_version = "stated by the provider"
        if estimated:
            rest.estimated = True
        if attempt.target is not attempt.account.target:
            # Native calls: which model it was stands in the answer.
            rest.upstream_model = attempt.target.upstream_model[:MAX_MODEL_LENGTH]
            rest.price_version = attempt.target.price_version
        if attempt.service_tier:
            rest.service_tier = attempt.service_tier[:MAX_SERVICE_TIER_LENGTH]
        upstream_id = exchange.headers.get(b"x-request-id") or exchange.headers.get(b"request-id")
        if upstream_id is not None:
            rest.upstream_request_id = upstream_id[:128].decode("latin-1")
        record = attempt.intent + rest.SerializeToString()
        call.records.append(record)
        try:
            self._recorder.final(record)
        except SpoolFull as full:
            # The intent is on disk: the attempt will be reported as unknown. Said, not silent (P5).
            request_id = call.request_id.hex()
            self._log.event("spool_full", request_id=request_id, attempt=attempt.number, reason=str(full))
        self._count(call, attempt, tokens, cost, now, client_status if final else 0)
        # Whom no figures chose is measured now and then: others may be chosen by them.
        if (
            failure is None
            and not call.purpose
            and call.asked.operation in GENERATING
            and (call.facts is not None or self._estimates.is_due(attempt.target, call.asked.stream))
        ):
            first = exchange.first_event_at
            self._estimates.answered(
                call.route.name,
                attempt.target,
                tokens,
                first_token_seconds=None if first is None else first - attempt.started_at,
                seconds=now - attempt.started_at,
            )
        if final and not call.purpose:
            self._receipts.add(call.request_id, call.records, call.excluded)

    def _count(
        self, call: Call, attempt: Attempt, tokens: Tokens, cost: int | None, now: float, client_status: int
    ) -> None:
        account = attempt.account
        series = account.series
        failure = attempt.failure
        name = "ok" if failure is None else _OUTCOME_NAMES[failure.outcome]
        series.outcomes[name] = series.outcomes.get(name, 0) + 1
        counts = series.tokens
        counts[0] += tokens.input
        counts[3] += tokens.output
        if tokens.cache_read or tokens.cache_write_5m or tokens.cache_write_1h or tokens.reasoning:
            counts[1] += tokens.cache_read
            counts[2] += tokens.cache_write_5m + tokens.cache_write_1h
            counts[4] += tokens.reasoning
        if cost is not None:
            series.cost_picousd += cost
        first = attempt.exchange.first_event_at
        if first is not None:
            series.first_token.add(first - attempt.started_at)
        if not client_status:
            return
        series.statuses[client_status] = series.statuses.get(client_status, 0) + 1
        seconds = now - call.started_at
        series.request.add(seconds)
        if first is None:
            series.overhead.add(seconds - call.upstream_seconds)
        if self._log.calls:
            self._log.line(
                b'{"time":%.3f,"event":"call","request_id":"%b",%b,"status":%d,"outcome":"%b",'
                b'"attempts":%d,"latency_ms":%d,"input_tokens":%d,"output_tokens":%d,"cost_picousd":%b}'
                % (
                    time.time(),
                    call.request_id.hex().encode(),
                    account.log,
                    client_status,
                    name.encode(),
                    len(call.attempts),
                    seconds * 1000,
                    tokens.input,
                    tokens.output,
                    b"null" if cost is None else b"%d" % cost,
                )
            )


def _failure_when_left(attempt: Attempt) -> AttemptFailed | None:
    """What an attempt is when its client leaves before the end: SDKs close on an error event, and some
    on the finish, so what the provider had said by then decides."""
    stream = attempt.exchange.stream
    if stream is not None and stream.error is not None:
        return stream.error
    if stream is not None and stream.finished and stream.usage is not None:
        return None
    return AttemptFailed(usage_pb2.REASON_CLIENT_LEFT, outcome=usage_pb2.OUTCOME_CANCELLED)


def _is_untold(call: Call, attempt: Attempt) -> bool:
    """A native call that its provider took, and of whose usage nothing came before it broke off."""
    if call.asked.operation != PASSTHROUGH or attempt.usage is not None:
        return False
    exchange = attempt.exchange
    return exchange.was_sent and not exchange.stale and exchange.status < REFUSED_STATUS


def _cost_of(call: Call, attempt: Attempt, tokens: Tokens) -> tuple[int | None, bool]:
    """(pico-dollars, whether the provider itself stated them); None: unpriced."""
    target = attempt.target
    operation = call.asked.operation
    if operation in COUNTING:
        return 0, False
    if operation == PASSTHROUGH and attempt.usage is None:
        # What changes nothing costs nothing; whether the rest does, nobody said.
        return (0 if call.request.method in MAKING_NOTHING else None), False
    if attempt.usage is None and operation.startswith(MEDIA) and not any(p.request for p in target.prices):
        return None, False  # a price per token, and no tokens told: unknown, not nothing
    usage = attempt.usage
    if usage is not None and (target.stated_cost_counts or not target.prices):
        cost = reported_picousd(usage)
        if cost is not None:
            return cost, True
    cost = cost_picousd(target.prices, tokens, attempt.unix_ms, attempt.service_tier, target.discount_ppm)
    return cost, False


def _tokens_of(call: Call, attempt: Attempt) -> tuple[Tokens, bool]:
    """Counts of an attempt, and whether they are (partly) a guess."""
    exchange = attempt.exchange
    stream = exchange.stream
    if call.asked.operation in COUNTING:
        return Tokens(), False
    if stream is not None:
        attempt.usage = attempt.usage or stream.usage
        attempt.service_tier = attempt.service_tier or stream.service_tier
    if attempt.usage is None and call.asked.operation == PASSTHROUGH:
        return Tokens(), False  # files, lists: nothing that is counted in tokens
    failure = attempt.failure
    events = stream.events if stream is not None else 0
    if attempt.usage is not None:
        tokens, mended = attempt.bridge.tokens_of(attempt.usage)
        if failure is not None and stream is not None and not stream.finished:
            # Anthropic and Gemini tell the input first and all of the output at an end that never came.
            tokens.output = max(tokens.output, events)
            mended = True
        return tokens, mended
    if call.asked.operation.startswith(MEDIA):
        return Tokens(), True  # a picture's bytes say nothing about its tokens
    if failure is None:
        size = len(exchange.body) // 4 if stream is None else events
        if call.asked.operation in TEXTLESS:
            size = 0
        return estimated_tokens(len(call.asked.body), size), True
    sent_and_unanswered = failure.outcome in _STOPPED
    if events or (sent_and_unanswered and exchange.was_sent):
        return estimated_tokens(len(call.asked.body), events), True
    return Tokens(), False
