"""Reads and writes the check value."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, select

from control_plane.secrets.model import KekCheckRow


def read_check(session: Session) -> bytes | None:
    row = session.exec(select(KekCheckRow)).one_or_none()
    return row.sealed if row else None


def write_check_if_absent(session: Session, sealed: bytes) -> bytes:
    """The value that is stored afterwards: another replica may have been first."""
    now = datetime.now(UTC)
    session.execute(insert(KekCheckRow).values(id=1, sealed=sealed, created_at=now).on_conflict_do_nothing())
    return session.exec(select(KekCheckRow)).one().sealed
