"""Rollouts over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.errors import InvalidField
from control_plane.fleet.model import Proxy
from control_plane.fleet.service import Fleet
from control_plane.minted.service import FirstAnswers
from control_plane.resources.model import DEFAULT_SOURCE
from control_plane.rollouts import store
from control_plane.rollouts.model import NewRollout, RolloutRow
from control_plane.rollouts.service import Rollouts
from control_plane.rpc import convert, pages
from control_plane.tokens.model import Principal
from headgate.rules.names import name_problem
from headgate.v1 import rollout_pb2

DEFAULT_BAKE = timedelta(minutes=10)
DEFAULT_PAGE, MAX_PAGE = 20, 1_000
MAX_PROXIES = 10_000


class RolloutCalls:
    def __init__(
        self,
        database: Database,
        rollouts: Rollouts,
        fleet: Fleet,
        answers: FirstAnswers,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._rollouts = rollouts
        self._fleet = fleet
        self._answers = answers
        self._now = now

    async def start(
        self, request: rollout_pb2.StartRolloutRequest, caller: Principal
    ) -> rollout_pb2.StartRolloutResponse:
        source = request.source or DEFAULT_SOURCE
        if problem := name_problem(source):
            raise InvalidField("source", problem)
        bake = convert.timedelta_of(request.bake, "bake") if request.HasField("bake") else DEFAULT_BAKE
        connected = await self._connected()
        names = [proxy.name for proxy in connected]
        new = NewRollout(source, dict(request.labels), request.percent, bake, names)
        now = self._now()

        def work(session: Session) -> bytes:
            def first() -> bytes:
                row, applied = self._rollouts.start(session, caller, request.resources, new, now)
                return rollout_pb2.StartRolloutResponse(
                    rollout=_view(row, connected), changes=convert.changes_of(applied)
                ).SerializeToString()

            return self._answers.once(session, caller, "StartRollout", request.request_id, now, first)

        return rollout_pb2.StartRolloutResponse.FromString(await self._database.run(work))

    async def promote(
        self, request: rollout_pb2.PromoteRolloutRequest, caller: Principal
    ) -> rollout_pb2.PromoteRolloutResponse:
        now, reason = self._now(), f"promoted by {caller.name}"
        _, applied = await self._database.run(
            lambda session: self._rollouts.promote(session, request.revision, caller.name, reason, now)
        )
        return rollout_pb2.PromoteRolloutResponse(
            revision=applied.revision, changes=convert.changes_of(applied)
        )

    async def halt(
        self, request: rollout_pb2.HaltRolloutRequest, caller: Principal
    ) -> rollout_pb2.HaltRolloutResponse:
        now, reason = self._now(), request.reason or f"halted by {caller.name}"
        revision = await self._database.run(
            lambda session: self._rollouts.halt(session, request.revision, caller.name, reason, now)
        )
        return rollout_pb2.HaltRolloutResponse(revision=revision)

    async def _connected(self) -> list[Proxy]:
        return [proxy for proxy in await self._fleet.list("", MAX_PROXIES) if proxy.connected]

    async def list(
        self, request: rollout_pb2.ListRolloutsRequest, caller: Principal
    ) -> rollout_pb2.ListRolloutsResponse:
        size = pages.page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        place = pages.decode(request.page_token, int)
        before = int(place[0]) if place else 2**63 - 1
        found = await self._database.read(lambda session: store.page(session, before, size + 1))
        connected = await self._connected()
        answer = rollout_pb2.ListRolloutsResponse(rollouts=[_view(row, connected) for row in found[:size]])
        if len(found) > size:
            answer.next_page_token = pages.encode(found[size - 1].revision)
        return answer


def _view(row: RolloutRow, connected: Sequence[Proxy]) -> rollout_pb2.RolloutView:
    view = rollout_pb2.RolloutView(
        revision=row.revision,
        state=row.state,
        reason=row.reason,
        source=row.source,
        actor=row.actor,
        resources=[str(ref) for ref in sorted(row.specs)],
        labels=row.group_of.get("labels", {}),
        percent=row.group_of.get("percent", 0),
        proxies=[proxy.name for proxy in connected if row.group.has(proxy.name, proxy.labels)],
    )
    view.bake.FromSeconds(row.bake_seconds)
    convert.set_time(view.started_at, row.started_at)
    convert.set_time(view.ended_at, row.ended_at)
    return view
