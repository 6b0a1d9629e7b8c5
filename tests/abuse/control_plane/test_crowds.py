"""Too much at once over gRPC (A15): streams, calls that never say what they want, a message of 1 GiB.

Whoever does it is capped; the admin who would end it gets through all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from control_plane.rpc.places import (
    MAX_CALLS_PER_TOKEN,
    MAX_STREAMS_PER_TOKEN,
    MAX_STREAMS_WITHOUT_TOKEN,
)
from control_plane.rpc.server import MAX_RECEIVE_BYTES, MAX_STREAMS_PER_CONNECTION
from headgate.v1 import admin_pb2, admin_pb2_grpc
from tests.abuse.control_plane.http2 import Announced
from tests.abuse.scale import FULL, times
from tests.abuse.target import memory_mib
from tests.integration.control_plane.conftest import open_folder
from tests.integration.control_plane.replica import Client
from tests.integration.control_plane.test_cp_program import start

STATUS = "/headgate.v1.AdminService/GetStatus"
REPORT = "/headgate.v1.UsageService/Report"
HEALTH = "/grpc.health.v1.Health/Watch"
GIB = 2**30
# A connection's calls are taken up before the next one's come: more than a thousand new ones wait for nobody.
PAUSE_SECONDS = 0.03
ADMIN_CALLS = times(20, 200)
# The message is refused by its length: what is sent meanwhile is what the windows allow.
MAX_TAKEN_BYTES = 2 * MAX_RECEIVE_BYTES
MAX_GROWTH_MIB = 64


@dataclass(frozen=True)
class Served:
    address: str
    pid: int
    owner: str
    proxy: str
    viewer: str


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with open_folder() as folder:
        process, ready = start(folder)
        try:
            with grpc.insecure_channel(ready["grpc"]) as channel:
                admin: Any = admin_pb2_grpc.AdminServiceStub(channel)  # type: ignore[no-untyped-call]
                owner = admin.BootstrapToken(admin_pb2.BootstrapTokenRequest(), timeout=10).minted.secret
                metadata = [("authorization", f"Bearer {owner}")]
                tokens = {
                    role: admin.CreateToken(
                        admin_pb2.CreateTokenRequest(name=role, role=role), metadata=metadata, timeout=10
                    ).minted.secret
                    for role in ("proxy", "viewer")
                }
            yield Served(ready["grpc"], int(ready["pid"]), owner, tokens["proxy"], tokens["viewer"])
        finally:
            process.stop()


class Crowd:
    """Calls of a method that are opened and not ended, over as many connections as they take."""

    def __init__(self, served: Served, path: str, token: str) -> None:
        self._served, self._path = served, path
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._channels: list[grpc.aio.Channel] = []
        self._calls: list[Any] = []
        self._writing: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Crowd:
        return self

    async def __aexit__(self, *_: object) -> None:
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._writing)
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def open(self, count: int, message: bytes | None = None) -> None:
        for begin in range(0, count, MAX_STREAMS_PER_CONNECTION):
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = grpc.aio.insecure_channel(self._served.address, options)
            self._channels.append(channel)
            method: Any = channel.stream_stream(self._path)
            for _ in range(min(MAX_STREAMS_PER_CONNECTION, count - begin)):
                call = method(metadata=self._metadata)
                self._calls.append(call)
                if message is not None:
                    self._writing.append(asyncio.create_task(_write(call, message)))
            await asyncio.sleep(PAUSE_SECONDS)

    async def ended(self, count: int, timeout_seconds: float = 30.0) -> Counter[str]:
        """The status codes of those that have ended, once so many have."""
        async with asyncio.timeout(timeout_seconds):
            while sum(call.done() for call in self._calls) < count:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        return Counter([(await call.code()).name for call in self._calls if call.done()])


async def _write(call: Any, message: bytes) -> None:
    try:
        await call.write(message)
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
        pass


async def admin_seconds(served: Served) -> list[float]:
    """Of an admin's calls one after the other; none of them fails."""
    client = Client(served.address, served.owner)
    found = []
    for _ in range(ADMIN_CALLS):
        began = time.monotonic()
        await client.call("GetStatus")
        found.append(time.monotonic() - began)
    await client.close()
    return sorted(found)


def p99(seconds: list[float]) -> float:
    return seconds[int(len(seconds) * 0.99) - 1]


def capped(codes: Counter[str], over: int) -> bool:
    """Exactly so many are refused. gRPC ends some itself where more come than are looked at, and a client
    that is refused while it writes calls that an error of its own."""
    print(codes)
    return codes.total() == over and codes["RESOURCE_EXHAUSTED"] > over / 2


async def get_through(served: Served, before: list[float]) -> None:
    """An admin, while the crowd is there."""
    after = await admin_seconds(served)
    print(f"admin p99: {p99(before) * 1000:.1f} ms before, {p99(after) * 1000:.1f} ms in the crowd")
    if FULL:
        assert p99(after) <= 2 * p99(before)


async def test_a_call_that_never_says_what_it_wants_is_over_without_a_token(served: Served) -> None:
    """Held open, they would fill the server's places, and nobody could call any more."""
    count = times(640, 10_000)
    before = await admin_seconds(served)
    async with Crowd(served, STATUS, "") as crowd:
        await crowd.open(count)
        assert await crowd.ended(count) == {"UNAUTHENTICATED": count}
        await get_through(served, before)


async def test_calls_of_one_token_are_capped_and_end_by_themselves(served: Served) -> None:
    count = MAX_CALLS_PER_TOKEN + times(128, 9_000)
    before = await admin_seconds(served)
    async with Crowd(served, STATUS, served.viewer) as crowd:
        await crowd.open(count)
        over = count - MAX_CALLS_PER_TOKEN
        assert capped(await crowd.ended(over), over)
        await get_through(served, before)
        if FULL:
            codes = await crowd.ended(count)
            assert codes == {"RESOURCE_EXHAUSTED": over, "DEADLINE_EXCEEDED": MAX_CALLS_PER_TOKEN}


async def test_streams_of_one_token_are_capped(served: Served) -> None:
    count = times(MAX_STREAMS_PER_TOKEN + 128, 10_000)
    before = await admin_seconds(served)
    async with Crowd(served, REPORT, served.proxy) as crowd:
        await crowd.open(count)
        over = count - MAX_STREAMS_PER_TOKEN
        assert capped(await crowd.ended(over), over)
        await get_through(served, before)
        async with Crowd(served, "/headgate.v1.AdminService/TailCalls", served.viewer) as others:
            await others.open(1, b"")
            assert await others.ended(0) == {}, "streams of others are let in"


async def test_streams_without_a_token_are_capped(served: Served) -> None:
    count = times(200, 10_000)
    before = await admin_seconds(served)
    async with Crowd(served, HEALTH, "") as crowd:
        await crowd.open(count, b"")
        over = count - MAX_STREAMS_WITHOUT_TOKEN
        assert capped(await crowd.ended(over), over)
        await get_through(served, before)


@pytest.mark.parametrize("path", [STATUS, "/headgate.v1.AdminService/ApplyResources", REPORT])
def test_a_message_of_a_gibibyte_is_refused_unread(served: Served, path: str) -> None:
    before = memory_mib(served.pid, "VmRSS")
    call = Announced(served.address, path, served.proxy if path == REPORT else served.owner, GIB)
    try:
        assert call.send_until_ended() < MAX_TAKEN_BYTES
    finally:
        call.close()
    assert memory_mib(served.pid, "VmRSS") - before < MAX_GROWTH_MIB
