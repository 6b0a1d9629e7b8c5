"""Usage ingest: batches in, committed rows out, exactly once.

A few writers take what waits, from whichever streams, and commit it as one transaction: when commits are
slow, batches pile up and the next transaction is larger. A batch's future resolves after the commit that
contains it, never before. Records that the database will not take are found by halving and set aside.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from control_plane.errors import DatabaseAway
from control_plane.usage import scores, sql, store
from control_plane.usage.errors import Poison
from control_plane.usage.model import Batch, Outcome, Quarantined
from control_plane.usage.records import content_hash, line_of
from headgate.rules.credentials import Secret

log = logging.getLogger(__name__)

# Two: one prepares while the other waits for its commit. More only meet each other in the roll-ups.
WRITERS = 2
MAX_WAITING_BATCHES = 256
# Of all batches that wait or are being written: streams are many, and a batch may have 4 MiB.
MAX_WAITING_BYTES = 64 * 2**20
# Per transaction. Larger ones gain nothing and hold their locks for longer.
MAX_MERGED_RECORDS = 4_000
# Records prepared without letting the event loop do something else.
PREPARED_AT_ONCE = 250
RETRY_SECONDS = (0.05, 0.5)
NOTIFY_SECONDS = 0.2
ATTEMPTS = 5


@dataclass(slots=True)
class _Waiting:
    batch: Batch
    done: asyncio.Future[Outcome]
    outcome: Outcome = field(default_factory=Outcome)


@dataclass(slots=True)
class _Prepared:
    """A record as a line, and where it came from."""

    waiting: _Waiting
    ordinal: int
    raw: bytes
    digest: str
    line: str

    def aside(self, record_id: str | None, why: str) -> _Bad:
        proxy = self.waiting.batch.proxy
        return self.waiting, Quarantined(proxy, self.digest, record_id, why, self.raw)


_Bad = tuple[_Waiting, Quarantined]


class Ingest:
    def __init__(self, url: Secret, retention_days: int, now: Callable[[], datetime]) -> None:
        self._url = url
        self._retention = timedelta(days=retention_days)
        self._now = now
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(MAX_WAITING_BATCHES)
        self._waiting_bytes = 0
        self._room = asyncio.Event()
        self._notified = 0.0
        # See Database.
        self.has_roles = False
        self.records_total = 0
        self.scores_total = 0
        self.scores_too_late_total = 0
        self.quarantined_total = 0
        self.transactions_total = 0

    @property
    def waiting_batches(self) -> int:
        return self._queue.qsize()

    async def submit(self, batch: Batch) -> asyncio.Future[Outcome]:
        """Waits for room; the future resolves after the commit, or raises DatabaseAway."""
        size = sum(map(len, batch.records)) + sum(map(len, batch.scores))
        while self._waiting_bytes and self._waiting_bytes + size > MAX_WAITING_BYTES:
            self._room.clear()
            await self._room.wait()
        self._waiting_bytes += size
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        # Its stream may be gone by then; nobody needs to hear of that.
        future.add_done_callback(_notice)
        future.add_done_callback(lambda _: self._gone(size))
        try:
            await self._queue.put(_Waiting(batch, future))
        except BaseException:
            # Its stream ended while it waited for a place: the bytes are given back as for any other.
            future.cancel()
            raise
        return future

    def _gone(self, size: int) -> None:
        self._waiting_bytes -= size
        self._room.set()

    async def run(self) -> None:
        """Runs until cancelled; batches under way then fail, and their proxies send them again."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WRITERS):
                tasks.create_task(self._write_forever())

    async def _write_forever(self) -> None:
        connection: store.Connection | None = None
        try:
            while True:
                taken = await self._take()
                try:
                    if connection is None or connection.closed:
                        connection = await store.connect(self._url, has_roles=self.has_roles)
                    await self._commit(connection, taken)
                except (psycopg.Error, OSError) as error:
                    _fail(taken, DatabaseAway(type(error).__name__))
                    if not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, OSError)):
                        log.critical(
                            "a batch could not be written", extra={"data": {"error": str(error)[:500]}}
                        )
                    await _discard(connection)
                    connection = None
                    await asyncio.sleep(random.uniform(*RETRY_SECONDS))  # noqa: S311 - jitter
                except BaseException:
                    _fail(taken, DatabaseAway("stopping"))
                    raise
        finally:
            await _discard(connection)

    async def _take(self) -> list[_Waiting]:
        taken = [await self._queue.get()]
        size = len(taken[0].batch.records)
        while size < MAX_MERGED_RECORDS and not self._queue.empty():
            taken.append(self._queue.get_nowait())
            size += len(taken[-1].batch.records)
        return [one for one in taken if not one.done.cancelled()]

    async def _commit(self, connection: store.Connection, taken: list[_Waiting]) -> None:
        outcomes = {id(one): Outcome() for one in taken}
        prepared, bad = await self._prepare(taken)
        bad += await self._merge(connection, prepared, outcomes)
        bad += await self._write_scores(connection, taken)
        if bad:
            await self._set_aside(connection, bad, outcomes)
        for one in taken:
            self.records_total += len(one.batch.records)
            if not one.done.done():
                one.done.set_result(outcomes[id(one)])

    async def _write_scores(self, connection: store.Connection, taken: list[_Waiting]) -> list[_Bad]:
        """Those that can be read are committed, if their calls are still kept; the others are returned."""
        rows: list[scores.Row] = []
        bad: list[_Bad] = []
        oldest_ms, now_ms = self._bounds()
        for one in taken:
            for raw in one.batch.scores:
                try:
                    row = scores.row_of(raw, one.batch.proxy, oldest_ms, now_ms)
                except Poison as error:
                    aside = Quarantined(
                        one.batch.proxy, content_hash(raw), None, error.why, raw, is_score=True
                    )
                    bad.append((one, aside))
                    continue
                if row is None:
                    self.scores_too_late_total += 1
                else:
                    rows.append(row)
        if rows:
            async with connection.transaction():
                await store.write_scores(connection, rows)
            self.scores_total += len(rows)
        return bad

    async def _set_aside(
        self, connection: store.Connection, bad: list[_Bad], outcomes: dict[int, Outcome]
    ) -> None:
        async with connection.transaction():
            await store.quarantine(connection, [record for _, record in bad])
        for owner, record in bad:
            outcomes[id(owner)].quarantined += 1
            log.error(
                "usage record set aside",
                extra={"data": {"proxy": record.proxy, "why": record.why, "id": record.record_id}},
            )
        self.quarantined_total += len(bad)

    def _bounds(self) -> tuple[int, int]:
        """(oldest, now) in Unix milliseconds."""
        now = self._now()
        return int((now - self._retention).timestamp() * 1000), int(now.timestamp() * 1000)

    async def _prepare(self, taken: list[_Waiting]) -> tuple[list[_Prepared], list[_Bad]]:
        oldest_ms, now_ms = self._bounds()
        prepared: list[_Prepared] = []
        bad: list[_Bad] = []
        for one in taken:
            proxy = one.batch.proxy
            for raw in one.batch.records:
                ordinal = len(prepared)
                if ordinal % PREPARED_AT_ONCE == PREPARED_AT_ONCE - 1:
                    await asyncio.sleep(0)
                digest = content_hash(raw)
                try:
                    line = line_of(raw, digest, proxy, ordinal, oldest_ms, now_ms)
                except Poison as error:
                    bad.append((one, Quarantined(proxy, digest, None, error.why, raw)))
                else:
                    prepared.append(_Prepared(one, ordinal, raw, digest, line))
        return prepared, bad

    async def _merge(
        self, connection: store.Connection, prepared: list[_Prepared], outcomes: dict[int, Outcome]
    ) -> list[_Bad]:
        """Commits them, in one transaction if the database takes all; the ones that must be set aside."""
        if not prepared:
            return []
        try:
            merged = await self._in_one_transaction(connection, [one.line for one in prepared])
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(prepared) == 1:
                return [prepared[0].aside(None, f"the database refuses it: {type(error).__name__}")]
            middle = len(prepared) // 2
            bad = await self._merge(connection, prepared[:middle], outcomes)
            return bad + await self._merge(connection, prepared[middle:], outcomes)
        if not merged.standings:
            for one in prepared:
                outcomes[id(one.waiting)].inserted += 1
            return []
        return _judge(prepared, merged.standings, outcomes)

    async def _in_one_transaction(self, connection: store.Connection, lines: list[str]) -> store.Merged:
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._try(connection, lines)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                continue
        return await self._try(connection, lines)

    async def _try(self, connection: store.Connection, lines: list[str]) -> store.Merged:
        async with connection.transaction():
            merged = await store.merge(connection, lines)
            await self._notify(connection)
        self.transactions_total += 1
        return merged

    async def _notify(self, connection: store.Connection) -> None:
        """Tell those who follow calls, now and then: a notification takes a lock at commit."""
        now = asyncio.get_running_loop().time()
        if now - self._notified >= NOTIFY_SECONDS:
            self._notified = now
            await connection.execute(sql.NOTIFY)


def _judge(
    prepared: list[_Prepared], standings: list[store.Standing], outcomes: dict[int, Outcome]
) -> list[_Bad]:
    """What became of each record where not all were new. Of the same id twice, the first one counts."""
    by_ordinal = {one.ordinal: one for one in prepared}
    seen: set[str] = set()
    bad: list[_Bad] = []
    for standing in standings:
        one = by_ordinal[standing.ordinal]
        first = standing.record_id not in seen
        seen.add(standing.record_id)
        if standing.is_new and first:
            outcomes[id(one.waiting)].inserted += 1
        elif standing.is_same:
            outcomes[id(one.waiting)].repeated += 1
        else:
            bad.append(one.aside(standing.record_id, "known under this id with other content"))
    return bad


def _notice(future: asyncio.Future[Outcome]) -> None:
    if not future.cancelled():
        future.exception()


def _fail(taken: list[_Waiting], error: Exception) -> None:
    for one in taken:
        if not one.done.done():
            one.done.set_exception(error)


async def _discard(connection: store.Connection | None) -> None:
    if connection is not None:
        try:
            await connection.close()
        except psycopg.Error:
            pass
