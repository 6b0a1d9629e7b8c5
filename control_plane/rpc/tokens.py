"""Tokens over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.minted.service import FirstAnswers
from control_plane.rpc import convert, pages
from control_plane.tokens.model import OWNER, Principal, Token
from control_plane.tokens.service import NewToken, Tokens
from headgate.v1 import admin_pb2

DEFAULT_PAGE, MAX_PAGE = 100, 1_000


class TokenCalls:
    def __init__(
        self, database: Database, tokens: Tokens, answers: FirstAnswers, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._answers = answers
        self._now = now

    async def bootstrap(
        self, request: admin_pb2.BootstrapTokenRequest, caller: Principal
    ) -> admin_pb2.BootstrapTokenResponse:
        name, now = request.name or OWNER, self._now()
        minted = await self._database.run(lambda session: self._tokens.bootstrap(session, name, now))
        message = convert.minted_message("token", "", name, minted.secret.text)
        return admin_pb2.BootstrapTokenResponse(minted=message)

    async def create(
        self, request: admin_pb2.CreateTokenRequest, caller: Principal
    ) -> admin_pb2.CreateTokenResponse:
        expires = convert.timedelta_of(request.expires, "expires") if request.HasField("expires") else None
        new = NewToken(request.name, request.role, request.tenant or caller.tenant, expires)
        now = self._now()

        def work(session: Session) -> bytes:
            def first() -> bytes:
                minted = self._tokens.create(session, new, caller, now)
                message = convert.minted_message("token", new.tenant or "", new.name, minted.secret.text)
                return admin_pb2.CreateTokenResponse(minted=message).SerializeToString()

            method = f"CreateToken {new.name}"
            return self._answers.once(session, caller, method, request.request_id, now, first)

        return admin_pb2.CreateTokenResponse.FromString(await self._database.run(work))

    async def revoke(
        self, request: admin_pb2.RevokeTokenRequest, caller: Principal
    ) -> admin_pb2.RevokeTokenResponse:
        now = self._now()
        await self._database.run(lambda session: self._tokens.revoke(session, request.name, caller, now))
        return admin_pb2.RevokeTokenResponse()

    async def list(
        self, request: admin_pb2.ListTokensRequest, caller: Principal
    ) -> admin_pb2.ListTokensResponse:
        place = pages.decode(request.page_token, str)
        after = str(place[0]) if place else ""
        size = pages.page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        found = await self._database.read(lambda session: self._tokens.list(session, caller, after, size + 1))
        answer = admin_pb2.ListTokensResponse(tokens=[_view(token) for token in found[:size]])
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = pages.encode(f"{last.name}/{last.public_id}")
        return answer


def _view(token: Token) -> admin_pb2.TokenView:
    view = admin_pb2.TokenView(
        name=token.name, role=token.role, tenant=token.tenant or "", public_id=token.public_id
    )
    convert.set_time(view.created_at, token.created_at)
    convert.set_time(view.expires_at, token.expires_at)
    convert.set_time(view.revoked_at, token.revoked_at)
    return view
