"""The config stream over real gRPC: snapshot, delta, ack, nack, regions, reconnects."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from control_plane.errors import InvalidField
from control_plane.snapshots import service
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, config_pb2
from tests.integration.control_plane.replica import Replica, make, query
from tests.integration.control_plane.scripted_proxy import ScriptedProxy

PROVIDER = make("provider", name="openai", type="openai", keys=["sk-1"])
MODEL = make("model", name="mini", provider="openai", upstream_model="gpt-4o-mini")
ROUTE = make("route", name="chat", policy="mini")


async def connect(replica: Replica, **about: str) -> ScriptedProxy:
    proxy = ScriptedProxy(replica.client(await replica.proxy_token()), **about)
    await proxy.hello()
    return proxy


async def test_a_proxy_gets_a_snapshot_then_deltas(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        token = await replica.proxy_token()
        revision = (await owner.apply(PROVIDER, MODEL, ROUTE)).revision
        await replica.published(revision)
        proxy = ScriptedProxy(replica.client(token))
        await proxy.hello()
        update = await proxy.accept()
        assert not update.HasField("base")
        assert set(proxy.entries) == {
            ("provider", "default", "openai"),
            ("model", "default", "mini"),
            ("route", "default", "chat"),
        }
        provider = proxy.entries["provider", "default", "openai"].provider
        assert [(s.name, s.value) for s in provider.secrets] == [("default", b"sk-1")]
        prices = proxy.entries["model", "default", "mini"].model.prices
        assert prices.prices[0].input == 150_000_000_000
        assert prices.version.startswith("genai-prices ")
        revision = (
            await owner.apply(make("model", name="mini", provider="openai", price={"input": 1}))
        ).revision
        update = await proxy.accept()
        assert update.base.revision == revision - 1
        assert [entry.model.spec.name for entry in update.upserts] == ["mini"]
        assert update.upserts[0].model.prices.version == f"manifest@{revision}"
        await owner.apply(prune=True)
        update = await proxy.accept()
        assert len(update.removals) == 3
        assert proxy.entries == {}


async def test_a_refused_version_is_seen_and_not_sent_again(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        proxy = await connect(replica)
        await proxy.accept()
        revision = (await owner.apply(PROVIDER)).revision
        await proxy.refuse("provider/default/openai", "I do not like it")
        request = admin_pb2.AwaitRevisionRequest(revision=revision, timeout=Duration(seconds=2))
        answer = await owner.call("AwaitRevision", request)
        assert (answer.acknowledged, list(answer.pending)) == (0, [])
        assert answer.refused[0] == "proxy-1: provider/default/openai: I do not like it"
        (view,) = (await owner.call("ListProxies")).proxies
        assert view.last_nack == "provider/default/openai: I do not like it"
        assert view.staleness_seconds > 0
        # The next good one goes through, against the last good one.
        await owner.apply(make("key", name="k"))
        update = await proxy.accept()
        assert update.base.revision < revision
        assert {entry.WhichOneof("entry") for entry in update.upserts} == {"provider", "key"}
        (view,) = (await owner.call("ListProxies")).proxies
        assert view.staleness_seconds == 0
        # Nothing is sent without a change.
        assert await proxy.is_quiet()


async def test_a_refused_version_is_not_sent_again_on_another_stream(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        token = await replica.proxy_token()
        proxy = ScriptedProxy(replica.client(token))
        await proxy.hello()
        await proxy.accept()
        await owner.apply(PROVIDER)
        update = await proxy.refuse("provider/default/openai", "I do not like it")
        proxy.leave()
        again = ScriptedProxy(replica.client(token))
        again.version = proxy.version
        await again.hello(
            refused=config_pb2.ConfigNack(
                version=update.version, resource="provider/default/openai", reason="I do not like it"
            )
        )
        (view,) = (await owner.call("ListProxies")).proxies
        assert view.last_nack == "provider/default/openai: I do not like it"
        await owner.apply(make("key", name="k"), source="other")
        later = await again.receive()
        assert later.version.revision > update.version.revision


async def test_the_next_update_waits_for_the_answer_and_merges_what_came_meanwhile(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        proxy = await connect(replica)
        update = await proxy.receive()
        for number in range(5):
            revision = (await owner.apply(make("key", name=f"k{number}"), source=f"s{number}")).revision
        await replica.published(revision)
        ack = config_pb2.ConfigAck(nonce=update.nonce, version=update.version)
        await proxy._call.write(config_pb2.WatchRequest(ack=ack))
        merged = await proxy.accept()
        assert merged.version.revision == revision
        assert len(merged.upserts) == 5


async def test_a_proxy_that_is_current_is_told_nothing_when_it_comes_back(database: Secret) -> None:
    async with Replica.running(database) as replica:
        proxy = await connect(replica)
        revision = (await (await replica.owner()).apply(PROVIDER)).revision
        await proxy.reach(revision)
        proxy.leave()
        again = ScriptedProxy(proxy_client := replica.client(await replica.token("proxy", name="again")))
        del proxy_client
        await replica.published(revision + 1)
        again.version = config_pb2.Version(
            epoch=proxy.version.epoch if proxy.version else 0, revision=revision + 1
        )
        await again.hello()
        assert await again.is_quiet()


async def test_a_restarted_control_plane_sends_a_delta_or_nothing_never_less(database: Secret) -> None:
    async with Replica.running(database) as replica:
        token = await replica.proxy_token()
        revision = (await (await replica.owner()).apply(PROVIDER)).revision
        owner_token = replica.owner_token
        proxy = ScriptedProxy(replica.client(token))
        await proxy.hello()
        await proxy.reach(revision)
    async with Replica.running(database) as replica:
        again = ScriptedProxy(replica.client(token))
        again.version = proxy.version
        await again.hello()
        answer = await replica.client(owner_token).apply(make("key", name="k"))
        update = await again.accept()
        assert update.version.revision == answer.revision
        assert update.base.revision == revision


async def test_a_regional_provider_goes_to_its_region_only(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        european = make("provider", name="eu", type="openai", serve_regions=["eu"], keys=["sk-eu"])
        revision = (await owner.apply(PROVIDER, european)).revision
        await replica.published(revision)
        here, there = await connect(replica, name="p-us"), await connect(replica, name="p-eu", region="eu")
        await here.accept()
        await there.accept()
        assert ("provider", "default", "eu") not in here.entries
        assert ("provider", "default", "eu") in there.entries
        assert "sk-eu" not in str(here.parts)


async def test_a_proxy_that_moved_to_another_region_is_sent_what_that_region_is_sent(
    database: Secret,
) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        token = await replica.proxy_token()
        european = make("provider", name="eu", type="openai", serve_regions=["eu"], keys=["sk-eu"])
        await replica.published((await owner.apply(european)).revision)
        proxy = ScriptedProxy(replica.client(token), region="eu")
        await proxy.hello()
        await proxy.accept()
        await asyncio.sleep(0.05)
        proxy.leave()
        same = ScriptedProxy(replica.client(token), region="eu")
        same.version = proxy.version
        await same.hello()
        assert await same.is_quiet()
        moved = ScriptedProxy(replica.client(token), region="us")
        moved.version = proxy.version
        moved.entries = proxy.entries
        await moved.hello()
        await moved.accept()
        assert moved.entries == {}


async def test_large_snapshots_come_in_chunks_that_are_one_update(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        big = {f"m{i}": "x" * 250 for i in range(32)}
        keys = [make("key", name=f"k{i}", metadata=big) for i in range(400)]
        revision = (await owner.apply(*keys)).revision
        await replica.published(revision)
        proxy = await connect(replica)
        await proxy.reach(revision)
        await proxy.is_quiet(0.1)
        assert len(proxy.entries) == 400
        fresh = await connect(replica, name="fresh")
        await fresh.accept()
        assert len(fresh.parts) > 3
        assert len({part.nonce for part in fresh.parts}) == 1
        assert len(fresh.entries) == 400


async def test_the_first_message_must_be_a_hello(database: Secret) -> None:
    async with Replica.running(database) as replica:
        for request in (
            config_pb2.WatchRequest(ack=config_pb2.ConfigAck(nonce="x")),
            config_pb2.WatchRequest(hello=config_pb2.ProxyHello(name="Not A Name")),
            config_pb2.WatchRequest(hello=config_pb2.ProxyHello(name="ok", region="not/ok")),
        ):
            proxy = ScriptedProxy(replica.client(await replica.proxy_token()))
            await proxy._call.write(request)
            assert await proxy.ending() == "FAILED_PRECONDITION"


async def test_await_revision_returns_when_all_have_acknowledged(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        proxies = [await connect(replica, name=f"p{i}") for i in range(3)]
        for proxy in proxies:
            await proxy.accept()
        revision = (await owner.apply(PROVIDER)).revision
        waiting = asyncio.create_task(
            owner.call("AwaitRevision", admin_pb2.AwaitRevisionRequest(revision=revision))
        )
        for proxy in proxies[:2]:
            await proxy.reach(revision)
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await proxies[2].reach(revision)
        assert (await waiting).acknowledged == 3
        short = admin_pb2.AwaitRevisionRequest(revision=revision + 1, timeout=Duration(nanos=10**8))
        assert list((await owner.call("AwaitRevision", short)).pending) == ["p0", "p1", "p2"]


async def test_any_replica_lists_all_proxies_and_waits_for_them(database: Secret) -> None:
    async with Replica.running(database) as one, Replica.running(database) as two:
        owner = await one.owner()
        proxy = await connect(one)
        await proxy.accept()
        await proxy.status(spool_bytes=7, usage_lag_seconds=1.5)
        there = two.client(one.owner_token)
        revision = (await there.apply(PROVIDER)).revision
        waiting = asyncio.create_task(
            there.call("AwaitRevision", admin_pb2.AwaitRevisionRequest(revision=revision))
        )
        await proxy.reach(revision)
        answer = await waiting
        assert (answer.acknowledged, list(answer.pending)) == (1, [])
        (view,) = (await there.call("ListProxies")).proxies
        assert (view.name, view.connected, view.spool_bytes) == ("proxy-1", True, 7)
        assert view.config_version.revision == revision
        proxy.leave()
        for _ in range(50):
            (view,) = (await there.call("ListProxies")).proxies
            if not view.connected:
                break
            await asyncio.sleep(0.05)
        assert not view.connected
        assert (await owner.call("GetStatus")).connected_proxies == 0


async def test_a_lost_notification_costs_two_seconds_not_the_truth(database: Secret) -> None:
    async with Replica.running(database) as replica:
        await (await replica.owner()).apply(PROVIDER)
        # As another replica would do it, but without telling anybody.
        query(
            database,
            "WITH head AS (UPDATE config_head SET revision = revision + 1 RETURNING revision), "
            "r AS (INSERT INTO revision SELECT revision, now(), 'x', 'x' FROM head) "
            'UPDATE resource SET spec = spec || \'{"region": "eu"}\', revision = head.revision FROM head',
        )
        query(
            database,
            "INSERT INTO change SELECT revision, 0, 'default', 'provider', 'openai', 'changed' "
            "FROM config_head",
        )
        ((revision,),) = query(database, "SELECT revision FROM config_head")
        await replica.published(revision, timeout_seconds=4.0)


async def test_what_a_proxy_says_of_itself_keeps_no_other_out_of_the_table(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        for strange in (
            config_pb2.ProxyHello(name="odd", region="us", software_version="1\0"),
            config_pb2.ProxyHello(name="odd", region="us", labels={"a": "b\0"}),
        ):
            odd = ScriptedProxy(replica.client(await replica.proxy_token()))
            await odd._call.write(config_pb2.WatchRequest(hello=strange))
            assert await odd.ending() == "FAILED_PRECONDITION"
        proxy = await connect(replica)
        await proxy.accept()
        await owner.apply(PROVIDER)
        await proxy.refuse("provider/default/openai", "a \0 reason")
        async with asyncio.timeout(10):
            while not query(database, "SELECT 1 FROM proxy WHERE last_nack LIKE '%a  reason'"):
                await asyncio.sleep(0.05)
        await connect(replica, name="another")
        async with asyncio.timeout(10):
            while not query(database, "SELECT 1 FROM proxy WHERE name = 'another'"):
                await asyncio.sleep(0.05)


async def test_whatever_holds_a_revision_back_what_is_published_goes_on_being_served(
    database: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held_back(*_: Any) -> Any:
        raise InvalidField("spec", "cannot be read")

    async with Replica.running(database) as replica:
        owner = await replica.owner()
        token = await replica.proxy_token()
        await replica.published((await owner.apply(PROVIDER)).revision)
        with monkeypatch.context() as broken:
            broken.setattr(service, "load", held_back)
            await owner.apply(MODEL)
            publisher = replica.control_plane.publisher
            async with asyncio.timeout(5):
                while not publisher.problem:
                    await asyncio.sleep(0.01)
            assert publisher.problem.startswith("InvalidField: ")
            proxy = ScriptedProxy(replica.client(token))
            await proxy.hello()
            await proxy.accept()
            assert set(proxy.entries) == {("provider", "default", "openai")}
        await proxy.reach((await owner.apply(ROUTE)).revision)
        assert len(proxy.entries) == 3
