"""From a bearer token to a Principal, without a query for each call.

Verified tokens are believed for two seconds, unknown ones are refused for as long; both caches are
bounded. Streams outlive that: each waits for its token's end, which a sweep over the tokens in use (one
query for all of them) and the notification of a revocation tell. With the database away, open
streams go on and new ones wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from cachetools import LRUCache, TTLCache
from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.errors import DatabaseAway, QueryTooLong
from control_plane.tokens import store
from control_plane.tokens.errors import NotAuthenticated, TooManyAtOnce
from control_plane.tokens.model import Principal
from control_plane.waiting import wait_at_most
from headgate.rules.credentials import MAX_CREDENTIAL_BYTES, digest

log = logging.getLogger(__name__)

# A revoked token is refused everywhere within two seconds; half of that is the sweep's.
BELIEVED_SECONDS = 1.0
SWEEP_SECONDS = 1.0
MAX_CACHED = 10_000
# Look-ups that may run at once: guessing must not use up the database's connections. Tokens that were good
# before have some of their own, so that nobody's guesses stand in their way; of the others so many may wait.
MAX_LOOKUPS = 4
MAX_KNOWN_LOOKUPS = 2
MAX_WAITING = 256


class Authenticator:
    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._known: TTLCache[bytes, Principal] = TTLCache(MAX_CACHED, BELIEVED_SECONDS)
        self._unknown: TTLCache[bytes, bool] = TTLCache(MAX_CACHED, BELIEVED_SECONDS)
        self._in_use: dict[bytes, set[asyncio.Event]] = {}
        self._lookups = asyncio.Semaphore(MAX_LOOKUPS)
        self._waiting = 0
        self._known_lookups = asyncio.Semaphore(MAX_KNOWN_LOOKUPS)
        self._good_before: LRUCache[bytes, None] = LRUCache(MAX_CACHED)
        self._wake = asyncio.Event()

    async def authenticate_key(self, sha256: bytes) -> Principal:
        """A proxy by the key of its certificate. Raises NotAuthenticated, DatabaseAway."""
        return await self._principal(sha256)

    async def authenticate(self, metadata: Mapping[str, str | bytes]) -> Principal:
        """By a bearer token. Raises NotAuthenticated, DatabaseAway."""
        header = metadata.get("authorization", "")
        scheme, _, token = header.partition(" ") if isinstance(header, str) else ("", "", "")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_CREDENTIAL_BYTES:
            raise NotAuthenticated
        return await self._principal(digest(token.strip()))

    async def _principal(self, sha256: bytes) -> Principal:
        if sha256 in self._unknown:
            raise NotAuthenticated
        principal = self._known.get(sha256)
        if principal is None:
            principal = await self._look_up(sha256)
        if principal.expires_at is not None and principal.expires_at <= self._now():
            raise NotAuthenticated
        return principal

    async def _look_up(self, sha256: bytes) -> Principal:
        if sha256 in self._good_before:
            async with self._known_lookups:
                return await self._ask(sha256)
        if self._waiting >= MAX_WAITING:
            raise TooManyAtOnce(MAX_WAITING)
        self._waiting += 1
        try:
            async with self._lookups:
                return await self._ask(sha256)
        finally:
            self._waiting -= 1

    async def _ask(self, sha256: bytes) -> Principal:
        if (known := self._known.get(sha256)) is not None:
            return known
        now = self._now()
        found = await self._database.run(lambda session: store.find_principal(session, sha256, now))
        if found is None:
            self._unknown[sha256] = True
            raise NotAuthenticated
        self._known[sha256] = found
        self._good_before[sha256] = None
        return found

    @contextmanager
    def watching(self, principal: Principal) -> Iterator[asyncio.Event]:
        """An event that is set when this token ends, for as long as a stream uses it."""
        ended = asyncio.Event()
        events = self._in_use.setdefault(principal.sha256, set())
        events.add(ended)
        try:
            yield ended
        finally:
            events.discard(ended)
            if not events:
                self._in_use.pop(principal.sha256, None)

    def forget(self) -> None:
        """Some token changed, here or on another replica: believe nothing, and look at the streams."""
        self._known.clear()
        self._unknown.clear()
        self._wake.set()

    async def sweep(self) -> None:
        """Runs until cancelled."""
        while True:
            await wait_at_most(self._wake, SWEEP_SECONDS)
            self._wake.clear()
            if self._in_use:
                await self._sweep_once(set(self._in_use))

    async def _sweep_once(self, hashes: set[bytes]) -> None:
        now = self._now()

        def ask(session: Session) -> set[bytes]:
            return store.still_valid(session, hashes, now)

        try:
            valid = await self._database.run(ask)
        except (DatabaseAway, QueryTooLong):
            return
        for sha256 in hashes - valid:
            for event in self._in_use.get(sha256, ()):
                event.set()
