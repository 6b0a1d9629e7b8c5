"""ConfigService: one task reads what a proxy says, one sends what is newest; between them a WatchSession.

The stream ends when its token does, when the proxy leaves, or when this replica stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import grpc

from control_plane.experiments.spending import Spending
from control_plane.fleet.errors import BadHello
from control_plane.fleet.model import NOTHING, Proxy
from control_plane.fleet.service import Fleet, check_identity, hello_problem
from control_plane.revisions.model import Version
from control_plane.snapshots.model import Snapshot, View
from control_plane.snapshots.service import Publisher
from control_plane.snapshots.updates import Updates
from control_plane.standings.service import Standings
from control_plane.streams.session import WatchSession
from control_plane.tokens.authenticator import Authenticator
from control_plane.tokens.errors import NotAuthenticated
from control_plane.tokens.model import Principal
from headgate.v1 import config_pb2

log = logging.getLogger(__name__)

HELLO_TIMEOUT_SECONDS = 10.0
SHARE_SECONDS = 4.0


class _StreamOver(Exception):
    """The proxy closed its side."""


class ConfigStreams:
    def __init__(
        self,
        publisher: Publisher,
        fleet: Fleet,
        standings: Standings,
        spending: Spending,
        authenticator: Authenticator,
    ) -> None:
        self._spending = spending
        self._standings = standings
        self._publisher = publisher
        self._fleet = fleet
        self._authenticator = authenticator
        self._updates = Updates()

    async def watch(
        self,
        requests: AsyncIterator[config_pb2.WatchRequest],
        context: grpc.aio.ServicerContext[config_pb2.WatchRequest, bytes],
        caller: Principal,
    ) -> None:
        """Raises BadHello, NoSnapshot, NotAuthenticated (the token ended)."""
        hello = await _read_hello(requests)
        check_identity(caller, hello.name, hello.region)
        labels = {**hello.labels, **(caller.labels or {})}
        proxy = Proxy(hello.name, hello.region, labels, hello.software_version)
        session = await self._begin(hello, proxy)
        self._fleet.connect(proxy)
        log.info("proxy connected", extra={"data": {"proxy": proxy.name, "region": proxy.region}})
        answered, has_token = asyncio.Event(), True
        writing = asyncio.Lock()
        try:
            with self._authenticator.watching(caller) as ended:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._read(requests, session, proxy, answered))
                    tasks.create_task(self._send(context, writing, session, proxy, answered))
                    tasks.create_task(self._share(context, writing, proxy))
                    tasks.create_task(_raise_when(ended))
        except* _StreamOver:
            pass
        except* NotAuthenticated:
            has_token = False
        finally:
            self._fleet.disconnect(proxy)
            log.info("proxy disconnected", extra={"data": {"proxy": proxy.name}})
        if not has_token:  # raised in an except* it would come out as a group
            raise NotAuthenticated

    async def _begin(self, hello: config_pb2.ProxyHello, proxy: Proxy) -> WatchSession:
        newest = self._publisher.require()
        served = _version(hello.version) if hello.HasField("version") else None
        refused = _version(hello.refused.version) if hello.HasField("refused") else None
        for seen in (served, refused):
            if seen is not None and seen.epoch == newest.version.epoch and seen > newest.version:
                await self._publisher.follow(seen)
        base = await self._base_view(served, proxy)
        if served is not None:
            proxy.acked = served
        if refused is not None:
            self._fleet.refused(proxy, refused, hello.refused.resource, hello.refused.reason)
        return WatchSession(self._updates, served, base, refused)

    async def _base_view(self, served: Version | None, proxy: Proxy) -> View | None:
        """The view that the proxy has, where that is certain; else it gets a whole snapshot."""
        snapshot = self._publisher.kept(served) if served is not None else None
        if snapshot is None or snapshot.canary is not None:
            return None  # it may have been in the group then, or not
        if not snapshot.regional:
            return snapshot.view(proxy.region)
        # It says where it is now, not where it was when it took that snapshot.
        before = await self._fleet.last_known(proxy.name)
        if before is not None and before.region == proxy.region and before.acked == served:
            return snapshot.view(proxy.region)
        return None

    async def _read(
        self,
        requests: AsyncIterator[config_pb2.WatchRequest],
        session: WatchSession,
        proxy: Proxy,
        answered: asyncio.Event,
    ) -> None:
        async for request in requests:
            kind = request.WhichOneof("message")
            if kind == "ack":
                version = session.ack(request.ack.nonce)
                if version is not None:
                    current = self._publisher.current
                    is_current = current is None or current.version <= version
                    self._fleet.acknowledged(proxy, version, is_current)
                    answered.set()
            elif kind == "nack":
                version = session.nack(request.nack.nonce)
                if version is not None:
                    self._fleet.refused(proxy, version, request.nack.resource, request.nack.reason)
                    log.error(
                        "a proxy refused a version",
                        extra={
                            "data": {"proxy": proxy.name, "version": str(version), "nack": proxy.last_nack}
                        },
                    )
                    answered.set()
            elif kind == "status":
                self._fleet.reported(proxy, request.status.spool_bytes, request.status.usage_lag_seconds)
                if request.status.HasField("standings"):
                    self._standings.reported(proxy, request.status.standings)
        raise _StreamOver

    async def _send(
        self,
        context: grpc.aio.ServicerContext[config_pb2.WatchRequest, bytes],
        writing: asyncio.Lock,
        session: WatchSession,
        proxy: Proxy,
        answered: asyncio.Event,
    ) -> None:
        snapshot = self._publisher.require()
        while True:
            answered.clear()
            self._note_staleness(snapshot, session, proxy)
            update = session.next_update(snapshot.for_proxy(proxy.name, proxy.labels, proxy.region))
            if update is not None:
                async with writing:
                    for message in update.messages:
                        await context.write(message)
            if session.is_waiting:
                await answered.wait()
                snapshot = self._publisher.require()
            else:
                snapshot = await self._publisher.wait_beyond(snapshot.version)

    async def _share(
        self,
        context: grpc.aio.ServicerContext[config_pb2.WatchRequest, bytes],
        writing: asyncio.Lock,
        proxy: Proxy,
    ) -> None:
        """What its region has measured and all have spent, now and then; its own is among it."""
        while True:
            await asyncio.sleep(SHARE_SECONDS)
            message = config_pb2.WatchResponse()
            if not self._standings.is_alone(proxy):
                region = self._standings.of_region(proxy.region)
                if region.standings:
                    message.standings.CopyFrom(region)
            if self._spending.today.spent:
                message.spending.CopyFrom(self._spending.today)
            if message.ByteSize():
                async with writing:
                    await context.write(message.SerializeToString())

    def _note_staleness(self, snapshot: Snapshot, session: WatchSession, proxy: Proxy) -> None:
        if session.served is None or session.served < snapshot.version:
            since = self._publisher.published_at(snapshot.version)
            if since is not None:
                self._fleet.behind(proxy, since)


async def _read_hello(requests: AsyncIterator[config_pb2.WatchRequest]) -> config_pb2.ProxyHello:
    request = None
    with suppress(TimeoutError, StopAsyncIteration):
        async with asyncio.timeout(HELLO_TIMEOUT_SECONDS):
            request = await anext(requests)
    if request is None or request.WhichOneof("message") != "hello":
        raise BadHello("the first message must be a hello")
    hello = request.hello
    problem = hello_problem(hello.name, hello.region, dict(hello.labels), hello.software_version)
    if problem is not None:
        raise BadHello(problem)
    return hello


async def _raise_when(ended: asyncio.Event) -> None:
    await ended.wait()
    raise NotAuthenticated


def _version(message: config_pb2.Version) -> Version | None:
    version = Version(message.epoch, message.revision)
    return None if version == NOTHING else version
