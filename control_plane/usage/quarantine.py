"""The dead letters: records set aside, counted for the alarm."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session


def count_quarantined(session: Session) -> int:
    return int(session.connection().execute(text("SELECT count(*) FROM usage_quarantine")).scalar_one())
