"""The config stream outlives its channel, as one of an old certificate is closed after some renewals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from headgate.rules.credentials import Secret
from headgate.v1 import config_pb2, config_pb2_grpc
from proxy.config.holder import ConfigHolder
from proxy.config.stream import ConfigStream
from proxy.logs import Log
from proxy.processes.channel import Channels
from proxy.settings import Address, Settings
from tests.unit.proxy import entries

PATIENCE_SECONDS = 10.0


class Publisher(config_pb2_grpc.ConfigServiceServicer):
    """Each stream gets one version more."""

    def __init__(self) -> None:
        self.served: list[int] = []

    async def Watch(self, requests: Any, context: Any) -> AsyncIterator[config_pb2.WatchResponse]:
        self.served.append((await anext(aiter(requests))).hello.version.revision)
        yield config_pb2.WatchResponse(update=entries.update(len(self.served), entries.provider("openai")))
        async for _ in requests:
            pass


async def watch_over_two_channels(state: Path) -> tuple[list[int], int]:
    publisher, server = Publisher(), grpc.aio.server()
    config_pb2_grpc.add_ConfigServiceServicer_to_server(publisher, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    address = Address("127.0.0.1", 0)
    settings = Settings("p", "eu", (f"127.0.0.1:{port}",), address, address, state, Secret("token"))
    channels = Channels(settings.control_planes, Secret("token"), None)
    holder = ConfigHolder()

    async def heard(*_: Any) -> None:
        pass

    stream = ConfigStream(
        settings,
        channels,
        holder,
        Log(),
        status=config_pb2.ProxyStatus,
        applied=heard,
        learned=heard,
        random=lambda: 0.0,
    )
    watching = asyncio.create_task(stream.run())

    async def reaches(revision: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while holder.version is None or holder.version.revision < revision:
                await asyncio.sleep(0.01)

    try:
        await reaches(1)
        first = channels.channel()
        channels.renewed()
        await first.close()
        await reaches(2)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await channels.close()
        await server.stop(None)
    assert watching.cancelled(), "and yet it ends when it is told to"
    assert holder.version is not None
    return publisher.served, holder.version.revision


def test_a_channel_that_is_closed_under_its_stream_costs_a_stream_and_not_the_watching(
    tmp_path: Path,
) -> None:
    assert asyncio.run(watch_over_two_channels(tmp_path)) == ([0, 1], 2)
