"""The registry of connected proxies: what each was sent, acknowledged and refused, and how stale it is.

Truth is in memory of the replica that holds the stream; the table is its reflection for the other
replicas, written behind at most five times a second, all dirty rows in one statement.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.errors import DatabaseAway, QueryTooLong
from control_plane.fleet import store
from control_plane.fleet.errors import NotItself
from control_plane.fleet.model import Proxy
from control_plane.revisions.model import Version
from control_plane.tokens.model import Principal
from control_plane.waiting import wait_at_most
from headgate.rules.names import is_name

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.2
POLL_SECONDS = 0.1
LAST_FLUSH_SECONDS = 1.0
# A proxy on another replica that was not seen for longer is not waited for.
SEEN_WITHIN = timedelta(seconds=30)
# Every connected proxy's row is written this often, whether or not it said anything.
HEARTBEAT = timedelta(seconds=10)
MAX_LABELS = 32
MAX_TEXT = 256


class Fleet:
    def __init__(self, database: Database, replica: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._replica = replica
        self._now = now
        self._connected: dict[str, Proxy] = {}
        self._dirty: dict[str, Proxy] = {}
        self._being_written: dict[str, Proxy] = {}
        self._acked = asyncio.Event()
        self._urgent = asyncio.Event()
        self._last_heartbeat = now()

    @property
    def connected_count(self) -> int:
        return len(self._connected)

    async def last_known(self, name: str) -> Proxy | None:
        """What any replica knows of it; None also when the database does not answer."""
        for newer_than_the_table in (self._connected, self._dirty, self._being_written):
            if name in newer_than_the_table:
                return newer_than_the_table[name]
        try:
            return await self._database.run(lambda session: store.find(session, name))
        except (DatabaseAway, QueryTooLong):
            return None

    def connect(self, proxy: Proxy) -> None:
        proxy.replica = self._replica
        self._connected[proxy.name] = proxy
        self._seen(proxy)
        self._urgent.set()

    def disconnect(self, proxy: Proxy) -> None:
        proxy.connected = False
        if self._connected.get(proxy.name) is proxy:
            del self._connected[proxy.name]
            self._dirty[proxy.name] = proxy
            self._urgent.set()
        self._tell()

    def acknowledged(self, proxy: Proxy, version: Version, is_current: bool) -> None:
        proxy.acked = version
        if is_current:
            proxy.stale_since = None
        self._seen(proxy)
        self._tell()

    def refused(self, proxy: Proxy, version: Version, resource: str, reason: str) -> None:
        proxy.nacked = version
        what = f"{resource[:MAX_TEXT]}: {reason[:MAX_TEXT]}" if resource else reason[:MAX_TEXT]
        proxy.last_nack = what.replace("\0", "")  # which no text of the database's can hold
        self._seen(proxy)
        self._tell()

    def reported(self, proxy: Proxy, spool_bytes: int, usage_lag_seconds: float) -> None:
        proxy.spool_bytes = spool_bytes
        proxy.usage_lag_seconds = usage_lag_seconds
        self._seen(proxy)

    def behind(self, proxy: Proxy, since: datetime) -> None:
        """Something newer is published than what it acknowledged."""
        if proxy.stale_since is None:
            proxy.stale_since = since
            self._dirty[proxy.name] = proxy

    async def wait_for(
        self, version: Version, timeout_seconds: float
    ) -> tuple[list[str], list[str], list[str]]:
        """(acknowledged, pending, refused) of the connected proxies, once none is pending or in time."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while True:
            changed = self._acked
            result = await self._standing(version)
            remaining = deadline - asyncio.get_running_loop().time()
            if not result[1] or remaining <= 0:
                return result
            await wait_at_most(changed, min(remaining, POLL_SECONDS))

    async def _standing(self, version: Version) -> tuple[list[str], list[str], list[str]]:
        proxies = list(self._connected.values())
        seen_after = self._now() - SEEN_WITHIN
        try:
            proxies += await self._database.run(
                lambda session: store.connected_elsewhere(session, self._replica, seen_after)
            )
        except (DatabaseAway, QueryTooLong):
            pass
        acknowledged, pending, refused = [], [], []
        for proxy in proxies:
            if proxy.acked >= version:
                acknowledged.append(proxy.name)
            elif proxy.nacked >= version:
                refused.append(f"{proxy.name}: {proxy.last_nack}")
            else:
                pending.append(proxy.name)
        return acknowledged, sorted(pending), sorted(refused)

    async def list(self, after: str, limit: int) -> list[Proxy]:
        rows = await self._database.run(lambda session: store.list_all(session, after, limit))
        found = {proxy.name: proxy for proxy in rows}
        # What is in memory is newer; a proxy that has just come may not have its row yet.
        for proxy in self._connected.values():
            if proxy.name in found or (proxy.name > after and len(found) < limit):
                found[proxy.name] = proxy
        now = self._now()
        for name, proxy in found.items():
            if proxy.connected and proxy.replica != self._replica and proxy.last_seen < now - SEEN_WITHIN:
                found[name] = replace(proxy, connected=False)
        return [found[name] for name in sorted(found)]

    async def run(self) -> None:
        """Writes the table behind. Runs until cancelled; the last state is then written once more."""
        try:
            while True:
                await wait_at_most(self._urgent, FLUSH_SECONDS)
                self._urgent.clear()
                self._beat()
                await self._flush()
        finally:
            for proxy in self._connected.values():
                proxy.connected = False
                self._dirty[proxy.name] = proxy
            try:
                async with asyncio.timeout(LAST_FLUSH_SECONDS):
                    await self._flush()
            except TimeoutError:
                pass

    def _beat(self) -> None:
        now = self._now()
        if now - self._last_heartbeat >= HEARTBEAT:
            self._last_heartbeat = now
            for proxy in self._connected.values():
                self._seen(proxy)

    async def _flush(self) -> None:
        if not self._dirty:
            return
        dirty, self._dirty = self._dirty, {}
        self._being_written = dirty
        copies = [replace(proxy) for proxy in dirty.values()]

        def write(session: Session) -> None:
            store.write(session, copies)

        try:
            await self._database.run(write)
        except (DatabaseAway, QueryTooLong):
            self._dirty = {**dirty, **self._dirty}
        except Exception:
            log.exception("proxies not written", extra={"data": {"proxies": len(copies)}})
            await self._flush_singly(dirty.values())
        finally:
            self._being_written = {}

    async def _flush_singly(self, proxies: Iterable[Proxy]) -> None:
        """What one proxy says of itself must not keep the others out of the table, nor end this task."""
        for proxy in proxies:
            copy = replace(proxy)
            try:
                await self._database.run(lambda session: store.write(session, [copy]))  # noqa: B023
            except (DatabaseAway, QueryTooLong):
                self._dirty.setdefault(proxy.name, proxy)
            except Exception:
                log.exception("proxy not written", extra={"data": {"proxy": proxy.name}})

    def _seen(self, proxy: Proxy) -> None:
        proxy.last_seen = self._now()
        self._dirty[proxy.name] = proxy

    def _tell(self) -> None:
        self._acked.set()
        self._acked = asyncio.Event()


def check_identity(caller: Principal, name: str, region: str) -> None:
    """What a certificate names, its proxy cannot say otherwise. Raises NotItself."""
    if caller.region is not None and (name, region) != (caller.name, caller.region):
        raise NotItself(caller.name, caller.region)


def hello_problem(name: str, region: str, labels: dict[str, str], software_version: str) -> str | None:
    """Why a proxy cannot be called that, or None."""
    if not is_name(name):
        return "name is not a name"
    if region and not is_name(region):
        return "region is not a name"
    if len(labels) > MAX_LABELS or any(len(k) + len(v) > MAX_TEXT for k, v in labels.items()):
        return f"more than {MAX_LABELS} labels, or too long ones"
    if len(software_version) > MAX_TEXT:
        return "software_version is too long"
    if not "".join((software_version, *labels, *labels.values())).isprintable():
        return "a label or software_version holds a control character"
    return None
