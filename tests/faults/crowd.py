"""Many played proxies in a process of their own: `python -m tests.faults.crowd ADDRESS PROXIES REPORT`.

Each keeps a config stream open, takes what comes, and comes back by itself when the stream breaks, with the
pauses that a proxy makes. A line of JSON for each complete update goes to the report: proxy, region, when
(CLOCK_MONOTONIC), version, nonce, whether it was whole, entries. The token comes from the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import grpc

from headgate.v1 import config_pb2
from proxy.config.stream import FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS

REGIONS = ("eu", "us", "ap")
# As a proxy's.
OPTIONS: list[tuple[str, int]] = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
    # A connection for each, as from two hundred machines.
    ("grpc.use_local_subchannel_pool", 1),
]


class Member:
    def __init__(self, address: str, number: int, report: TextIO) -> None:
        self._address, self._report = address, report
        self.name, self.region = f"crowd-{number}", REGIONS[number % len(REGIONS)]
        self._entries = 0
        self._metadata = (("authorization", f"Bearer {os.environ['HEADGATE_TOKEN']}"),)

    async def run(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        async with grpc.aio.insecure_channel(self._address, OPTIONS) as channel:
            watch = channel.stream_stream(
                "/headgate.v1.ConfigService/Watch",
                request_serializer=config_pb2.WatchRequest.SerializeToString,
                response_deserializer=config_pb2.WatchResponse.FromString,
            )
            while True:
                call: Any = watch(metadata=self._metadata)
                try:
                    # As one that was started again without its disk: it serves nothing.
                    hello = config_pb2.ProxyHello(name=self.name, region=self.region, software_version="1")
                    await call.write(config_pb2.WatchRequest(hello=hello))
                    while (response := await call.read()) is not grpc.aio.EOF:
                        backoff = FIRST_BACKOFF_SECONDS
                        if response.HasField("update"):
                            await self._take(call, response.update)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    pass
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))
                backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)

    async def _take(self, call: Any, update: config_pb2.ConfigUpdate) -> None:
        self._entries += len(update.upserts)
        if not update.last:
            return
        line = {
            "proxy": self.name,
            "region": self.region,
            "at": time.monotonic(),
            "revision": update.version.revision,
            "nonce": update.nonce,
            "whole": not update.HasField("base"),
            "entries": self._entries,
        }
        self._entries = 0
        self._report.write(json.dumps(line) + "\n")
        ack = config_pb2.ConfigAck(nonce=update.nonce, version=update.version)
        await call.write(config_pb2.WatchRequest(ack=ack))


async def main(address: str, proxies: int, report: Path) -> None:
    with report.open("a", buffering=1) as lines:
        async with asyncio.TaskGroup() as tasks:
            for number in range(proxies):
                tasks.create_task(Member(address, number, lines).run())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
