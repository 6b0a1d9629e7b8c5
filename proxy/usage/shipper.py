"""Ships spooled records to the control plane and lets them go when they are acknowledged (P4).

At least once on the wire, exactly once in the database: a batch is sent again until its ack came, and
records are known by their id there. The order within a spool is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from headgate.v1 import usage_pb2, usage_pb2_grpc
from proxy.ids import unix_ms_of
from proxy.logs import Log
from proxy.processes.channel import is_cancelled
from proxy.usage.record import unknown_from
from proxy.usage.spool_reader import SpooledRecord, SpoolReader

if TYPE_CHECKING:
    from proxy.processes.channel import Channels

POLL_SECONDS = 0.1
MAX_BATCH = 1_000
# The control plane refuses batches over 4 MiB; the record that crosses this bound still goes along.
MAX_BATCH_BYTES = 2 * 2**20
# Batches sent and not yet acknowledged.
MAX_UNACKED = 4
FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 2.0


@dataclass(slots=True)
class _Batch:
    sequence: int
    parts: list[tuple[SpoolReader, list[SpooledRecord]]]

    def payloads(self, *, scores: bool) -> list[bytes]:
        return [
            record.payload for _, records in self.parts for record in records if record.is_score is scores
        ]


@dataclass(slots=True)
class _Stream:
    """One life of the Report stream."""

    # The last batch that went over it.
    sent: int = 0
    over: bool = False
    # An acknowledgement came, or the stream is over.
    moved: asyncio.Event = field(default_factory=asyncio.Event)


class Shipper:
    """All spool folders of a proxy: the living workers' and the dead ones'."""

    def __init__(
        self,
        channels: Channels,
        log: Log,
        *,
        proxy: str,
        region: str,
        unix_ms: Callable[[], int],
        random: Callable[[], float],
    ) -> None:
        self._channels = channels
        self._log = log
        self._hello = usage_pb2.UsageHello(proxy=proxy, region=region)
        self._unix_ms = unix_ms
        self._random = random
        self._readers: dict[Path, SpoolReader] = {}
        self._unacked: deque[_Batch] = deque()
        self._sequence = 0
        # Of readers that are done.
        self._damaged_frames = 0
        self._oldest_ms: int | None = None
        self._closing = False
        self._drained = asyncio.Event()
        # Folders whose trouble was said.
        self._said: set[Path] = set()

    def add(self, folder: Path, *, writer_alive: bool) -> None:
        """A folder to ship from. `writer_alive`: more may come."""
        reader = self._readers.get(folder)
        if reader is None:
            reader = self._readers[folder] = SpoolReader(folder)
        if not writer_alive:
            reader.writer_died()

    @property
    def spool_bytes(self) -> int:
        return sum(reader.bytes_on_disk() for reader in self._readers.values())

    @property
    def fullest_bytes(self) -> int:
        """Of the spool that has most: each worker's is bounded by itself."""
        return max((reader.bytes_on_disk() for reader in self._readers.values()), default=0)

    @property
    def lag_seconds(self) -> float:
        """Age of the oldest record that is not acknowledged."""
        if self._oldest_ms is None:
            return 0.0
        return max(0.0, (self._unix_ms() - self._oldest_ms) / 1000)

    @property
    def damaged_frames(self) -> int:
        return self._damaged_frames + sum(reader.damaged_frames for reader in self._readers.values())

    @property
    def is_stuck(self) -> bool:
        """A folder cannot be read up, or not be rid of what was acknowledged; the others are shipped."""
        return any(reader.trouble for reader in self._readers.values())

    async def drain(self, seconds: float) -> bool:
        """After the last writer stopped: ships what is left; False if it did not get rid of all."""
        self._closing = True
        try:
            async with asyncio.timeout(seconds):
                await self._drained.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            # Nothing to report: no stream is needed, and none is held against the server.
            await self._wait_for_records()
            try:
                await self._report()
            except grpc.aio.AioRpcError as error:
                self._log.event("usage_stream_lost", reason=f"{error.code().name}: {error.details()}")
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                self._log.event("usage_stream_lost", reason="the call was cancelled")
            await asyncio.sleep(backoff * (0.5 + 0.5 * self._random()))
            backoff = min(backoff * 2, MAX_BACKOFF_SECONDS) if self._unacked else FIRST_BACKOFF_SECONDS

    async def _wait_for_records(self) -> None:
        while not self._unacked and not self._gather():
            await asyncio.sleep(POLL_SECONDS)

    def _bury(self) -> None:
        """Folders of dead writers that hold nothing any more."""
        for folder, reader in [*self._readers.items()]:
            if reader.finished:
                try:
                    folder.rmdir()
                except OSError:
                    continue  # something was set aside there; it stays for whoever looks at it
                finally:
                    self._damaged_frames += reader.damaged_frames
                    del self._readers[folder]

    def _gather(self) -> bool:
        """Reads another batch from the spools; False if there is nothing new."""
        parts = []
        room, room_bytes = MAX_BATCH, MAX_BATCH_BYTES
        for folder, reader in self._readers.items():
            if room <= 0 or room_bytes <= 0:
                break
            records = reader.read(room, room_bytes)
            self._say_trouble(folder, reader.trouble)
            if not records:
                orphans = reader.orphans(room, room_bytes)
                records = [SpooledRecord(unknown_from(r.payload), r.segment) for r in orphans]
            if records:
                parts.append((reader, records))
                room -= len(records)
                room_bytes -= sum(len(record.payload) for record in records)
        if not parts:
            self._bury()
            if self._closing and not self._unacked and not self.is_stuck:
                self._drained.set()
            if not self._unacked:
                self._oldest_ms = None
            return False
        self._sequence += 1
        self._unacked.append(_Batch(self._sequence, parts))
        self._note_oldest()
        return True

    def _say_trouble(self, folder: Path, trouble: str) -> None:
        """Once, until it is over."""
        if not trouble:
            self._said.discard(folder)
        elif folder not in self._said:
            self._said.add(folder)
            self._log.event("spool_stuck", folder=str(folder), reason=trouble)

    def _note_oldest(self) -> None:
        if self._unacked:
            first = self._unacked[0].parts[0][1][0]
            self._oldest_ms = unix_ms_of(first.payload[2:18])
        else:
            self._oldest_ms = None

    async def _report(self) -> None:
        stub = usage_pb2_grpc.UsageServiceStub(self._channels.channel())  # type: ignore[no-untyped-call]
        stream = _Stream()
        call = stub.Report(self._requests(stream), metadata=self._channels.metadata())
        try:
            async for response in call:
                # Never more than went over this stream, whatever the other side says.
                acked = min(response.acked_sequence, stream.sent)
                while self._unacked and self._unacked[0].sequence <= acked:
                    for reader, records in self._unacked.popleft().parts:
                        reader.acknowledge(records)
                self._bury()
                self._note_oldest()
                stream.moved.set()
        finally:
            # grpc.aio leaves the iterator of a call that failed to itself: it must not go on reading spools.
            stream.over = True
            stream.moved.set()
            call.cancel()

    async def _requests(self, stream: _Stream) -> AsyncIterator[usage_pb2.ReportRequest]:
        yield usage_pb2.ReportRequest(hello=self._hello)
        while not stream.over:
            stream.moved.clear()
            batch = next((one for one in self._unacked if one.sequence > stream.sent), None)
            if batch is not None:
                stream.sent = batch.sequence
                yield _request(batch)
            elif len(self._unacked) >= MAX_UNACKED:
                await stream.moved.wait()
            elif not self._gather():
                await asyncio.sleep(POLL_SECONDS)


def _request(batch: _Batch) -> usage_pb2.ReportRequest:
    return usage_pb2.ReportRequest(
        batch=usage_pb2.UsageBatch(
            sequence=batch.sequence,
            records=batch.payloads(scores=False),
            scores=batch.payloads(scores=True),
        )
    )
