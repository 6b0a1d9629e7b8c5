"""The past over gRPC: the audit trail, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from google.protobuf.struct_pb2 import Struct
from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.minted.service import FirstAnswers
from control_plane.resources.rollback import Rollback
from control_plane.revisions.model import Filter
from control_plane.revisions.service import Revisions
from control_plane.rpc import convert, pages
from control_plane.tokens.model import Principal
from headgate.v1 import history_pb2

DEFAULT_PAGE = 100
MAX_PAGE = 1_000


class _DryRun(Exception):
    """Takes the answer out of a transaction that must not commit."""

    def __init__(self, answer: history_pb2.RollbackResponse) -> None:
        super().__init__()
        self.answer = answer


class HistoryCalls:
    def __init__(
        self,
        database: Database,
        revisions: Revisions,
        rollback: Rollback,
        answers: FirstAnswers,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._revisions = revisions
        self._rollback = rollback
        self._answers = answers
        self._now = now

    async def rollback(
        self, request: history_pb2.RollbackRequest, caller: Principal
    ) -> history_pb2.RollbackResponse:
        now = self._now()

        def answer(session: Session) -> history_pb2.RollbackResponse:
            applied = self._rollback.to(session, caller, request.revision, now, dry_run=request.dry_run)
            message = convert.applied_message(applied, with_secrets=not request.dry_run)
            return history_pb2.RollbackResponse(
                revision=message.revision, changes=message.changes, minted=message.minted
            )

        def work(session: Session) -> bytes:
            if request.dry_run:
                raise _DryRun(answer(session))
            first = lambda: answer(session).SerializeToString()  # noqa: E731
            return self._answers.once(session, caller, "Rollback", request.request_id, now, first)

        try:
            return history_pb2.RollbackResponse.FromString(await self._database.run(work))
        except _DryRun as dry:
            return dry.answer

    async def list_changes(
        self, request: history_pb2.ListChangesRequest, caller: Principal
    ) -> history_pb2.ListChangesResponse:
        answer = history_pb2.ListChangesResponse()
        tenant = request.tenant or caller.tenant
        if tenant is not None and not caller.sees(tenant):
            return answer
        chosen = Filter(
            tenant=tenant,
            kind=convert.kind_of_change(request.kind) if request.kind else "",
            name=request.name,
            actor=request.actor,
            start=convert.time_of(getattr(request, "from"), "from") if request.HasField("from") else None,
            end=convert.time_of(request.to, "to") if request.HasField("to") else None,
        )
        place = pages.decode(request.page_token, int, int)
        before = (int(place[0]), int(place[1])) if place else None
        size = pages.page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        found = await self._database.read(
            lambda session: self._revisions.changes(session, chosen, before, size + 1)
        )
        for one in found[:size]:
            view = answer.changes.add(
                revision=one.revision,
                actor=one.actor,
                source=one.source,
                kind=one.kind,
                tenant=one.tenant if one.kind != "tenant" else "",
                name=one.name,
                verb=one.verb,
                before=_struct(one.before),
                after=_struct(one.after),
            )
            convert.set_time(view.time, one.time)
        if len(found) > size:
            answer.next_page_token = pages.encode(found[size - 1].revision, found[size - 1].seq)
        return answer


def _struct(value: dict[str, Any] | None) -> Struct | None:
    if value is None:
        return None
    struct = Struct()
    struct.update(value)
    return struct
