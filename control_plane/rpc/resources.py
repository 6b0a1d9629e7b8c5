"""Resources over gRPC: apply, get, list, delete, disable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.errors import InvalidField
from control_plane.minted.service import FirstAnswers
from control_plane.resources.apply import Applier, Request
from control_plane.resources.declare import declare_all
from control_plane.resources.model import DEFAULT_SOURCE, Ref
from control_plane.resources.service import Resources
from control_plane.rpc import convert, pages
from control_plane.tokens.model import Principal
from headgate.rules.names import name_problem
from headgate.v1 import admin_pb2

MAX_PAGE = 1_000


class _DryRun(Exception):
    """Takes the answer out of a transaction that must not commit."""

    def __init__(self, answer: admin_pb2.ApplyResourcesResponse) -> None:
        super().__init__()
        self.answer = answer


class ResourceCalls:
    def __init__(
        self,
        database: Database,
        resources: Resources,
        applier: Applier,
        answers: FirstAnswers,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._resources = resources
        self._applier = applier
        self._answers = answers
        self._now = now

    async def apply(
        self, request: admin_pb2.ApplyResourcesRequest, caller: Principal
    ) -> admin_pb2.ApplyResourcesResponse:
        source = request.source or DEFAULT_SOURCE
        if problem := name_problem(source):
            raise InvalidField("source", problem)

        def work(session: Session) -> bytes:
            # Declared in here because ten thousand specs take a while, and this is not the event loop.
            declared = declare_all(request.resources, caller)
            plan = Request(declared, source, request.prune, request.expected_revision, request.dry_run)
            now = self._now()
            if request.dry_run:
                applied = self._applier.apply(session, caller, plan, now)
                raise _DryRun(convert.applied_message(applied, with_secrets=False))

            def first() -> bytes:
                applied = self._applier.apply(session, caller, plan, now)
                return convert.applied_message(applied, with_secrets=True).SerializeToString()

            return self._answers.once(session, caller, "ApplyResources", request.request_id, now, first)

        try:
            answer = await self._database.run(work)
        except _DryRun as dry:
            return dry.answer
        return admin_pb2.ApplyResourcesResponse.FromString(answer)

    async def get(
        self, request: admin_pb2.GetResourceRequest, caller: Principal
    ) -> admin_pb2.GetResourceResponse:
        ref = convert.ref_of(request.kind, request.tenant, request.name, caller)
        stored = await self._database.read(lambda session: self._resources.get(session, caller, ref))
        return admin_pb2.GetResourceResponse(resource=convert.resource_view(stored))

    async def list(
        self, request: admin_pb2.ListResourcesRequest, caller: Principal
    ) -> admin_pb2.ListResourcesResponse:
        kind = convert.kind_of(request.kind) if request.kind else ""
        place = pages.decode(request.page_token, str, str, str)
        after = Ref(*map(str, place)) if place else None
        if after is not None:
            convert.kind_of(after.kind)
        size = pages.page_size(request.page_size, MAX_PAGE, MAX_PAGE)

        def work(session: Session) -> admin_pb2.ListResourcesResponse:
            page = self._resources.list(session, caller, kind, request.tenant, after, size)
            answer = admin_pb2.ListResourcesResponse(revision=page.revision)
            answer.resources.extend(convert.resource_view(stored) for stored in page.resources)
            if (last := page.more_after) is not None:
                answer.next_page_token = pages.encode(last.kind, last.tenant, last.name)
            return answer

        return await self._database.read(work)

    async def delete(
        self, request: admin_pb2.DeleteResourceRequest, caller: Principal
    ) -> admin_pb2.DeleteResourceResponse:
        ref = convert.ref_of(request.kind, request.tenant, request.name, caller)
        now = self._now()
        revision = await self._database.run(
            lambda session: self._resources.delete(session, caller, ref, request.expected_revision, now)
        )
        return admin_pb2.DeleteResourceResponse(revision=revision)

    async def set_disabled(
        self, request: admin_pb2.SetDisabledRequest, caller: Principal
    ) -> admin_pb2.SetDisabledResponse:
        ref = convert.ref_of(request.kind, request.tenant, request.name, caller)
        now = self._now()
        revision = await self._database.run(
            lambda session: self._resources.set_disabled(
                session, caller, ref, request.disabled, request.reason, now
            )
        )
        return admin_pb2.SetDisabledResponse(revision=revision)
