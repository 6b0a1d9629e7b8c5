"""Reads and writes the authority and join tokens, as it is told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from control_plane.identity.model import AuthorityRow, JoinTokenRow


def read_authority(session: Session) -> AuthorityRow | None:
    return session.exec(select(AuthorityRow)).one_or_none()


def write_authority_if_absent(
    session: Session, certificate: str, sealed: bytes, now: datetime
) -> AuthorityRow:
    """The one that is stored afterwards: another replica may have been first."""
    row = {"id": 1, "certificate": certificate, "sealed": sealed, "created_at": now}
    session.execute(insert(AuthorityRow).values(row).on_conflict_do_nothing())
    return session.exec(select(AuthorityRow)).one()


def insert_join_token(session: Session, row: JoinTokenRow) -> None:
    session.add(row)
    session.flush()


def find(session: Session, sha256: bytes, now: datetime) -> JoinTokenRow | None:
    """One that can still be used."""
    return session.exec(
        select(JoinTokenRow).where(JoinTokenRow.sha256 == sha256, *_usable(now))
    ).one_or_none()


def find_used_up(session: Session, sha256: bytes, now: datetime) -> JoinTokenRow | None:
    row = JoinTokenRow
    return session.exec(
        select(row).where(row.sha256 == sha256, col(row.uses_left) == 0, col(row.expires_at) > now)
    ).one_or_none()


def use(session: Session, sha256: bytes, now: datetime) -> bool:
    """Counts one use; False: somebody else had the last one. The row stays locked until the commit."""
    used = session.execute(
        text(
            "UPDATE join_token SET uses_left = uses_left - 1 "
            "WHERE sha256 = :sha256 AND uses_left > 0 AND expires_at > :now RETURNING public_id"
        ),
        {"sha256": sha256, "now": now},
    )
    return used.first() is not None


def usable(session: Session, now: datetime, after: str, limit: int) -> list[JoinTokenRow]:
    statement = select(JoinTokenRow).where(*_usable(now), col(JoinTokenRow.public_id) > after)
    return list(session.exec(statement.order_by(col(JoinTokenRow.public_id)).limit(limit)))


def remove(session: Session, public_id: str) -> bool:
    gone = session.execute(delete(JoinTokenRow).where(col(JoinTokenRow.public_id) == public_id))
    return bool(gone.rowcount)  # type: ignore[attr-defined]


def forget_before(session: Session, moment: datetime) -> None:
    session.execute(delete(JoinTokenRow).where(col(JoinTokenRow.expires_at) < moment))


def _usable(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return col(JoinTokenRow.uses_left) > 0, col(JoinTokenRow.expires_at) > now
