"""Reads and writes tokens, as it is told."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, func, text
from sqlmodel import Session, col, or_, select

from control_plane.db import locks
from control_plane.tokens.model import Principal, Token, TokenRow


def lock_bootstrap(session: Session) -> None:
    session.connection().execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": locks.BOOTSTRAP})


def has_any(session: Session) -> bool:
    return session.exec(select(TokenRow.public_id).limit(1)).first() is not None


def insert(session: Session, row: TokenRow) -> None:
    session.add(row)
    session.flush()


def active_by_name(session: Session, name: str) -> TokenRow | None:
    return session.exec(
        select(TokenRow).where(TokenRow.name == name, col(TokenRow.revoked_at).is_(None))
    ).one_or_none()


def find_principal(session: Session, sha256: bytes, now: datetime) -> Principal | None:
    row = session.exec(select(TokenRow).where(TokenRow.sha256 == sha256, *_valid(now))).one_or_none()
    if row is None:
        return None
    return Principal(row.name, row.role, row.tenant, row.sha256, row.expires_at, row.region, row.labels)


def joined(session: Session, sha256: bytes, ended_after: datetime) -> TokenRow | None:
    """A joined proxy by its key, for an update: neither revoked, nor ended for too long."""
    statement = select(TokenRow).where(
        TokenRow.sha256 == sha256,
        col(TokenRow.region).is_not(None),
        col(TokenRow.revoked_at).is_(None),
        col(TokenRow.expires_at) > ended_after,
    )
    return session.exec(statement.with_for_update()).one_or_none()


def by_digest(session: Session, sha256: bytes) -> TokenRow | None:
    """Whatever became of it; for an update."""
    return session.exec(select(TokenRow).where(TokenRow.sha256 == sha256).with_for_update()).one_or_none()


def still_valid(session: Session, hashes: Collection[bytes], now: datetime) -> set[bytes]:
    return set(
        session.exec(select(TokenRow.sha256).where(col(TokenRow.sha256).in_(hashes), *_valid(now))).all()
    )


def list_page(session: Session, tenant: str | None, after: str, limit: int) -> list[Token]:
    """Ordered by name and public id; `after` is `name/public_id` of the last one shown."""
    place = func.concat(TokenRow.name, "/", TokenRow.public_id).collate("C")
    statement = select(TokenRow).where(place > after).order_by(place).limit(limit)
    if tenant is not None:
        statement = statement.where(TokenRow.tenant == tenant)
    return [shown(row) for row in session.exec(statement)]


def shown(row: TokenRow) -> Token:
    return Token(
        row.name, row.role, row.tenant, row.public_id, row.created_at, row.expires_at, row.revoked_at
    )


def notify_changed(session: Session) -> None:
    session.connection().execute(text("SELECT pg_notify('headgate_token', '')"))


def _valid(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        col(TokenRow.revoked_at).is_(None),
        or_(col(TokenRow.expires_at).is_(None), col(TokenRow.expires_at) > now),
    )
