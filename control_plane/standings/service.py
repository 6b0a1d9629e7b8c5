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
from headgate.policy.standing import aged, merged, sound
from headgate.v1 import config_pb2

EVERY_SECONDS = 2.0
MERGED_FOR = timedelta(seconds=2)
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
        # By region: when its views were put together, and what that gave.
        self._merged: dict[str, tuple[datetime, config_pb2.Standings]] = {}

    def reported(self, proxy: Proxy, standings: config_pb2.Standings) -> None:
        if standings.ByteSize() > MAX_REPORT_BYTES:
            return
        report = Reported(proxy.name, proxy.region, self._now(), sound(standings))
        self._reports[proxy.name] = self._dirty[proxy.name] = report

    def reports(self, region: str | None = None) -> list[Reported]:
        """Of all proxies (of a region) that said something lately, as of now."""
        now = self._now()
        return [
            Reported(
                report.proxy,
                report.region,
                report.reported_at,
                aged(report.standings, max(0.0, (now - report.reported_at).total_seconds())),
            )
            for report in self._reports.values()
            if report.reported_at > now - KEPT and region in (None, report.region)
        ]

    def of_region(self, region: str) -> config_pb2.Standings:
        """Several proxies' views as one. Not to be changed: made every two seconds, for all who ask.

        200 views of 20 models take 30 ms; made for each of the 200 by itself they were 6 s of every 4.
        """
        now = self._now()
        made = self._merged.get(region)
        if made is None or not timedelta(0) <= now - made[0] < MERGED_FOR:
            self._merged = {
                name: kept
                for name, kept in self._merged.items()
                if timedelta(0) <= now - kept[0] < MERGED_FOR
            }
            made = now, merged(report.standings for report in self.reports(region))
            self._merged[region] = made
        return made[1]

    def is_alone(self, proxy: Proxy) -> bool:
        """Whether no other proxy of its region has said anything."""
        return not any(
            report.region == proxy.region and report.proxy != proxy.name for report in self._reports.values()
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
