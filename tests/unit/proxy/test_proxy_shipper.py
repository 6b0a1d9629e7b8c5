"""The shipper outlives its stream, in whatever way that ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from headgate.rules.credentials import Secret
from headgate.v1 import usage_pb2, usage_pb2_grpc
from proxy.logs import Log
from proxy.processes.channel import Channels
from proxy.usage.shipper import Shipper
from proxy.usage.spool import FINAL, Spool

SEGMENT_BYTES = 4096
PATIENCE_SECONDS = 10.0


class Taker(usage_pb2_grpc.UsageServiceServicer):
    """Acknowledges everything."""

    def __init__(self) -> None:
        self.streams = 0
        self.records: list[bytes] = []

    async def Report(self, requests: Any, context: Any) -> AsyncIterator[usage_pb2.ReportResponse]:
        self.streams += 1
        async for request in requests:
            if request.HasField("batch"):
                self.records += request.batch.records
                yield usage_pb2.ReportResponse(acked_sequence=request.batch.sequence)

    async def wait_for(self, records: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.records) < records:
                await asyncio.sleep(0.01)


def record(number: int) -> bytes:
    return usage_pb2.UsageRecord(id=bytes(15) + bytes((number,))).SerializeToString()


async def ship_over_two_channels(folder: Path) -> Taker:
    """The first is closed with the stream open, as one of an old certificate is."""
    taker, server = Taker(), grpc.aio.server()
    usage_pb2_grpc.add_UsageServiceServicer_to_server(taker, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channels = Channels((f"127.0.0.1:{port}",), Secret("token"), None)
    shipper = Shipper(channels, Log(), proxy="p", region="eu", unix_ms=lambda: 0, random=lambda: 0.0)
    spool = Spool(folder, 100 * SEGMENT_BYTES, SEGMENT_BYTES)
    shipper.add(folder, writer_alive=True)
    shipping = asyncio.create_task(shipper.run())
    try:
        spool.append(FINAL, record(1))
        await taker.wait_for(1)
        first = channels.channel()
        channels.renewed()
        await first.close()
        spool.append(FINAL, record(2))
        await taker.wait_for(2)
    finally:
        shipping.cancel()
        await asyncio.wait([shipping])
        await channels.close()
        await server.stop(None)
        spool.close()
    assert shipping.cancelled(), "and yet it ends when it is told to"
    return taker


def test_a_channel_that_is_closed_under_its_stream_costs_a_stream_and_not_the_shipper(tmp_path: Path) -> None:
    taker = asyncio.run(ship_over_two_channels(tmp_path / "spool"))
    assert taker.records == [record(1), record(2)]
    assert taker.streams == 2
