"""What the background of experiments has cost: judges, and answers that no client saw.

Proxies that have a limit are told today's sums of all proxies every few seconds; each counts its own at
once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

from sqlalchemy import text
from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.errors import DatabaseAway, QueryTooLong
from control_plane.experiments.model import Spent
from control_plane.experiments.store import Question
from control_plane.snapshots.model import Entry
from headgate.rules.names import SHARED_TENANT
from headgate.v1 import config_pb2

EVERY_SECONDS = 3.0
# Experiments that have a limit, by (tenant, name): the variants that clients see.
Seen = dict[tuple[str, str], set[str]]

_OF_EXPERIMENT = """
SELECT CASE WHEN purpose = 2 THEN variant ELSE '' END, coalesce(sum(cost_picousd::numeric), 0)
FROM usage_record
WHERE tenant = :tenant AND experiment = :experiment AND time >= :start AND time < :end AND purpose <> 0
GROUP BY 1 ORDER BY 1
"""
_TODAY = "SELECT tenant, experiment, variant, cost_picousd FROM background_day WHERE day = :day"


def of_experiment(session: Session, question: Question) -> Iterator[Spent]:
    """Second answers that pairwise judges asked for are paid by the judge; shadows pay for themselves."""
    parameters = {
        "start": question.start,
        "end": question.end,
        "tenant": question.tenant,
        "experiment": question.experiment,
    }
    judging = 0
    for variant, picousd in session.connection().execute(text(_OF_EXPERIMENT), parameters):
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
            limited = self._limited()
            if not limited:
                self.today = config_pb2.Spending()
                continue
            now = self._now()
            try:
                self.today = await self._database.read(lambda session: _today(session, now, limited))  # noqa: B023
            except (DatabaseAway, QueryTooLong):
                continue

    def _limited(self) -> Seen:
        found: Seen = {}
        for entry in self._entries():
            spec = entry.message.experiment
            if spec.judge.max_usd_per_day or any(v.max_usd_per_day for v in spec.variants):
                found[spec.tenant, spec.name] = {v.name for v in spec.variants if not v.shadow}
        return found


def _today(session: Session, now: datetime, limited: Seen) -> config_pb2.Spending:
    """By the tenant of the calls, whose own experiment comes before a shared one of its name.

    Copies by variants that clients see are for a judge, who pays. A shadow's, also of one that was stopped
    today, are its own.
    """
    day = now.astimezone(UTC).date()
    sums: dict[tuple[str, str, str], int] = {}
    for tenant, experiment, variant, picousd in session.connection().execute(text(_TODAY), {"day": day}):
        seen = limited.get((tenant, experiment), limited.get((SHARED_TENANT, experiment)))
        if seen is not None:
            purse = tenant, experiment, "" if variant in seen else variant
            sums[purse] = sums.get(purse, 0) + int(picousd)
    return config_pb2.Spending(
        day=(day - date(1970, 1, 1)).days,
        spent=[
            config_pb2.Spent(tenant=t, experiment=e, variant=v, picousd=picousd)
            for (t, e, v), picousd in sums.items()
        ],
    )


def forget_before(session: Session, moment: datetime) -> None:
    session.connection().execute(text("DELETE FROM background_day WHERE day < :day"), {"day": moment.date()})
