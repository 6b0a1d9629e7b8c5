"""Migrations at start, under an advisory lock, so that replicas that start together do not collide.

The version table is read first: alembic is imported only when there is something to do.
"""

from __future__ import annotations

from pathlib import Path

import psycopg

from control_plane.db import locks
from control_plane.db.database import CONNECTION_OPTIONS
from control_plane.db.migrations import HEAD
from headgate.rules.credentials import Secret

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(url: Secret) -> bool:
    """Bring the schema to HEAD. True if there was something to do. Raises psycopg.Error."""
    with psycopg.connect(url.text, autocommit=True, **CONNECTION_OPTIONS) as connection:  # type: ignore[arg-type]
        if current_version(connection) == HEAD:
            return False
        connection.execute("SELECT pg_advisory_lock(%s)", (locks.MIGRATE,))
        try:
            if current_version(connection) == HEAD:
                return False
            _upgrade(url)
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (locks.MIGRATE,))
    return True


def current_version(connection: psycopg.Connection[tuple[object, ...]]) -> str | None:
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def _upgrade(url: Secret) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url.text))
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)
    finally:
        engine.dispose()
