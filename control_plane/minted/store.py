"""Reads and writes first answers, as it is told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlmodel import Session, col

from control_plane.minted.model import MintedRow


def find(session: Session, request_id: str, actor: str) -> MintedRow | None:
    return session.get(MintedRow, (request_id, actor))


def write(session: Session, row: MintedRow) -> None:
    session.merge(row)
    session.flush()


def forget_before(session: Session, time: datetime) -> None:
    session.execute(delete(MintedRow).where(col(MintedRow.created_at) < time))
