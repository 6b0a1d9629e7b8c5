"""Replays over gRPC: progress while it runs, the report at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

from control_plane.errors import InvalidField
from control_plane.plans.recorded import Window
from control_plane.plans.replays import Replays
from control_plane.plans.report import ASSUMPTIONS, Account, Report
from control_plane.resources.declare import declare_all
from control_plane.resources.errors import ResourceNotFound
from control_plane.rpc import convert
from control_plane.tokens.model import Principal
from headgate.rules.money import usd_text
from headgate.rules.names import DEFAULT_TENANT
from headgate.v1 import routing_pb2

DEFAULT_WINDOW = timedelta(days=7)


class ReplayCalls:
    def __init__(self, replays: Replays, now: Callable[[], datetime]) -> None:
        self._replays = replays
        self._now = now

    async def replay(
        self, request: routing_pb2.ReplayRequest, caller: Principal
    ) -> AsyncIterator[routing_pb2.ReplayResponse]:
        tenant = request.tenant or caller.tenant or DEFAULT_TENANT
        if not caller.sees(tenant):
            raise ResourceNotFound("tenant", "", tenant)
        end = convert.time_of(request.to, "to") if request.HasField("to") else self._now()
        given = getattr(request, "from")
        start = convert.time_of(given, "from") if request.HasField("from") else end - DEFAULT_WINDOW
        if end <= start:
            raise InvalidField("to", "is not after `from`")
        declared = declare_all(request.resources, caller)
        async for done, total, report in self._replays.run(Window(tenant, start, end), declared):
            answer = routing_pb2.ReplayResponse(done=done, total=total)
            if report is not None:
                answer.report.CopyFrom(_report(report))
            yield answer


def _report(report: Report) -> routing_pb2.ReplayReport:
    models = sorted(report.models.items(), key=lambda item: (-item[1].replayed_calls, item[0]))
    return routing_pb2.ReplayReport(
        recorded=_account(report.recorded),
        replayed=_account(report.replayed),
        calls=report.calls,
        attempts=report.attempts,
        one_in=report.one_in,
        moved=report.moved,
        unmeasured=report.unmeasured,
        models=[
            routing_pb2.ReplayModel(
                model=name,
                recorded_calls=share.recorded_calls,
                replayed_calls=share.replayed_calls,
                recorded_cost_usd=usd_text(share.recorded_picousd),
                replayed_cost_usd=usd_text(share.replayed_picousd),
            )
            for name, share in models
        ],
        skipped=[
            routing_pb2.ReplaySkipped(name=name, why=why, calls=calls)
            for (name, why), calls in sorted(report.skipped.items())
        ],
        nobody=report.nobody,
        assumptions=ASSUMPTIONS,
    )


def _account(account: Account) -> routing_pb2.ReplayAccount:
    return routing_pb2.ReplayAccount(
        cost_usd=usd_text(account.cost_picousd),
        unpriced=account.unpriced,
        failed=account.failed,
        p50_ms=account.latency(0.5),
        p95_ms=account.latency(0.95),
        first_token_p50_ms=account.first_token(0.5),
        first_token_p95_ms=account.first_token(0.95),
    )
