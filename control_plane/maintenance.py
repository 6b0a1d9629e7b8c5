"""What must be done now and then, by one replica at a time: partitions, retention, old first answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlmodel import Session

from control_plane.db import locks, roles
from control_plane.db.database import Database
from control_plane.errors import DatabaseAway, QueryTooLong
from control_plane.experiments import spending
from control_plane.identity import store as identity_store
from control_plane.minted import store as minted_store
from control_plane.minted.service import KEPT
from control_plane.standings import store as standings_store
from control_plane.standings.service import KEPT as STANDINGS_KEPT
from control_plane.usage import partitions, scores

log = logging.getLogger(__name__)

EVERY_SECONDS = 600.0
RETRY_SECONDS = 15.0


class Maintenance:
    def __init__(self, database: Database, retention_days: int, now: Callable[[], datetime]) -> None:
        self._database = database
        self._retention_days = retention_days
        self._now = now

    def keep_up(self, session: Session) -> None:
        """One round, unless another replica is at it."""
        if not locks.taken(session, locks.MAINTENANCE):
            return
        now = self._now()
        roles.take_owner(session)
        made, dropped = partitions.keep_up(session, now, self._retention_days)
        minted_store.forget_before(session, now - KEPT)
        standings_store.forget_before(session, now - STANDINGS_KEPT)
        identity_store.forget_before(session, now)
        oldest = now - timedelta(days=self._retention_days)
        scores.forget_before(session, oldest)
        spending.forget_before(session, oldest)
        if made or dropped:
            log.info("partitions", extra={"data": {"made": made, "dropped": dropped}})

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                await self._database.run(self.keep_up)
                pause = EVERY_SECONDS
            except (DatabaseAway, QueryTooLong):
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)
