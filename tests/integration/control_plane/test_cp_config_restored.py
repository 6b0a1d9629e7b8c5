"""A database that has gone back: what proxies have seen is of none any more, and a new epoch begins."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, config_pb2
from tests.integration.control_plane.replica import Replica, make, query
from tests.integration.control_plane.scripted_proxy import ScriptedProxy
from tests.integration.control_plane.test_cp_config_stream import PROVIDER, connect


async def published(replica: Replica, database: Secret) -> tuple[ScriptedProxy, int, int]:
    """(a proxy that has said nothing yet, epoch and revision of what is published)"""
    owner = await replica.owner()
    proxy = ScriptedProxy(replica.client(await replica.proxy_token()))
    await replica.published((await owner.apply(PROVIDER)).revision)
    ((epoch, revision),) = query(database, "SELECT epoch, revision FROM config_head")
    return proxy, epoch, revision


async def test_a_database_that_was_restored_begins_a_new_epoch_and_is_followed(database: Secret) -> None:
    async with Replica.running(database) as replica:
        proxy, epoch, revision = await published(replica, database)
        proxy.version = config_pb2.Version(epoch=epoch, revision=revision + 7)
        await proxy.hello()
        update = await proxy.accept()
        assert not update.HasField("base")
        assert (update.version.epoch > epoch, update.version.revision) == (True, revision)
        assert set(proxy.entries) == {("provider", "default", "openai")}


async def test_a_database_that_goes_back_under_open_streams_begins_a_new_epoch(database: Secret) -> None:
    """A standby that was behind takes over: the revisions that it never had are nobody's acknowledgement."""
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        proxy = await connect(replica)
        before = (await owner.apply(PROVIDER)).revision
        await proxy.reach(before)
        for number in range(3):
            lost = (await owner.apply(make("key", name=f"k{number}"), source=f"s{number}")).revision
        await proxy.reach(lost)
        assert proxy.version is not None
        epoch = proxy.version.epoch
        query(
            database,
            "SET session_replication_role = replica; DELETE FROM resource WHERE kind = 'key';"
            f"DELETE FROM change WHERE revision > {before}; DELETE FROM revision WHERE revision > {before};"
            f"UPDATE config_head SET revision = {before}; SELECT pg_notify('headgate_config', '')",
        )
        update = await proxy.receive()
        assert (update.version.epoch > epoch, update.version.revision) == (True, before)
        revision = (await owner.apply(make("key", name="new"), source="new")).revision
        assert before < revision < lost
        request = admin_pb2.AwaitRevisionRequest(revision=revision, timeout=Duration(seconds=1))
        answer = await owner.call("AwaitRevision", request)
        assert (answer.acknowledged, list(answer.pending)) == (0, ["proxy-1"])
        ack = config_pb2.ConfigAck(nonce=update.nonce, version=update.version)
        await proxy._call.write(config_pb2.WatchRequest(ack=ack))
        proxy.entries.clear()
        assert (await proxy.accept()).version.revision == revision
        assert [name for kind, _, name in proxy.entries if kind == "key"] == ["new"]
        assert (await owner.call("AwaitRevision", request)).acknowledged == 1


async def test_a_version_that_was_refused_and_then_restored_away_begins_a_new_epoch(database: Secret) -> None:
    """Or the mend, which gets its number, would never be sent."""
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        proxy, epoch, revision = await published(replica, database)
        proxy.version = config_pb2.Version(epoch=epoch, revision=revision)
        bad = config_pb2.Version(epoch=epoch, revision=revision + 1)
        await proxy.hello(refused=config_pb2.ConfigNack(version=bad, resource="key/default/k", reason="no"))
        update = await proxy.accept()
        assert update.version.epoch > epoch
        mended = (await owner.apply(make("key", name="k"), source="mend")).revision
        assert mended == revision + 1
        assert (await proxy.accept()).version.revision == mended
