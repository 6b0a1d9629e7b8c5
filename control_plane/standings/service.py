"""What proxies have learned, by region: kept in memory of the replica that was told, shared by a table.

Written behind and read again every few seconds. What is lost here is measured again by the next calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.errors import DatabaseAway, QueryTooLong
from control_plane.fleet.model import Proxy
from control_plane.standings import store
from control_plane.standings.model import Reported
from headgate.policy.standing import aged, merged
from headgate.v1 import config_pb2

EVERY_SECONDS = 2.0
# Older reports say nothing of now.
KEPT = timedelta(minutes=5)
# A report beyond this is not kept: 1,000 models are a tenth of it.
MAX_REPORT_BYTES = 1_000_000


class Standings:
    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._reports: dict[str, Reported] = {}
        self._dirty: dict[str, Reported] = {}

    def reported(self, proxy: Proxy, standings: config_pb2.Standings) -> None:
        if standings.ByteSize() > MAX_REPORT_BYTES:
            return
        report = Reported(proxy.name, proxy.region, self._now(), standings)
        self._reports[proxy.name] = self._dirty[proxy.name] = report

    def reports(self) -> list[Reported]:
        """Of all proxies that said something lately, as of now."""
        now = self._now()
        return [
            Reported(
                report.proxy,
                report.region,
                report.reported_at,
                aged(report.standings, max(0.0, (now - report.reported_at).total_seconds())),
            )
            for report in self._reports.values()
            if report.reported_at > now - KEPT
        ]

    def of_region(self, region: str, besides: str = "") -> config_pb2.Standings:
        """Several proxies' views as one; `besides`: a proxy whose own is left out."""
        return merged(
            report.standings
            for report in self.reports()
            if report.region == region and report.proxy != besides
        )

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self._exchange()

    async def _exchange(self) -> None:
        dirty, self._dirty = list(self._dirty.values()), {}
        moment = self._now() - KEPT

        def work(session: Session) -> list[Reported]:
            if dirty:
                store.write(session, dirty)
            return store.since(session, moment)

        try:
            found = await self._database.run(work)
        except (DatabaseAway, QueryTooLong):
            for report in dirty:
                self._dirty.setdefault(report.proxy, report)
            return
        for report in found:
            known = self._reports.get(report.proxy)
            if known is None or known.reported_at < report.reported_at:
                self._reports[report.proxy] = report
        self._reports = {name: r for name, r in self._reports.items() if r.reported_at > moment}
