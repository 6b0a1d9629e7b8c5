"""Partitions of usage records by day: made ahead, dropped when they are older than the retention.

Records that came for a day without a partition wait in the default one and move when theirs is made.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlmodel import Session

DAYS_AHEAD = 3
DAYS_BEHIND = 1
_NAME = re.compile(r"usage_record_(\d{8})")


def keep_up(session: Session, now: datetime, retention_days: int) -> tuple[int, int]:
    """Make what is missing, drop what is old; (made, dropped)."""
    today = now.astimezone(UTC).date()
    existing = _existing(session)
    wanted = {today + timedelta(days=offset) for offset in range(-DAYS_BEHIND, DAYS_AHEAD + 1)}
    oldest = kept_from(now, retention_days).date()
    wanted |= {day for day in _days_in_default(session) if day >= oldest}
    missing = sorted(wanted - existing)
    for day in missing:
        _make(session, day)
    old = sorted(day for day in existing if day < oldest)
    for day in old:
        session.connection().execute(text(f"DROP TABLE {_name(day)}"))
    return len(missing), len(old)


def kept_from(now: datetime, retention_days: int) -> datetime:
    """The first moment of the oldest day that is kept."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=retention_days)


def _name(day: date) -> str:
    return f"usage_record_{day:%Y%m%d}"


def _existing(session: Session) -> set[date]:
    rows = session.connection().execute(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'usage_record'::regclass"
        )
    )
    matches = (_NAME.fullmatch(row[0]) for row in rows)
    return {datetime.strptime(m.group(1), "%Y%m%d").replace(tzinfo=UTC).date() for m in matches if m}


def _days_in_default(session: Session) -> set[date]:
    rows = session.connection().execute(
        text("SELECT DISTINCT (time AT TIME ZONE 'UTC')::date FROM usage_record_default LIMIT 400")
    )
    return {row[0] for row in rows}


def _make(session: Session, day: date) -> None:
    """Beside the table, filled from the default partition, then attached: one transaction."""
    name, start, end = _name(day), f"{day}T00:00:00Z", f"{day + timedelta(days=1)}T00:00:00Z"
    run = session.connection().execute
    run(text("LOCK TABLE usage_record_default IN ACCESS EXCLUSIVE MODE"))
    run(text(f"CREATE TABLE {name} (LIKE usage_record INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
    run(
        text(
            f"WITH moved AS (DELETE FROM usage_record_default WHERE time >= '{start}' AND time < '{end}' "  # noqa: S608
            f"RETURNING *) INSERT INTO {name} SELECT * FROM moved"
        )
    )
    run(text(f"ALTER TABLE usage_record ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')"))
