"""Joining and renewing over gRPC, and the tokens for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.identity import store
from control_plane.identity.model import Issued, JoinTokenRow, NewJoinToken
from control_plane.identity.service import DEFAULT_EXPIRES, Identities
from control_plane.minted.service import FirstAnswers
from control_plane.rpc import convert, pages
from control_plane.tokens.errors import TooManyAtOnce
from control_plane.tokens.model import Principal
from headgate.v1 import identity_pb2

MAX_PAGE = 1_000
# Anybody may try to join: no more tries than this are in the database at once.
MAX_TRIES = 4
MAX_WAITING = 200


class IdentityCalls:
    """`changed`: who is known has changed; other replicas are notified by the transaction."""

    def __init__(
        self,
        database: Database,
        identities: Identities,
        answers: FirstAnswers,
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._changed = changed
        self._identities = identities
        self._answers = answers
        self._tries = asyncio.Semaphore(MAX_TRIES)
        self._waiting = 0

    async def create(
        self, request: identity_pb2.CreateJoinTokenRequest, caller: Principal
    ) -> identity_pb2.CreateJoinTokenResponse:
        expires = DEFAULT_EXPIRES
        if request.HasField("expires"):
            expires = convert.timedelta_of(request.expires, "expires")
        new = NewJoinToken(request.region, request.uses or 1, expires, dict(request.labels))

        def work(session: Session) -> bytes:
            def first() -> bytes:
                minted, ends = self._identities.create_token(session, caller, new)
                message = convert.minted_message("join-token", "", minted.public_id, minted.secret.text)
                answer = identity_pb2.CreateJoinTokenResponse(minted=message)
                convert.set_time(answer.expires_at, ends)
                return answer.SerializeToString()

            now = self._identities.now()
            return self._answers.once(session, caller, "CreateJoinToken", request.request_id, now, first)

        return identity_pb2.CreateJoinTokenResponse.FromString(await self._database.run(work))

    async def list(
        self, request: identity_pb2.ListJoinTokensRequest, caller: Principal
    ) -> identity_pb2.ListJoinTokensResponse:
        place = pages.decode(request.page_token, str)
        after = str(place[0]) if place else ""
        size = pages.page_size(request.page_size, 100, MAX_PAGE)
        now = self._identities.now()
        found = await self._database.read(lambda session: store.usable(session, now, after, size + 1))
        answer = identity_pb2.ListJoinTokensResponse(join_tokens=[_view(row) for row in found[:size]])
        if len(found) > size:
            answer.next_page_token = pages.encode(found[size - 1].public_id)
        return answer

    async def revoke(
        self, request: identity_pb2.RevokeJoinTokenRequest, caller: Principal
    ) -> identity_pb2.RevokeJoinTokenResponse:
        await self._database.run(
            lambda session: self._identities.revoke_token(session, caller, request.public_id)
        )
        return identity_pb2.RevokeJoinTokenResponse()

    async def join(self, request: identity_pb2.JoinRequest, caller: Principal) -> identity_pb2.JoinResponse:
        issued = await self._try(
            lambda session: self._identities.join(
                session, request.token, request.csr, request.name, request.region
            )
        )
        answer = identity_pb2.JoinResponse(
            certificate=issued.certificate, authority=issued.authority, port=issued.port
        )
        convert.set_time(answer.expires_at, issued.expires_at)
        return answer

    async def renew(
        self, request: identity_pb2.RenewRequest, caller: Principal
    ) -> identity_pb2.RenewResponse:
        issued = await self._try(lambda session: self._identities.renew(session, request.csr))
        answer = identity_pb2.RenewResponse(
            certificate=issued.certificate, authority=issued.authority, port=issued.port
        )
        convert.set_time(answer.expires_at, issued.expires_at)
        return answer

    async def _try(self, work: Callable[[Session], Issued]) -> Issued:
        if self._waiting >= MAX_WAITING:
            raise TooManyAtOnce(MAX_WAITING)  # no word about who asks
        self._waiting += 1
        try:
            async with self._tries:
                issued = await self._database.run(work)
        finally:
            self._waiting -= 1
        # It comes with its certificate at once, perhaps before the notification does.
        self._changed()
        return issued


def _view(row: JoinTokenRow) -> identity_pb2.JoinTokenView:
    view = identity_pb2.JoinTokenView(
        public_id=row.public_id,
        region=row.region,
        uses_left=row.uses_left,
        labels=row.labels,
        created_by=row.created_by,
    )
    convert.set_time(view.created_at, row.created_at)
    convert.set_time(view.expires_at, row.expires_at)
    return view
