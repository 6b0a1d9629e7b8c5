"""UsageService.Report: batches in, acknowledgements out, in the order in which the batches came.

An acknowledgement is sent after the commit that contains the batch. A few batches of a stream may be under
way at once; beyond that nothing is read, and HTTP/2 holds the proxy back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from control_plane.errors import DatabaseAway
from control_plane.fleet.errors import BadHello, NotItself
from control_plane.fleet.service import check_identity
from control_plane.tokens.authenticator import Authenticator
from control_plane.tokens.errors import NotAuthenticated
from control_plane.tokens.model import Principal
from control_plane.usage.errors import BatchTooLarge
from control_plane.usage.ingest import Ingest
from control_plane.usage.model import Batch, Outcome
from headgate.rules.names import is_name
from headgate.v1 import usage_pb2

MAX_BATCH_RECORDS = 10_000
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_UNDER_WAY = 8

_Pending = tuple[int, asyncio.Future[Outcome]]


class _Ended(Exception):
    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


class UsageStreams:
    def __init__(self, ingest: Ingest, authenticator: Authenticator) -> None:
        self._ingest = ingest
        self._authenticator = authenticator

    async def report(
        self,
        requests: AsyncIterator[usage_pb2.ReportRequest],
        context: grpc.aio.ServicerContext[usage_pb2.ReportRequest, usage_pb2.ReportResponse],
        caller: Principal,
    ) -> None:
        """Raises BadHello, BatchTooLarge, DatabaseAway, NotAuthenticated (the token ended)."""
        # The queue's bound is the number of batches under way.
        pending: asyncio.Queue[_Pending | None] = asyncio.Queue(MAX_UNDER_WAY)
        cause: Exception | None = None
        try:
            with self._authenticator.watching(caller) as ended:
                async with asyncio.TaskGroup() as tasks:
                    reader = tasks.create_task(self._read(requests, pending, caller))
                    watcher = tasks.create_task(_end_when(ended))
                    await self._acknowledge(context, pending)
                    reader.cancel()
                    watcher.cancel()
        except* _Ended as group:
            cause = next(e.cause for e in _leaves(group))
        if cause is not None:
            raise cause

    async def _read(
        self,
        requests: AsyncIterator[usage_pb2.ReportRequest],
        pending: asyncio.Queue[_Pending | None],
        caller: Principal,
    ) -> None:
        proxy = ""
        async for request in requests:
            if request.HasField("hello"):
                proxy = request.hello.proxy
                try:
                    check_identity(caller, proxy, request.hello.region)
                except NotItself as error:
                    raise _Ended(error) from None
            if not is_name(proxy):
                raise _Ended(BadHello("the first message must be a hello with the proxy's name"))
            if not request.HasField("batch"):
                continue
            batch = request.batch
            if (
                len(batch.records) + len(batch.scores) > MAX_BATCH_RECORDS
                or batch.ByteSize() > MAX_BATCH_BYTES
            ):
                limit = f"at most {MAX_BATCH_RECORDS} records and {MAX_BATCH_BYTES} bytes a batch"
                raise _Ended(BatchTooLarge(limit))
            future = await self._ingest.submit(Batch(proxy, list(batch.records), list(batch.scores)))
            await pending.put((batch.sequence, future))
        await pending.put(None)

    async def _acknowledge(
        self,
        context: grpc.aio.ServicerContext[usage_pb2.ReportRequest, usage_pb2.ReportResponse],
        pending: asyncio.Queue[_Pending | None],
    ) -> None:
        while (one := await pending.get()) is not None:
            sequence, future = one
            try:
                outcome = await future
            except DatabaseAway as error:
                raise _Ended(error) from None
            await context.write(
                usage_pb2.ReportResponse(
                    acked_sequence=sequence,
                    inserted=outcome.inserted,
                    repeated_records=outcome.repeated,
                    quarantined=outcome.quarantined,
                )
            )


async def _end_when(ended: asyncio.Event) -> None:
    await ended.wait()
    raise _Ended(NotAuthenticated())


def _leaves(group: BaseExceptionGroup[_Ended]) -> list[_Ended]:
    leaves: list[_Ended] = []
    for error in group.exceptions:
        leaves.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return leaves
