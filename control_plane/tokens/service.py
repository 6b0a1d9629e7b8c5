"""Creates, revokes and lists tokens. A token never exceeds its maker, in role or in reach.

Every change is a revision with an audit row; proxies get an empty update for it, which is cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from control_plane.errors import InvalidField
from control_plane.resources.errors import ResourceNotFound
from control_plane.resources.store import ResourceStore
from control_plane.revisions.service import Revisions
from control_plane.tokens import store
from control_plane.tokens.errors import BootstrapClosed, NotAllowed, TokenExists, TokenNotFound
from control_plane.tokens.model import OWNER, PROXY, ROLES, Principal, Token, TokenRow
from headgate.rules.credentials import TOKEN_PREFIX, Minted, mint
from headgate.rules.names import DEFAULT_TENANT, SHARED_TENANT, name_problem

BOOTSTRAP_ACTOR = "bootstrap"


@dataclass(frozen=True, slots=True)
class NewToken:
    name: str
    role: str
    tenant: str | None
    expires: timedelta | None


class Tokens:
    def __init__(self, revisions: Revisions) -> None:
        self._revisions = revisions

    def bootstrap(self, session: Session, name: str, now: datetime) -> Minted:
        """The first owner token. Raises BootstrapClosed if there has ever been one."""
        _check_name(name)
        store.lock_bootstrap(session)
        if store.has_any(session):
            raise BootstrapClosed
        return self._insert(session, NewToken(name, OWNER, None, None), BOOTSTRAP_ACTOR, now)

    def create(self, session: Session, new: NewToken, maker: Principal, now: datetime) -> Minted:
        _check_name(new.name)
        if new.role not in ROLES:
            raise InvalidField("role", f"must be one of {', '.join(ROLES)}")
        if maker.tenant is not None and new.tenant != maker.tenant:
            raise ResourceNotFound("tenant", "", new.tenant or "")
        if new.role == PROXY and new.tenant is not None:
            raise InvalidField("tenant", "a proxy's token for one tenant is not supported yet")
        if not maker.has(OWNER):
            raise NotAllowed(OWNER)
        if new.tenant is not None:
            self._check_tenant(session, new.tenant)
        if new.expires is not None and new.expires <= timedelta(0):
            raise InvalidField("expires", "must be more than 0s")
        self._revisions.lock(session)
        if store.active_by_name(session, new.name) is not None:
            raise TokenExists(new.name)
        return self._insert(session, new, maker.name, now)

    def revoke(self, session: Session, name: str, caller: Principal, now: datetime) -> None:
        self._revisions.lock(session)
        row = store.active_by_name(session, name)
        if row is None or (caller.tenant is not None and row.tenant != caller.tenant):
            raise TokenNotFound(name)
        row.revoked_at = now
        session.add(row)
        change = self._revisions.begin(session, caller.name, "token", now)
        change.record("token", row.tenant or "", name, "revoked", {"role": row.role}, None)
        change.finish()
        store.notify_changed(session)

    def list(self, session: Session, caller: Principal, after: str, limit: int) -> list[Token]:
        return store.list_page(session, caller.tenant, after, limit)

    def _insert(self, session: Session, new: NewToken, maker: str, now: datetime) -> Minted:
        minted = mint(TOKEN_PREFIX)
        row = TokenRow(
            public_id=minted.public_id,
            name=new.name,
            role=new.role,
            tenant=new.tenant,
            sha256=minted.sha256,
            created_by=maker,
            created_at=now,
            expires_at=now + new.expires if new.expires is not None else None,
        )
        self._revisions.lock(session)
        store.insert(session, row)
        change = self._revisions.begin(session, maker, "token", now)
        after = {"role": new.role, "public_id": minted.public_id}
        change.record("token", new.tenant or "", new.name, "created", None, after)
        change.finish()
        store.notify_changed(session)
        return minted

    @staticmethod
    def _check_tenant(session: Session, tenant: str) -> None:
        if tenant == SHARED_TENANT:
            raise InvalidField("tenant", "shared resources belong to global tokens")
        if tenant != DEFAULT_TENANT and not ResourceStore(session).tenant_exists(tenant):
            raise ResourceNotFound("tenant", "", tenant)


def _check_name(name: str) -> None:
    if problem := name_problem(name):
        raise InvalidField("name", problem)
