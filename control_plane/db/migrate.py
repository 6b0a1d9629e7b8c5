"""Migrations at start, under an advisory lock, so that replicas that start together do not collide.

The version table is read first: alembic is imported only when there is something to do.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import psycopg

from control_plane.db import locks, roles
from control_plane.db.database import CONNECTION_OPTIONS
from control_plane.db.migrations import HEAD
from headgate.rules.credentials import Secret

log = logging.getLogger(__name__)

SCRIPTS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Migrated:
    # There was something to do.
    changed: bool
    # PostgreSQL's roles can be taken (see roles.py).
    has_roles: bool


def migrate(url: Secret) -> Migrated:
    """Bring the schema to HEAD. Raises psycopg.Error."""
    with psycopg.connect(url.text, autocommit=True, **CONNECTION_OPTIONS) as connection:  # type: ignore[arg-type]
        if _is_done(connection):
            return Migrated(False, roles.are_there(connection))
        connection.execute("SELECT pg_advisory_lock(%s)", (locks.MIGRATE,))
        try:
            changed = not _is_done(connection)
            if changed:
                _upgrade(url)
            return Migrated(changed, roles.are_there(connection))
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (locks.MIGRATE,))


def _is_done(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Also where a later version was here: what it changed serves the version before it, too."""
    current = current_version(connection)
    if current is not None and current > HEAD:
        log.warning("the schema is of a later version", extra={"data": {"schema": current, "ours": HEAD}})
    return current is not None and current >= HEAD


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
