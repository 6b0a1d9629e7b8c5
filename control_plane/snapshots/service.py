"""The publisher: one current snapshot per replica, and the last few to compute deltas against.

Woken by NOTIFY, and by a look at the revision every two seconds in case a notification was lost. A
snapshot that is inconsistent or lacks a secret is not published: the last good one stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.errors import ControlPlaneError, DatabaseAway, QueryTooLong
from control_plane.revisions.model import Version
from control_plane.revisions.service import Revisions
from control_plane.secrets.vault import Vault
from control_plane.snapshots.builder import Builder, Built
from control_plane.snapshots.errors import Inconsistent, NoSnapshot
from control_plane.snapshots.model import Entry, Snapshot
from control_plane.snapshots.store import load
from control_plane.waiting import wait_at_most
from headgate.rules.errors import SpecError

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
# Bases for deltas. A proxy that is further behind gets a whole snapshot.
KEPT_SNAPSHOTS = 16


class Publisher:
    def __init__(
        self, database: Database, vault: Vault, revisions: Revisions, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._revisions = revisions
        self._vault = vault
        self._builder = Builder(vault)
        self._now = now
        self._built: Built | None = None
        self._kept: OrderedDict[Version, Snapshot] = OrderedDict()
        self._problem = "not built yet"
        self._published_at: OrderedDict[Version, datetime] = OrderedDict()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def current(self) -> Snapshot | None:
        return self._built.snapshot if self._built else None

    @property
    def problem(self) -> str:
        """Why the newest revision is not published; empty: it is."""
        return self._problem

    @property
    def overlay_problem(self) -> str:
        """Why a rollout's overlay is not published; empty: it is, or there is none."""
        return self._built.overlay_problem if self._built else ""

    def require(self) -> Snapshot:
        if self._built is None:
            raise NoSnapshot(self._problem)
        return self._built.snapshot

    def experiments(self) -> list[Entry]:
        """Those that are published."""
        entries = self._built.snapshot.entries if self._built else {}
        return [entry for name, entry in entries.items() if name.kind == "experiment"]

    def kept(self, version: Version) -> Snapshot | None:
        return self._kept.get(version)

    def published_at(self, version: Version) -> datetime | None:
        return self._published_at.get(version)

    def wake(self) -> None:
        """A revision was committed somewhere."""
        self._wake.set()

    async def wait_beyond(self, version: Version | None) -> Snapshot:
        """The current snapshot, as soon as it is another than this version."""
        while self._built is None or self._built.snapshot.version == version:
            await self._changed.wait()
        return self._built.snapshot

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await wait_at_most(self._wake, CHECK_SECONDS)
            self._wake.clear()
            await self.refresh()

    async def follow(self, served: Version) -> None:
        """`served` is newer than what the database has, or this replica knows: catch up, or begin anew."""
        now = self._now()
        try:
            is_new = await self._database.run(lambda session: self._revisions.follow(session, served, now))
        except (DatabaseAway, QueryTooLong):
            return
        if is_new:
            log.critical(
                "the database is older than what is served: restored? A new epoch begins",
                extra={"data": {"served": str(served)}},
            )
        await self.refresh()

    async def refresh(self) -> None:
        """Publish what is newest, if that is possible now; remember why not, if not."""
        try:
            if self._vault.sealed_because is not None:
                await self._database.run(self._vault.check)
            built = await self._database.read(self._build)
        except (DatabaseAway, QueryTooLong):
            return
        except NoSnapshot as error:
            self._set_problem(error.reason)
            return
        except Inconsistent as error:
            self._set_problem("inconsistent: " + "; ".join(error.problems[:10]))
            return
        except SpecError as error:
            self._set_problem(f"a stored spec cannot be read: {error}")
            return
        except ControlPlaneError as error:  # whatever it is, what is published goes on being served
            self._set_problem(f"{type(error).__name__}: {error}")
            return
        self._problem = ""
        if built is None:
            return
        if self._built is not None:
            last, newest = self._built.snapshot.version, built.snapshot.version
            if last.epoch == newest.epoch and newest < last:
                # A standby that was behind has taken over: what is served is of no database any more.
                await self.follow(last)
                return
        self._publish(built)

    def _build(self, session: Session) -> Built | None:
        now = self._now()
        last = self._built
        loaded = load(session, last.snapshot.version if last else None, now)
        if loaded is None:
            return None
        built = self._builder.build(loaded, last)
        built.snapshot.check()
        return built

    def _publish(self, built: Built) -> None:
        self._built = built
        version = built.snapshot.version
        self._kept[version] = built.snapshot
        self._published_at[version] = self._now()
        while len(self._kept) > KEPT_SNAPSHOTS:
            old, _ = self._kept.popitem(last=False)
            self._published_at.pop(old, None)
        self._changed.set()
        self._changed = asyncio.Event()
        log.info(
            "published",
            extra={"data": {"version": str(version), "entries": len(built.snapshot.entries)}},
        )

    def _set_problem(self, problem: str) -> None:
        if problem != self._problem:
            log.error("the newest revision is not published", extra={"data": {"reason": problem}})
        self._problem = problem
