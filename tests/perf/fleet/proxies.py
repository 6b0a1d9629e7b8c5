"""Many proxies, as one control plane sees them: each a connection and a stream of its own, that
acknowledges at once.

They parse what they are sent and keep none of it: what a real proxy does with it is measured elsewhere
(docs/performance.md). All live in one process, which one core serves; what they take is in the figures.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import grpc

from headgate.v1 import config_pb2

_WATCH = "/headgate.v1.ConfigService/Watch"
_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 16 * 2**20))


@dataclass
class Acks:
    """When which proxy acknowledged which revision (monotonic seconds)."""

    at: dict[int, list[float]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, revision: int) -> None:
        self.at.setdefault(revision, []).append(time.monotonic())
        self.changed.set()

    async def all_of(self, count: int, revision: int, timeout_seconds: float) -> list[float]:
        """The times at which each proxy had this revision or a later one, once all have."""
        async with asyncio.timeout(timeout_seconds):
            while len(self._reached(revision)) < count:
                self.changed.clear()
                await self.changed.wait()
        return self._reached(revision)

    def _reached(self, revision: int) -> list[float]:
        return [at for number, times in self.at.items() if number >= revision for at in times]


class Fleet:
    """`start` connects all at once; `stop` ends them. Proxies are sent one revision after the other, so that
    an ack of a later one stands for those that were skipped."""

    def __init__(self, address: str, token: str, count: int) -> None:
        self.count = count
        self.acks = Acks()
        self.bytes_received = 0
        self._address = address
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._proxy(number)) for number in range(self.count)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _proxy(self, number: int) -> None:
        options = [*_OPTIONS, ("headgate.proxy", number)]
        async with grpc.aio.insecure_channel(self._address, options) as channel:
            stub: Any = channel.stream_stream(
                _WATCH,
                request_serializer=config_pb2.WatchRequest.SerializeToString,
                response_deserializer=None,
            )
            call = stub(metadata=self._metadata)
            hello = config_pb2.ProxyHello(name=f"proxy-{number}", region="eu", software_version="1")
            await call.write(config_pb2.WatchRequest(hello=hello))
            async for data in call:
                self.bytes_received += len(data)
                update = config_pb2.WatchResponse.FromString(data).update
                if not update.last:
                    continue
                ack = config_pb2.ConfigAck(nonce=update.nonce, version=update.version)
                await call.write(config_pb2.WatchRequest(ack=ack))
                self.acks.add(update.version.revision)
