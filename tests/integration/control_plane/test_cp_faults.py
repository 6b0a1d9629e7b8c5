"""PostgreSQL dies, and comes back; the control plane is killed, and comes back (F6 and F7 reduced)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator

import grpc

from control_plane.db.embedded import EmbeddedPostgres
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2
from tests.integration.control_plane.records import make_record
from tests.integration.control_plane.replica import Replica, make, query, refused
from tests.integration.control_plane.scripted_proxy import ScriptedProxy
from tests.integration.control_plane.test_cp_ingest import Reporter, totals

CRASHES = 5


@contextlib.asynccontextmanager
async def watched(embedded: EmbeddedPostgres) -> AsyncIterator[None]:
    watcher = asyncio.create_task(embedded.watch())
    try:
        yield
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


def crash(embedded: EmbeddedPostgres) -> None:
    """What `pg_ctl stop -m immediate` sends: no checkpoint, no goodbye."""
    pid = embedded.pid()
    assert pid is not None
    os.kill(pid, signal.SIGQUIT)


async def test_no_acknowledged_record_is_lost_or_doubled_when_postgres_crashes(
    own_postgres: tuple[EmbeddedPostgres, Secret],
) -> None:
    embedded, url = own_postgres
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with watched(embedded), Replica.running(url) as replica:
        token = await replica.proxy_token()
        sent: list[bytes] = []
        acknowledged = 0
        done = asyncio.Event()

        async def report() -> None:
            """As a proxy does it: send until acknowledged, again after every break."""
            nonlocal acknowledged
            client = replica.client(token)
            stream = await Reporter(client).hello()
            while not done.is_set():
                batch = [make_record(key=f"k{i % 5}", cost_picousd=i) for i in range(50)]
                sent.extend(batch)
                while True:
                    try:
                        await stream.report(batch)
                        break
                    except (grpc.aio.AioRpcError, ConnectionError, asyncio.InvalidStateError):
                        await asyncio.sleep(0.05)
                        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                            stream = await Reporter(client).hello()
                acknowledged += len(batch)

        reporting = [asyncio.create_task(report()) for _ in range(3)]
        for _ in range(CRASHES):
            await asyncio.sleep(chance.uniform(0.2, 0.6))
            before, was = embedded.pid(), acknowledged
            crash(embedded)
            async with asyncio.timeout(20):
                while embedded.pid() in (None, before) or acknowledged == was:
                    await asyncio.sleep(0.02)
        done.set()
        await asyncio.gather(*reporting)
        found = totals(url)
        assert found[1] == len(sent) == acknowledged
        assert query(url, "SELECT count(*) FROM usage_quarantine") == [(0,)]


async def test_without_postgres_admin_calls_are_unavailable_and_streams_stay(
    own_postgres: tuple[EmbeddedPostgres, Secret],
) -> None:
    embedded, url = own_postgres
    async with Replica.running(url) as replica:
        owner = await replica.owner()
        proxy = ScriptedProxy(replica.client(await replica.proxy_token()))
        await proxy.hello()
        await proxy.accept()
        crash(embedded)
        while embedded.pid() is not None:
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.2)  # beyond what a verified token is believed
        assert (await refused(owner.apply(make("key", name="k"))))[0] == "UNAVAILABLE"
        stream = Reporter(replica.client(replica.owner_token))
        assert await stream.code() == "UNAVAILABLE"
        async with watched(embedded):
            async with asyncio.timeout(15):
                while True:
                    try:
                        answer = await owner.apply(make("key", name="k"))
                        break
                    except grpc.aio.AioRpcError as error:
                        assert error.code() is grpc.StatusCode.UNAVAILABLE
                        await asyncio.sleep(0.1)
            # The stream that was open all the time gets the change.
            await proxy.reach(answer.revision)
            assert ("key", "default", "k") in proxy.entries


async def test_a_killed_server_is_started_again_and_a_left_one_is_adopted(
    own_postgres: tuple[EmbeddedPostgres, Secret],
) -> None:
    embedded, url = own_postgres
    pid = embedded.pid()
    assert pid is not None
    second = EmbeddedPostgres(embedded.data.parent)
    assert second.start() == url
    assert not second.is_owner
    second.stop()
    assert embedded.pid() == pid
    async with watched(embedded):
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(15):
            while embedded.pid() in (None, pid):
                await asyncio.sleep(0.02)
    # As if the process that owned it had been killed: its lock is gone, the server is there.
    assert embedded._lock is not None
    os.close(embedded._lock)
    embedded._lock = None
    third = EmbeddedPostgres(embedded.data.parent)
    third.start()
    assert third.is_owner
    assert third.pid() == embedded.pid()
    third.stop()
    assert third.pid() is None


async def test_modes_of_the_folders_above_are_kept(own_postgres: tuple[EmbeddedPostgres, Secret]) -> None:
    embedded, _ = own_postgres
    assert embedded.data.stat().st_mode & 0o777 == 0o700
    # As root, others may pass through to the server's own folder, and see nothing on the way.
    assert embedded.data.parent.stat().st_mode & 0o066 == 0


async def test_an_apply_that_is_cut_off_is_not_half_done(
    own_postgres: tuple[EmbeddedPostgres, Secret],
) -> None:
    embedded, url = own_postgres
    async with watched(embedded), Replica.running(url) as replica:
        owner = await replica.owner()
        provider = make("provider", name="p", type="openai", keys=["sk-1"])
        keys = [make("key", name=f"k{i}") for i in range(3_000)]
        applying = asyncio.create_task(owner.apply(provider, *keys, request_id="once"))
        await asyncio.sleep(0.4)
        crash(embedded)
        with contextlib.suppress(grpc.aio.AioRpcError):
            await applying
        async with asyncio.timeout(30):
            while True:
                try:
                    answer = await owner.apply(provider, *keys, request_id="once")
                    break
                except grpc.aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.UNAVAILABLE
                    await asyncio.sleep(0.1)
        assert len(answer.minted) == 3_000
        assert query(url, "SELECT count(*) FROM credential") == [(3_000,)]
        status = await owner.call("GetStatus", admin_pb2.GetStatusRequest())
        assert status.version.revision == answer.revision
