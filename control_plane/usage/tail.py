"""Follows calls as they are committed, here or on another replica.

Woken by a notification at most five times a second, and by a look every two seconds. Commits become visible
out of the order in which they began, so each look reaches back a little and what was given is remembered.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from control_plane.db.database import Database
from control_plane.errors import DatabaseAway, QueryTooLong
from control_plane.usage import calls
from control_plane.usage.model import Call
from control_plane.waiting import wait_at_most

LOOK_SECONDS = 2.0
REACH_BACK = timedelta(seconds=10)
MAX_REMEMBERED = 50_000
MAX_PER_LOOK = 1_000


class Tail:
    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._committed = asyncio.Event()

    def wake(self) -> None:
        self._committed.set()
        self._committed = asyncio.Event()

    async def follow(self, chosen: calls.Filter) -> AsyncIterator[Call]:
        """From now on, without end."""
        since = self._now()
        given: OrderedDict[UUID, None] = OrderedDict()
        while True:
            committed = self._committed
            looked_at, after, all_read = self._now(), None, False
            while not all_read:
                look = partial(
                    calls.committed_since,
                    chosen=chosen,
                    since=since,
                    after=after,
                    given=given,
                    limit=MAX_PER_LOOK,
                )
                try:
                    found, after = await self._database.read(look)
                except (DatabaseAway, QueryTooLong):
                    break
                for call in found:
                    given[call.request_id] = None
                    yield call
                while len(given) > MAX_REMEMBERED:
                    given.popitem(last=False)
                all_read = after is None
            # Only past what was read: what is not looked at now must not be left out.
            if all_read:
                since = max(since, looked_at - REACH_BACK)
            await wait_at_most(committed, LOOK_SECONDS)
