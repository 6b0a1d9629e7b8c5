"""One connection's worth of ingest: staging, merge, quarantine, commit. Raw psycopg, for COPY.

Everything of one transaction commits or nothing does; only then may the caller acknowledge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from control_plane.db.database import CONNECTION_OPTIONS, role_option
from control_plane.usage import scores, sql
from control_plane.usage.model import Quarantined
from headgate.rules.credentials import Secret

STATEMENT_TIMEOUT_SECONDS = 30
QUARANTINE = """
INSERT INTO usage_quarantine (proxy, content_hash, record_id, why, raw, kind) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (proxy, content_hash) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A staged record that was not simply new."""

    ordinal: int
    record_id: str
    is_same: bool
    is_new: bool


@dataclass(frozen=True, slots=True)
class Merged:
    inserted: int
    # Empty if everything was new; else all staged ones.
    standings: list[Standing]


Connection = psycopg.AsyncConnection[tuple[object, ...]]


async def connect(url: Secret, *, has_roles: bool = False) -> Connection:
    options = (
        f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s -c timezone=UTC -c client_min_messages=warning"
    )
    # The plan of the merge does not depend on the data; JIT would cost more than it gives.
    options += " -c plan_cache_mode=force_generic_plan -c jit=off" + role_option(has_roles)
    connection = await psycopg.AsyncConnection.connect(
        url.text,
        options=options,
        autocommit=True,
        **CONNECTION_OPTIONS,  # type: ignore[arg-type]
    )
    await connection.execute(sql.STAGING)
    return connection


async def merge(connection: Connection, lines: Sequence[str]) -> Merged:
    """Inside a transaction."""
    cursor = connection.cursor()
    async with cursor.copy(sql.COPY) as copy:
        await copy.write("".join(lines).encode())
    await cursor.execute(sql.MERGE, prepare=True)
    inserted = sum(int(row[0]) for row in await cursor.fetchall())  # type: ignore[call-overload]
    if inserted == len(lines):
        return Merged(inserted, [])
    await cursor.execute(sql.STANDING, prepare=True)
    rows = await cursor.fetchall()
    return Merged(
        inserted,
        [Standing(int(r[0]), str(r[1]), bool(r[2]), bool(r[3])) for r in rows],  # type: ignore[call-overload]
    )


async def write_scores(connection: Connection, rows: Sequence[scores.Row]) -> None:
    """Inside a transaction."""
    await connection.cursor().executemany(scores.INSERT, scores.in_order(rows))


async def quarantine(connection: Connection, records: Sequence[Quarantined]) -> None:
    """Inside a transaction. The same record from the same proxy is kept once."""
    rows = sorted((r.proxy, r.content_hash, r.record_id, r.why, r.raw, _kind(r)) for r in records)
    await connection.cursor().executemany(QUARANTINE, rows)


def _kind(record: Quarantined) -> str:
    return "score" if record.is_score else "record"
