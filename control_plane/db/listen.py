"""LISTEN: wakes this replica when another committed something. A lost notification costs time, not truth:
everybody who waits for one also looks by himself now and then.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping

import psycopg

from control_plane.db.database import CONNECTION_OPTIONS
from headgate.rules.credentials import Secret

log = logging.getLogger(__name__)

RETRY_SECONDS = (0.1, 1.0)
# A connection that is silently dead is found out by asking something this often.
PROBE_SECONDS = 20.0


class Listener:
    """`channels`: channel → what to call; also after every reconnect, as something may have been missed."""

    def __init__(self, url: Secret, channels: Mapping[str, Callable[[], None]]) -> None:
        self._url = url
        self._channels = channels

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("lost the notifications", extra={"data": {"error": type(error).__name__}})
            await asyncio.sleep(random.uniform(*RETRY_SECONDS))  # noqa: S311 - jitter

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._url.text,
            autocommit=True,
            **CONNECTION_OPTIONS,  # type: ignore[arg-type]
        )
        async with connection:
            for channel in self._channels:
                await connection.execute(f'LISTEN "{channel}"'.encode())
            for call in self._channels.values():
                call()
            while True:
                async for notification in connection.notifies(timeout=PROBE_SECONDS):
                    if call_one := self._channels.get(notification.channel):
                        call_one()
                await connection.execute("SELECT 1")
