"""Idle connections to one origin, newest first, so that a quiet pool shrinks from its old end."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable

from proxy.upstream.connection import Connection
from proxy.upstream.dial import dial
from proxy.upstream.reach import Origin, Reach

# Idle connections kept per origin; what 16 busy clients leave behind many times over.
MAX_IDLE = 256
# Providers' load balancers drop idle connections after 60 s and more; we do it first.
MAX_IDLE_SECONDS = 50.0


class Pool:
    """Connections to one origin in one way."""

    __slots__ = ("_clock", "_idle", "_tls", "open", "origin", "reach")

    def __init__(
        self, origin: Origin, reach: Reach, *, tls: ssl.SSLContext, clock: Callable[[], float]
    ) -> None:
        self.origin = origin
        self.reach = reach
        self.open: set[Connection] = set()
        self._tls = tls
        self._clock = clock
        self._idle: deque[Connection] = deque()

    def take(self) -> Connection | None:
        """An idle connection that was alive when last heard of, or None."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.transport is None:
                continue
            if self._clock() - connection.idle_since > MAX_IDLE_SECONDS or connection.transport.is_closing():
                connection.abort()
                continue
            connection.reused = True
            return connection
        return None

    async def connect(self, timeout_seconds: float) -> Connection:
        """A new connection. Raises AttemptFailed."""
        connection = Connection(self)
        await dial(
            self.origin,
            lambda: connection,
            reach=self.reach,
            tls=self._tls,
            timeout_seconds=timeout_seconds,
        )
        self.open.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        if connection.transport is None:
            return
        if len(self._idle) >= MAX_IDLE:
            connection.abort()
            return
        connection.idle_since = self._clock()
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        self.open.discard(connection)

    def prune(self) -> None:
        """Closes what has been idle too long; called every few seconds."""
        now = self._clock()
        while self._idle and (
            self._idle[0].transport is None or now - self._idle[0].idle_since > MAX_IDLE_SECONDS
        ):
            self._idle.popleft().abort()

    def close(self) -> None:
        for connection in [*self.open]:
            connection.abort()
        self._idle.clear()


class Pools:
    """All pools of a worker, by origin and the way there."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls or default_tls()
        self._pools: dict[tuple[Origin, Reach], Pool] = {}
        self._clock = time.monotonic

    def pool(self, origin: Origin, reach: Reach) -> Pool:
        """ValueError if `reach.ca` holds no certificates."""
        key = (origin, reach)
        pool = self._pools.get(key)
        if pool is None:
            tls = tls_with(reach.ca) if reach.ca else self._tls
            pool = self._pools[key] = Pool(origin, reach, tls=tls, clock=self._clock)
        return pool

    async def prune_forever(self) -> None:
        while True:
            await asyncio.sleep(MAX_IDLE_SECONDS / 10)
            for pool in self._pools.values():
                pool.prune()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


def tls_with(ca: str) -> ssl.SSLContext:
    """These certificate authorities (PEM) and no others. ValueError if there are none."""
    try:
        return _restricted(ssl.create_default_context(cadata=ca))
    except ssl.SSLError as error:
        raise ValueError(f"holds no PEM certificates ({error.reason or 'unreadable'})") from None


def default_tls() -> ssl.SSLContext:
    """The system's certificate authorities."""
    return _restricted(ssl.create_default_context())


def _restricted(context: ssl.SSLContext) -> ssl.SSLContext:
    """HTTP/1.1 only, TLS 1.2 and up."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
