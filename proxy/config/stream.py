"""The proxy's end of ConfigService.Watch: hello, updates, ack and nack, and coming back after a loss.

Several control plane addresses are tried in turn, with exponential backoff and full jitter, so that a
returning control plane is not met by all proxies at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc

from headgate.v1 import config_pb2, config_pb2_grpc
from proxy.config.compile import ConfigRefused
from proxy.config.holder import ConfigHolder, UpdateMisplaced
from proxy.logs import Log
from proxy.processes.channel import is_cancelled
from proxy.settings import Settings

if TYPE_CHECKING:
    from proxy.processes.channel import Channels

STATUS_SECONDS = 2.0
FIRST_BACKOFF_SECONDS = 0.1
# A proxy without any config is to be ready within 2 s of the control plane's return (F3).
MAX_BACKOFF_SECONDS = 1.0
SOFTWARE_VERSION = "0.1.0"

Status = Callable[[], config_pb2.ProxyStatus]


class ConfigStream:
    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        holder: ConfigHolder,
        log: Log,
        *,
        status: Status,
        applied: Callable[[], Awaitable[None]],
        learned: Callable[[config_pb2.WatchResponse], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._holder = holder
        self._log = log
        self._status = status
        self._applied = applied
        self._learned = learned
        self._random = random
        self.connected = False
        # Said again in every hello, so that a reconnect does not bring the same version once more.
        self._refused: config_pb2.ConfigNack | None = None
        # Said once, not at every retry.
        self._last_loss = ""

    async def run(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            address = self._channels.address
            try:
                await self._watch()
                reason = "the control plane ended the stream"
            except grpc.aio.AioRpcError as error:
                reason = f"{error.code().name}: {error.details()}"
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                reason = "the call was cancelled"
            if self.connected:
                self._last_loss = ""
                backoff = FIRST_BACKOFF_SECONDS
                self.connected = False
                self._holder.lost_at = time.monotonic()
            self._holder.forget_partial()
            if reason != self._last_loss:
                self._log.event("config_stream_lost", control_plane=address, reason=reason)
                self._last_loss = reason
            await asyncio.sleep(backoff * (0.5 + 0.5 * self._random()))
            backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
            self._channels.next()

    async def _watch(self) -> None:
        stub = config_pb2_grpc.ConfigServiceStub(self._channels.channel())  # type: ignore[no-untyped-call]
        outgoing: asyncio.Queue[config_pb2.WatchRequest] = asyncio.Queue(maxsize=16)
        outgoing.put_nowait(config_pb2.WatchRequest(hello=self._hello()))
        call = stub.Watch(_requests(outgoing), metadata=self._channels.metadata(), wait_for_ready=False)
        reporting = asyncio.create_task(self._report(outgoing))
        try:
            await call.initial_metadata()
            if not call.done():  # a refused call has (empty) initial metadata too
                self.connected, self._holder.lost_at = True, None
            async for response in call:
                if response.HasField("standings") or response.HasField("spending"):
                    await self._learned(response)
                if response.HasField("update"):
                    await self._take(response.update, outgoing)
        finally:
            reporting.cancel()
            call.cancel()

    async def _take(
        self, update: config_pb2.ConfigUpdate, outgoing: asyncio.Queue[config_pb2.WatchRequest]
    ) -> None:
        try:
            if not self._holder.receive(update):
                return
        except ConfigRefused as refused:
            nack = config_pb2.ConfigNack(
                nonce=update.nonce, version=update.version, resource=refused.resource, reason=refused.reason
            )
            if not isinstance(refused, UpdateMisplaced):
                self._refused = nack
            await outgoing.put(config_pb2.WatchRequest(nack=nack))
            self._log.event("config_refused", resource=refused.resource, reason=refused.reason)
            return
        self._refused = None
        await self._applied()
        await outgoing.put(
            config_pb2.WatchRequest(ack=config_pb2.ConfigAck(nonce=update.nonce, version=update.version))
        )
        self._log.event("config_applied", version=f"{update.version.epoch}.{update.version.revision}")

    async def _report(self, outgoing: asyncio.Queue[config_pb2.WatchRequest]) -> None:
        while True:
            await asyncio.sleep(STATUS_SECONDS)
            await outgoing.put(config_pb2.WatchRequest(status=self._status()))

    def _hello(self) -> config_pb2.ProxyHello:
        hello = config_pb2.ProxyHello(
            name=self._settings.name,
            region=self._settings.region,
            labels=self._settings.labels,
            software_version=SOFTWARE_VERSION,
            refused=self._refused,
        )
        version = self._holder.version
        if version is not None:
            hello.version.epoch = version.epoch
            hello.version.revision = version.revision
        return hello


async def _requests(queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    while True:
        yield await queue.get()
