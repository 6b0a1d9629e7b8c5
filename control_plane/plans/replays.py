"""Runs a replay: pages out of the database, the work in a thread, progress to whoever asked. One at a time.

Python's threads share one lock, so that the work lets the event loop in after every few hundred attempts.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.plans import recorded
from control_plane.plans.errors import ReplayRunning
from control_plane.plans.overlay import as_decided, check, overlaid
from control_plane.plans.recorded import PAGE, Recorded, Window
from control_plane.plans.replay import Replay
from control_plane.plans.report import Report
from control_plane.plans.tree import EntryName
from control_plane.resources.model import Declared
from control_plane.snapshots.model import Entry, Name
from control_plane.snapshots.service import Publisher
from headgate.v1 import config_pb2

# Attempts between two breaths.
BREATH = 250


class Replays:
    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher
        self._running = False

    async def run(
        self, window: Window, asked: Sequence[Declared]
    ) -> AsyncIterator[tuple[int, int, Report | None]]:
        """(attempts read, of about so many, the report at the end). Raises ReplayRunning, InvalidField."""
        if self._running:
            raise ReplayRunning
        snapshot = self._publisher.require()
        declared = await self._database.read(lambda session: as_decided(session, asked))
        check(overlaid(_messages(snapshot.view("").entries), declared), declared)

        def entries_of(region: str) -> Mapping[EntryName, config_pb2.ConfigEntry]:
            return overlaid(_messages(snapshot.view(region).entries), declared)

        self._running = True
        try:
            attempts = await self._database.read(lambda session: recorded.count(session, window))
            window = replace(window, one_in=recorded.sampled(attempts))
            # Both passes read everything.
            total, done = 2 * attempts // window.one_in, 0
            replay = Replay(window.tenant, entries_of, window.one_in)
            for work in (replay.learn, replay.decide):
                after = None
                while True:

                    def step(session: Session) -> list[Recorded]:
                        page = recorded.page(session, window, after)  # noqa: B023 - run before it changes
                        for start in range(0, len(page), BREATH):
                            work(page[start : start + BREATH])  # noqa: B023
                            time.sleep(0.001)
                        return page

                    page = await self._database.read(step)
                    done += len(page)
                    yield done, max(total, done), None
                    if len(page) < PAGE:
                        break
                    after = page[-1].time, page[-1].id
            yield done, done, replay.report
        finally:
            self._running = False


def _messages(entries: Mapping[Name, Entry]) -> dict[EntryName, config_pb2.ConfigEntry]:
    return {(name.kind, name.tenant, name.name): entry.message for name, entry in entries.items()}
