"""With no key, with a wrong key, and with a database that somebody changed by hand (P7, A16, F20)."""

from __future__ import annotations

import base64

from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2
from tests.integration.control_plane.replica import Replica, make, query, refused
from tests.integration.control_plane.scripted_proxy import ScriptedProxy

PROVIDER = make("provider", name="openai", type="openai", keys=["sk-canary-1"])
OTHER_KEK = base64.b64encode(bytes(32)).decode()


async def test_a_dump_of_the_database_does_not_contain_the_secret(database: Secret) -> None:
    async with Replica.running(database) as replica:
        await (await replica.owner()).apply(PROVIDER, request_id="r")
        set_key = admin_pb2.SetProviderKeyRequest(provider="openai", key="other", value="sk-canary-2")
        await (await replica.owner()).call("SetProviderKey", set_key)
    tables = [
        row[0] for row in query(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ]
    for table in tables:
        dump = query(database, f"SELECT t::text, encode(t::text::bytea, 'escape') FROM {table} t")
        assert "canary" not in str(dump)
        raw = query(database, f"SELECT 1 FROM {table} t WHERE t::text LIKE %s", f"%{b'canary'.hex()}%")
        assert raw == []


async def test_without_a_key_it_starts_sealed_and_says_so(database: Secret) -> None:
    async with Replica.running(database, kek=None) as replica:
        owner = await replica.owner()
        assert "HEADGATE_KEK" in (await owner.call("GetStatus")).secrets
        code, message = await refused(owner.apply(PROVIDER))
        assert code == "FAILED_PRECONDITION"
        assert "sealed" in message
        # What needs no seal works.
        answer = await owner.apply(make("key", name="k"))
        proxy = ScriptedProxy(replica.client(await replica.proxy_token()))
        await proxy.hello()
        await proxy.reach(answer.revision)
        assert ("key", "default", "k") in proxy.entries


async def test_with_a_wrong_key_nothing_is_overwritten_and_nothing_incomplete_is_published(
    database: Secret,
) -> None:
    async with Replica.running(database) as replica:
        await (await replica.owner()).apply(PROVIDER)
        token, proxy_token = replica.owner_token, await replica.proxy_token()
    before = query(database, "SELECT * FROM provider_key")
    async with Replica.running(database, kek=OTHER_KEK) as replica:
        owner = replica.client(token)
        assert "not the one" in (await owner.call("GetStatus")).secrets
        new = make("provider", name="openai", type="openai", keys=["sk-other"])
        assert (await refused(owner.apply(new)))[0] == "FAILED_PRECONDITION"
        set_key = admin_pb2.SetProviderKeyRequest(provider="openai", value="sk-other")
        assert (await refused(owner.call("SetProviderKey", set_key)))[0] == "FAILED_PRECONDITION"
        proxy = ScriptedProxy(replica.client(proxy_token))
        await proxy.hello()
        assert await proxy.ending() == "UNAVAILABLE"
    assert query(database, "SELECT * FROM provider_key") == before
    async with Replica.running(database) as replica:
        owner = replica.client(token)
        assert (await owner.call("GetStatus")).secrets == "ok"
        assert (await owner.apply(PROVIDER)).changes[0].change == admin_pb2.CHANGE_TYPE_UNCHANGED


async def test_a_secret_moved_to_another_row_or_tampered_with_does_not_open(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        evil = make("provider", name="openai", tenant="evil", type="openai", keys=["sk-evil"])
        await owner.apply(PROVIDER, make("tenant", name="evil"), evil)
        token, proxy_token = replica.owner_token, await replica.proxy_token()
    query(
        database,
        "UPDATE provider_key SET sealed = (SELECT sealed FROM provider_key WHERE tenant = 'default') "
        "WHERE tenant = 'evil'",
    )
    async with Replica.running(database) as replica:
        proxy = ScriptedProxy(replica.client(proxy_token))
        await proxy.hello()
        assert await proxy.ending() == "UNAVAILABLE"
        owner = replica.client(token)
        assert "cannot be opened" in (await owner.call("GetStatus")).secrets
        # Its owner mends it with a new value.
        answer = await owner.apply(
            make("provider", name="openai", tenant="evil", type="openai", keys=["sk-2"])
        )
        await replica.published(answer.revision)
        assert (await owner.call("GetStatus")).secrets == "ok"


async def test_an_older_value_cannot_be_put_back(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER)
        ((old,),) = query(database, "SELECT sealed FROM provider_key")
        await owner.apply(make("provider", name="openai", type="openai", keys=["sk-new"]))
    query(database, "UPDATE provider_key SET sealed = %s", old)
    async with Replica.running(database) as replica:
        assert replica.control_plane.publisher.current is None
        assert "cannot be opened" in replica.control_plane.publisher.problem
