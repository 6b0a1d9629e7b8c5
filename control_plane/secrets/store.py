"""Reads and writes the check value, and finds what which key sealed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from control_plane.secrets.envelope import KEK_ID_BYTES
from control_plane.secrets.model import KekCheckRow, Sealed


def read_check(session: Session) -> bytes | None:
    row = session.exec(select(KekCheckRow)).one_or_none()
    return row.sealed if row else None


def write_check_if_absent(session: Session, sealed: bytes) -> bytes:
    """The value that is stored afterwards: another replica may have been first."""
    now = datetime.now(UTC)
    session.execute(insert(KekCheckRow).values(id=1, sealed=sealed, created_at=now).on_conflict_do_nothing())
    return session.exec(select(KekCheckRow)).one().sealed


def replace_check(session: Session, sealed: bytes) -> None:
    session.merge(KekCheckRow(id=1, sealed=sealed, created_at=datetime.now(UTC)))
    session.flush()


def not_sealed_by(session: Session, table: type[Sealed], kek_id: bytes, limit: int) -> Sequence[Sealed]:
    """Rows that another key sealed, locked until the commit."""
    statement = select(table).where(*_another(table, kek_id)).limit(limit)
    return session.exec(statement.with_for_update()).all()


def count_by_kek(session: Session, table: type[Sealed]) -> dict[bytes, int]:
    who = func.substring(table.sealed, 2, KEK_ID_BYTES)
    counted = session.execute(select(who, func.count()).where(col(table.sealed).is_not(None)).group_by(who))
    return {bytes(kek_id): int(number) for kek_id, number in counted}


def _another(table: type[Sealed], kek_id: bytes) -> tuple[ColumnElement[bool], ...]:
    sealed = col(table.sealed)
    return sealed.is_not(None), func.substring(sealed, 2, KEK_ID_BYTES) != kek_id
