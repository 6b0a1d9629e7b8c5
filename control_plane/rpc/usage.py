"""Usage over gRPC: reports, recent calls, one call, calls as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.errors import InvalidField
from control_plane.rpc import convert, pages
from control_plane.tokens.model import Principal
from control_plane.usage import calls, partitions, query
from control_plane.usage.errors import CallNotFound
from control_plane.usage.model import Attempt, Call, UsageRow
from control_plane.usage.tail import Tail
from headgate.rules.money import usd_text
from headgate.v1 import admin_pb2

DEFAULT_WINDOW = timedelta(hours=24)
DEFAULT_ROWS, MAX_ROWS = 1_000, 10_000
DEFAULT_CALLS, MAX_CALLS = 50, 1_000
# A record's time comes from a proxy's clock, which may be ahead of ours.
AHEAD = timedelta(hours=2)


class UsageCalls:
    def __init__(
        self, database: Database, tail: Tail, retention_days: int, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._tail = tail
        self._retention_days = retention_days
        self._now = now

    async def query_usage(
        self, request: admin_pb2.QueryUsageRequest, caller: Principal
    ) -> admin_pb2.QueryUsageResponse:
        size = pages.page_size(request.page_size, DEFAULT_ROWS, MAX_ROWS)
        if request.page_token:
            start, end, after = _report_place(request)
        else:
            (start, end), after = self._window(request), None
        if request.tenant and not caller.sees(request.tenant):
            return admin_pb2.QueryUsageResponse()
        tenant = request.tenant or caller.tenant
        kept_from = partitions.kept_from(self._now(), self._retention_days)
        question = query.Question(tuple(request.by), start, end, tenant, size, kept_from, after)
        rows, last = await self._database.read(lambda session: query.ask(session, question))
        answer = admin_pb2.QueryUsageResponse(rows=[_usage_row(row) for row in rows])
        if last is not None:
            moments = (moment.astimezone(UTC).isoformat() for moment in (start, end, last.as_of))
            answer.next_page_token = pages.encode(
                *moments, last.below_picousd, last.below_attempts, *last.group
            )
        return answer

    async def list_calls(
        self, request: admin_pb2.ListCallsRequest, caller: Principal
    ) -> admin_pb2.ListCallsResponse:
        start, end = self._window(request)
        size = pages.page_size(request.page_size, DEFAULT_CALLS, MAX_CALLS)
        place = pages.decode(request.page_token, str, str)
        try:
            before = (datetime.fromisoformat(str(place[0])), UUID(str(place[1]))) if place else None
        except ValueError:
            raise InvalidField("page_token", "is not one of ours") from None
        if request.tenant and not caller.sees(request.tenant):
            return admin_pb2.ListCallsResponse()
        chosen = calls.Filter(request.tenant or caller.tenant, request.key)
        found, last = await self._database.read(
            lambda session: calls.list_page(session, chosen, start, end, before, size)
        )
        answer = admin_pb2.ListCallsResponse(calls=[_call_view(call) for call in found])
        if last is not None:
            answer.next_page_token = pages.encode(last[0].astimezone(UTC).isoformat(), str(last[1]))
        return answer

    async def get_call(
        self, request: admin_pb2.GetCallRequest, caller: Principal
    ) -> admin_pb2.GetCallResponse:
        try:
            request_id = UUID(request.request_id)
        except ValueError:
            raise CallNotFound(request.request_id[:64]) from None
        if request.tenant and not caller.sees(request.tenant):
            raise CallNotFound(request.request_id)
        tenant = request.tenant or caller.tenant

        def work(session: Session) -> Call | None:
            return calls.get(session, request_id, tenant)

        call = await self._database.read(work)
        if call is None:
            raise CallNotFound(request.request_id)
        view = _call_view(call)
        view.attempt_list.extend(_attempt_view(attempt) for attempt in call.attempts)
        return admin_pb2.GetCallResponse(call=view)

    async def tail_calls(
        self, request: admin_pb2.TailCallsRequest, caller: Principal
    ) -> AsyncIterator[admin_pb2.TailCallsResponse]:
        if request.tenant and not caller.sees(request.tenant):
            return
        chosen = calls.Filter(request.tenant or caller.tenant, request.key)
        async for call in self._tail.follow(chosen):
            yield admin_pb2.TailCallsResponse(call=_call_view(call))

    def _window(
        self, request: admin_pb2.QueryUsageRequest | admin_pb2.ListCallsRequest
    ) -> tuple[datetime, datetime]:
        now = self._now()
        end = convert.time_of(request.to, "to") if request.HasField("to") else now + AHEAD
        given = getattr(request, "from")
        start = convert.time_of(given, "from") if request.HasField("from") else min(end, now) - DEFAULT_WINDOW
        if end <= start:
            raise InvalidField("to", "is not after `from`")
        return start, end


def _report_place(request: admin_pb2.QueryUsageRequest) -> tuple[datetime, datetime, query.Place]:
    """(start, end, where the page before ended): all pages are of one window. Raises InvalidField."""
    place = pages.decode(request.page_token, str, str, str, int, int, *[str] * len(request.by)) or []
    try:
        start, end, as_of = (datetime.fromisoformat(str(part)).astimezone(UTC) for part in place[:3])
    except (ValueError, OverflowError):
        raise InvalidField("page_token", "is not one of ours") from None
    group = tuple(str(part) for part in place[5:])
    if "\0" in "".join(group):
        raise InvalidField("page_token", "is not one of ours")
    return start, end, query.Place(as_of, int(place[3]), int(place[4]), group)


def _usage_row(row: UsageRow) -> admin_pb2.UsageRow:
    return admin_pb2.UsageRow(
        group=row.group,
        calls=row.calls,
        attempts=row.attempts,
        errors=row.errors,
        input_tokens=row.input_tokens,
        cache_read_tokens=row.cache_read_tokens,
        cache_write_tokens=row.cache_write_tokens,
        output_tokens=row.output_tokens,
        reasoning_tokens=row.reasoning_tokens,
        cost_usd=usd_text(row.cost_picousd) if row.cost_picousd is not None else None,
        unpriced_attempts=row.unpriced_attempts,
        p50_ms=row.p50_ms,
        p95_ms=row.p95_ms,
        first_token_p50_ms=row.first_token_p50_ms,
    )


def _call_view(call: Call) -> admin_pb2.CallView:
    """Tokens and money are sums over the attempts; names and times are those of the attempt that answered."""
    answered, attempts = call.answered, call.attempts
    first_token = answered.first_token_ms
    view = admin_pb2.CallView(
        request_id=call.request_id.hex,
        tenant=answered.tenant,
        key=answered.key,
        user=answered.user,
        route=answered.route,
        model=answered.model,
        provider=answered.provider,
        status=answered.client_status or answered.status,
        outcome=answered.outcome,  # type: ignore[arg-type]
        attempts=len(attempts),
        cost_usd=usd_text(call.cost_picousd) if call.cost_picousd is not None else None,
        input_tokens=sum(a.input_tokens for a in attempts),
        cache_read_tokens=sum(a.cache_read_tokens for a in attempts),
        cache_write_tokens=sum(a.cache_write_tokens for a in attempts),
        output_tokens=sum(a.output_tokens for a in attempts),
        reasoning_tokens=sum(a.reasoning_tokens for a in attempts),
        latency_ms=_uint32(answered.request_latency_ms or answered.started_ms + answered.latency_ms),
        first_token_ms=_uint32(answered.started_ms + first_token) if first_token is not None else None,
        task=answered.task,
        experiment=f"{answered.experiment}/{answered.variant}" if answered.experiment else "",
        cache=answered.cache,  # type: ignore[arg-type]
        region=answered.region,
    )
    convert.set_time(view.time, attempts[0].time - timedelta(milliseconds=attempts[0].started_ms))
    return view


def _attempt_view(attempt: Attempt) -> admin_pb2.AttemptView:
    return admin_pb2.AttemptView(
        id=attempt.id.hex,
        model=attempt.model,
        provider=attempt.provider,
        upstream_model=attempt.upstream_model,
        upstream_request_id=attempt.upstream_request_id,
        outcome=attempt.outcome,  # type: ignore[arg-type]
        status=attempt.status,
        reason=attempt.reason,  # type: ignore[arg-type]
        started_ms=_uint32(attempt.started_ms),
        latency_ms=_uint32(attempt.latency_ms),
        first_token_ms=attempt.first_token_ms,
        input_tokens=attempt.input_tokens,
        cache_read_tokens=attempt.cache_read_tokens,
        cache_write_tokens=attempt.cache_write_tokens,
        output_tokens=attempt.output_tokens,
        reasoning_tokens=attempt.reasoning_tokens,
        cost_usd=usd_text(attempt.cost_picousd) if attempt.cost_picousd is not None else None,
        estimated=attempt.estimated,
    )


def _uint32(number: int) -> int:
    return min(number, 2**32 - 1)
