"""Watches the rollout that is under way: halts it when its proxies refuse it, go away with it or fail more
calls than others, promotes it when its time is over. One replica at a time does so."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlmodel import Session

from control_plane.db import locks
from control_plane.db.database import Database
from control_plane.errors import ControlPlaneError, DatabaseAway, QueryTooLong
from control_plane.fleet.model import Proxy
from control_plane.fleet.service import Fleet
from control_plane.revisions.model import Version
from control_plane.revisions.store import read_head
from control_plane.rollouts import store
from control_plane.rollouts.errors import AnotherRollout, ChangedMeanwhile, NoRollout
from control_plane.rollouts.model import RolloutRow
from control_plane.rollouts.service import Rollouts
from control_plane.rollouts.store import Counts

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
# Who decides, as the audit trail calls it.
ACTOR = "headgate"
MAX_PROXIES = 10_000
# Who took it and is gone for longer may have died of it. Restarts and changes of replica are shorter.
GONE = timedelta(seconds=60)
# A rise in errors: so many at least, so much more than elsewhere, and no chance of it (standard errors; it is
# looked at every second, hence four).
MIN_ERRORS = 5
MIN_DIFFERENCE = 0.01
STANDARD_ERRORS = 4.0


class RolloutWatch:
    """`overlay_problem`: why the overlay cannot be published; empty: it can."""

    def __init__(
        self,
        database: Database,
        rollouts: Rollouts,
        fleet: Fleet,
        overlay_problem: Callable[[], str],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._rollouts = rollouts
        self._fleet = fleet
        self._overlay_problem = overlay_problem
        self._now = now
        # (rollout, proxy that took it): since when it has not been connected, as far as was looked: a control
        # plane that was away itself takes nobody for dead.
        self._gone: dict[tuple[int, str], datetime] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                found = await self._database.read(_under_way)
                if found is not None:
                    await self._look_at(*found)
            except (DatabaseAway, QueryTooLong):
                self._gone.clear()  # time in which nobody looked is nobody's absence

    async def _look_at(self, row: RolloutRow, version: Version) -> None:
        """`version`: the first one with the rollout in it; a restored database has another epoch."""
        proxies = await self._fleet.list("", MAX_PROXIES)
        group = [proxy for proxy in proxies if row.group.has(proxy.name, proxy.labels)]
        now = self._now()
        gone = (
            (row.revision, proxy.name) for proxy in group if proxy.acked >= version and not proxy.connected
        )
        self._gone = {one: self._gone.get(one, now) for one in gone}
        try:
            await self._database.run(partial(self._judge, row=row, version=version, group=group))
        except (DatabaseAway, QueryTooLong):
            raise
        except (NoRollout, AnotherRollout, ChangedMeanwhile):
            return  # somebody was faster: the next look judges what is there then
        except ControlPlaneError as error:  # it cannot be applied (any more)
            await self._halt(row, f"it could not be promoted: {error}")

    async def _halt(self, row: RolloutRow, reason: str) -> None:
        now = self._now()
        try:
            await self._database.run(
                lambda session: self._rollouts.halt(session, row.revision, ACTOR, reason, now)
            )
        except ControlPlaneError:
            log.exception("a rollout could not be halted")

    def _judge(self, session: Session, row: RolloutRow, version: Version, group: list[Proxy]) -> None:
        if not locks.taken(session, locks.ROLLOUT):
            return
        now = self._now()
        reason = self._against(session, row, version, group)
        if reason:
            self._rollouts.halt(session, row.revision, ACTOR, reason, now)
            log.error("rollout halted", extra={"data": {"rollout": row.revision, "reason": reason}})
            return
        # One that nobody has tried is not without trouble: a label that no proxy has promotes nothing.
        tried = any(proxy.connected and proxy.acked >= version for proxy in group)
        behind = any(proxy.connected and proxy.acked < version for proxy in group)
        is_over = now >= row.started_at + timedelta(seconds=row.bake_seconds)
        if is_over and tried and not behind and not self._gone:
            self._rollouts.promote(session, row.revision, ACTOR, f"no trouble in {row.bake_seconds} s", now)
            log.info("rollout promoted", extra={"data": {"rollout": row.revision}})

    def _against(self, session: Session, row: RolloutRow, version: Version, group: list[Proxy]) -> str:
        """Why it must not go on; empty: it may."""
        for proxy in group:
            if proxy.nacked >= version:
                return f"{proxy.name} refused it: {proxy.last_nack}"
        for (_, name), since in self._gone.items():
            if self._now() - since >= GONE:
                return f"{name} took it and has not been connected for {GONE.total_seconds():.0f} s"
        if problem := self._overlay_problem():
            return problem
        if (changed := self._rollouts.changed_meanwhile(session, row)) is not None:
            return f"{changed} was declared otherwise or deleted meanwhile"
        new, usual = store.counts(session, [proxy.name for proxy in group], row.started_at)
        if is_a_rise(new, usual):
            usual_rate = f"elsewhere and before: {usual.rate:.1%}"
            return f"{new.errors} of {new.calls} calls failed ({new.rate:.1%}; {usual_rate})"
        return ""


def _under_way(session: Session) -> tuple[RolloutRow, Version] | None:
    row = store.under_way(session)
    return (row, Version(read_head(session).epoch, row.revision)) if row is not None else None


def is_a_rise(new: Counts, usual: Counts) -> bool:
    """Of errors: whether the new rate is surely above the usual one (two proportions, pooled)."""
    if new.errors < MIN_ERRORS or new.rate - usual.rate < MIN_DIFFERENCE:
        return False
    if not usual.calls:
        return new.rate > 0.5
    pooled = (new.errors + usual.errors) / (new.calls + usual.calls)
    error = math.sqrt(pooled * (1 - pooled) * (1 / new.calls + 1 / usual.calls))
    return new.rate - usual.rate > STANDARD_ERRORS * error
