"""PostgreSQL's own opinion of who may do what: the second wall behind the checks of this program.

Connections take the role `headgate_app`, which owns nothing and cannot change the audit trail. A
transaction for one tenant's token takes `headgate_tenant`, to which row-level security shows that tenant's
rows and the shared ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import psycopg
from sqlalchemy import text
from sqlmodel import Session

APP, TENANT = "headgate_app", "headgate_tenant"

# For whom the current call is made: a tenant, or None for all of them (and for what this program does by
# itself).
_scope: ContextVar[str | None] = ContextVar("scope", default=None)


@contextlib.contextmanager
def scoped(tenant: str | None) -> Iterator[None]:
    """Transactions that begin inside see this tenant's rows and the shared ones; None: all."""
    token = _scope.set(tenant)
    try:
        yield
    finally:
        _scope.reset(token)


def current_scope() -> str | None:
    return _scope.get()


def are_there(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Whether the migration could make the roles, and whoever connects may take them."""
    row = connection.execute(
        "SELECT count(*) FROM pg_roles WHERE rolname = ANY(%s) AND pg_has_role(session_user, oid, 'MEMBER')",
        ([APP, TENANT],),
    ).fetchone()
    return row is not None and row[0] == 2


def take_tenant(session: Session, tenant: str) -> None:
    """Until the end of the transaction."""
    session.connection().execute(
        text("SELECT set_config('role', :role, true), set_config('headgate.tenant', :tenant, true)"),
        {"role": TENANT, "tenant": tenant},
    )


def take_owner(session: Session) -> None:
    """Until the end of the transaction: what changes tables needs whoever made them."""
    session.connection().execute(text("SET LOCAL ROLE NONE"))
