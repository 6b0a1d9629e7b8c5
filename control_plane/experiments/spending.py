"""What the background of experiments has cost: judges, and answers that no client saw.

Proxies that have a limit are told today's sums of all proxies every few seconds; each counts its own at
once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from sqlalchemy import text
from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.errors import DatabaseAway, QueryTooLong
from control_plane.experiments.model import Spent
from control_plane.experiments.store import Question
from control_plane.snapshots.model import Entry
from headgate.v1 import config_pb2

EVERY_SECONDS = 3.0
SECONDS_PER_DAY = 86_400

# Second answers that pairwise judges asked for are paid by the judge; shadows pay for themselves.
_SUMS = """
SELECT tenant, experiment, CASE WHEN purpose = 2 THEN variant ELSE '' END AS variant,
  coalesce(sum(cost_picousd::numeric), 0)
FROM usage_record
WHERE time >= :start AND time < :end AND experiment <> '' AND purpose <> 0
"""


def of_experiment(session: Session, question: Question) -> Iterator[Spent]:
    statement = f"{_SUMS} AND tenant = :tenant AND experiment = :experiment GROUP BY 1, 2, 3 ORDER BY 3"
    parameters = {
        "start": question.start,
        "end": question.end,
        "tenant": question.tenant,
        "experiment": question.experiment,
    }
    judging = 0
    for _, _, variant, picousd in session.connection().execute(text(statement), parameters):
        if variant in question.shadows:
            yield Spent(variant, int(picousd))
        else:
            judging += int(picousd)
    if judging:
        yield Spent("", judging)


class Spending:
    """Kept in memory of each replica, read again every few seconds where some experiment has a limit."""

    def __init__(
        self, database: Database, entries: Callable[[], list[Entry]], now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._entries = entries
        self._now = now
        self.today = config_pb2.Spending()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            shadows = self._limited()
            if not shadows:
                self.today = config_pb2.Spending()
                continue
            now = self._now()
            try:
                self.today = await self._database.read(lambda session: _today(session, now, shadows))  # noqa: B023
            except (DatabaseAway, QueryTooLong):
                continue

    def _limited(self) -> dict[str, set[str]]:
        """Experiments that have a limit, by name, with their shadows."""
        found: dict[str, set[str]] = {}
        for entry in self._entries():
            spec = entry.message.experiment
            if spec.judge.max_usd_per_day or any(v.max_usd_per_day for v in spec.variants):
                found.setdefault(spec.name, set()).update(v.name for v in spec.variants if v.shadow)
        return found


def _today(session: Session, now: datetime, shadows: dict[str, set[str]]) -> config_pb2.Spending:
    start = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = session.connection().execute(text(f"{_SUMS} GROUP BY 1, 2, 3"), {"start": start, "end": now})
    sums: dict[tuple[str, str, str], int] = {}
    for tenant, experiment, variant, picousd in rows:
        if experiment in shadows:
            purse = tenant, experiment, variant if variant in shadows[experiment] else ""
            sums[purse] = sums.get(purse, 0) + int(picousd)
    return config_pb2.Spending(
        day=int(start.timestamp()) // SECONDS_PER_DAY,
        spent=[
            config_pb2.Spent(tenant=t, experiment=e, variant=v, picousd=picousd)
            for (t, e, v), picousd in sums.items()
        ],
    )
