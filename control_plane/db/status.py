"""What the database says of itself."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session


def server_version(session: Session) -> str:
    return f"PostgreSQL {session.connection().execute(text('SHOW server_version')).scalar_one()}"
