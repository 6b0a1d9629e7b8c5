"""A proxy as far as the control plane can tell: it applies what it is sent, or refuses it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc

from headgate.v1 import config_pb2
from tests.integration.control_plane.replica import Client


class ScriptedProxy:
    def __init__(self, client: Client, name: str = "proxy-1", region: str = "us") -> None:
        self.name, self.region = name, region
        self.entries: dict[tuple[str, str, str], config_pb2.ConfigEntry] = {}
        self.version: config_pb2.Version | None = None
        # Of the update that came last.
        self.parts: list[config_pb2.ConfigUpdate] = []
        self._call = client.watch()

    async def hello(self, **more: Any) -> None:
        hello = config_pb2.ProxyHello(name=self.name, region=self.region, software_version="1", **more)
        if self.version is not None:
            hello.version.CopyFrom(self.version)
        await self._call.write(config_pb2.WatchRequest(hello=hello))

    async def receive(self, timeout: float = 5.0) -> config_pb2.ConfigUpdate:
        """The next update's last message; `parts` has all of them."""
        self.parts = []
        async with asyncio.timeout(timeout):
            while not self.parts or not self.parts[-1].last:
                response = await self._call.read()
                if not isinstance(response, config_pb2.WatchResponse):
                    raise ConnectionError(f"{await self._call.code()}: {await self._call.details()}")
                if response.HasField("update"):
                    self.parts.append(response.update)
        return self.parts[-1]

    async def accept(self) -> config_pb2.ConfigUpdate:
        """Receive, apply and acknowledge."""
        update = await self.receive()
        for part in self.parts:
            if not part.HasField("base") and part is self.parts[0]:
                self.entries.clear()
            for entry in part.upserts:
                self.entries[name_of(entry)] = entry
            for gone in part.removals:
                del self.entries[gone.kind, gone.tenant, gone.name]
        self.version = update.version
        ack = config_pb2.ConfigAck(nonce=update.nonce, version=update.version)
        await self._call.write(config_pb2.WatchRequest(ack=ack))
        return update

    async def reach(self, revision: int) -> None:
        while self.version is None or self.version.revision < revision:
            await self.accept()

    async def refuse(self, resource: str, reason: str) -> config_pb2.ConfigUpdate:
        update = await self.receive()
        nack = config_pb2.ConfigNack(
            nonce=update.nonce, version=update.version, resource=resource, reason=reason
        )
        await self._call.write(config_pb2.WatchRequest(nack=nack))
        return update

    async def is_quiet(self, seconds: float = 0.4) -> bool:
        """Nothing is sent for a while. Ends the stream: a read that was given up cannot be repeated."""
        try:
            async with asyncio.timeout(seconds):
                got = await self._call.read()
        except TimeoutError:
            return True
        print("not quiet:", got)
        return False

    async def status(self, spool_bytes: int, usage_lag_seconds: float) -> None:
        status = config_pb2.ProxyStatus(spool_bytes=spool_bytes, usage_lag_seconds=usage_lag_seconds)
        await self._call.write(config_pb2.WatchRequest(status=status))

    async def learned(self, standings: config_pb2.Standings) -> None:
        status = config_pb2.ProxyStatus(standings=standings)
        await self._call.write(config_pb2.WatchRequest(status=status))

    async def hears(self) -> config_pb2.Standings:
        """What others have learned, as soon as it comes."""
        while not (response := await self._call.read()).HasField("standings"):
            pass
        heard: config_pb2.Standings = response.standings
        return heard

    async def hears_spending(self) -> config_pb2.Spending:
        """What all proxies have spent today, as soon as it comes."""
        while not (response := await self._call.read()).HasField("spending"):
            pass
        heard: config_pb2.Spending = response.spending
        return heard

    async def ending(self, timeout: float = 5.0) -> str:
        """The status code with which the stream ends, after whatever was still sent."""
        async with asyncio.timeout(timeout):
            with contextlib.suppress(grpc.aio.AioRpcError):
                while await self._call.read() is not grpc.aio.EOF:
                    pass
            return str((await self._call.code()).name)

    def leave(self) -> None:
        self._call.cancel()


def name_of(entry: config_pb2.ConfigEntry) -> tuple[str, str, str]:
    kind = entry.WhichOneof("entry") or ""
    message = getattr(entry, kind)
    spec = message if kind in ("tenant", "route", "experiment") else message.spec
    return kind, "" if kind == "tenant" else spec.tenant, spec.name
