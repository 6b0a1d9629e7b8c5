"""Reads and writes rollouts, and counts the calls by which they are judged."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel import Session, col, select

from control_plane.rollouts.model import CANARY, RolloutRow
from control_plane.usage.sql import IS_CALL, IS_ERROR

# What went before counts for the comparison.
BEFORE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Counts:
    calls: int
    errors: int

    @property
    def rate(self) -> float:
        return self.errors / self.calls if self.calls else 0.0


def under_way(session: Session) -> RolloutRow | None:
    return session.exec(select(RolloutRow).where(RolloutRow.state == CANARY)).one_or_none()


def page(session: Session, before: int, limit: int) -> list[RolloutRow]:
    """Newest first."""
    statement = select(RolloutRow).where(RolloutRow.revision < before)
    return list(session.exec(statement.order_by(col(RolloutRow.revision).desc()).limit(limit)))


def write(session: Session, row: RolloutRow) -> None:
    session.add(row)
    session.flush()


def counts(session: Session, proxies: Collection[str], since: datetime) -> tuple[Counts, Counts]:
    """Calls of these proxies since then; of all others, and of these before."""
    statement = text(
        f"""
        SELECT proxy = ANY(:proxies) AND time >= :since,
          count(*) FILTER (WHERE {IS_CALL}), count(*) FILTER (WHERE {IS_ERROR} AND purpose = 0)
        FROM usage_record WHERE time >= :before GROUP BY 1
        """  # noqa: S608 - constants
    )
    found = {True: Counts(0, 0), False: Counts(0, 0)}
    parameters = {"proxies": list(proxies), "since": since, "before": since - BEFORE}
    for is_canary, calls, errors in session.connection().execute(statement, parameters):
        found[bool(is_canary)] = Counts(int(calls), int(errors))
    return found[True], found[False]
