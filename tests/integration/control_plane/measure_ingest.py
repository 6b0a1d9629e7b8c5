"""Measures usage ingest by itself: `python -m tests.integration.control_plane.measure_ingest`.

One control plane process with its own PostgreSQL; proxies as gRPC streams from a process of their own, so
that the CPU time printed is the control plane's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc
import uvloop

from headgate.v1 import usage_pb2
from tests.integration.control_plane.records import make_record
from tests.integration.control_plane.replica import Replica, start_postgres

BATCH = 500
UNDER_WAY = 4


def _send(address: str, token: str, streams: int, batches: int) -> None:
    async def one(stream: int) -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            call: Any = channel.stream_stream(
                "/headgate.v1.UsageService/Report",
                request_serializer=lambda request: request,
                response_deserializer=usage_pb2.ReportResponse.FromString,
            )(metadata=(("authorization", f"Bearer {token}"),))
            hello = usage_pb2.UsageHello(proxy=f"p{stream}", region="us")
            await call.write(usage_pb2.ReportRequest(hello=hello).SerializeToString())
            acked = sent = 0
            while acked < batches:
                while sent < batches and sent - acked < UNDER_WAY:
                    await call.write(prepared[stream][sent])
                    sent += 1
                acked = (await call.read()).acked_sequence
            await call.done_writing()

    prepared = []
    for stream in range(streams):
        mine = []
        for number in range(batches):
            records = [make_record(key=f"k{(stream * 7 + i) % 50}", model=f"m{i % 10}") for i in range(BATCH)]
            batch = usage_pb2.UsageBatch(sequence=number + 1, records=records)
            mine.append(usage_pb2.ReportRequest(batch=batch).SerializeToString())
        prepared.append(mine)

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            for stream in range(streams):
                tasks.create_task(one(stream))

    started = time.monotonic()
    uvloop.run(run())
    seconds = time.monotonic() - started
    total = streams * batches * BATCH
    print(f"{total} records, {streams} streams: {total / seconds:,.0f} records/s end to end")


async def _measure(folder: Path, streams: int, batches: int) -> None:
    embedded, url = start_postgres(folder)
    try:
        async with Replica.running(url) as replica:
            token = await replica.proxy_token()
            context = multiprocessing.get_context("spawn")
            process = context.Process(target=_send, args=(replica.address, token, streams, batches))
            process.start()
            before = _cpu()
            while process.is_alive():
                await asyncio.sleep(0.05)
            used = _cpu() - before
            total = streams * batches * BATCH
            print(f"plane: {used / total * 1e6:.1f} µs CPU a record, {total / used:,.0f} records/s a core")
            print(f"transactions: {replica.control_plane.ingest.transactions_total}")
    finally:
        embedded.stop()


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--batches", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headgate-") as name:
        uvloop.run(_measure(Path(name), given.streams, given.batches))
