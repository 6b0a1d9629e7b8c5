"""Who may call what, and who sees whom (A11, A12 reduced)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from control_plane.rpc.access import ACCESS, BOOTSTRAP, CARRIED, GLOBAL_ONLY
from control_plane.rpc.server import method_path
from control_plane.tokens.model import INCLUDES
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2
from tests.integration.control_plane.replica import METHODS, Client, Replica, make, query, refused
from tests.integration.control_plane.scripted_proxy import ScriptedProxy

UNARY = [name for name, method in METHODS.items() if not method.server_streaming]
# What a call that was let in may answer to an empty request.
LET_IN = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION"}


async def code_of(client: Client, method: str, request: Any = None) -> str:
    try:
        await client.call(method, request)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def test_each_role_reaches_exactly_what_the_table_says(database: Secret) -> None:
    async with Replica.running(database) as replica:
        await replica.owner()
        for role, included in INCLUDES.items():
            client = replica.client(await replica.token(role))
            for method in UNARY:
                needed = ACCESS[method_path(METHODS[method])]
                if needed in (BOOTSTRAP, CARRIED):
                    continue
                code = await code_of(client, method)
                assert (code in LET_IN) == (needed in included), f"{role} {method}: {code}"
                assert code in LET_IN or code == "PERMISSION_DENIED"


@pytest.mark.parametrize("token", ["", "hgt-wrong", "x" * 600, "hgt-' OR 1=1 --", "ä"])
async def test_without_a_valid_token_nothing_is_reached(database: Secret, token: str) -> None:
    async with Replica.running(database) as replica:
        client = replica.client("")
        if token:
            client.metadata = (
                (
                    "authorization-bin" if token == "ä" else "authorization",
                    f"Bearer {token}".encode() if token == "ä" else f"Bearer {token}",
                ),
            )  # type: ignore[assignment]
        for method in UNARY:
            if ACCESS[method_path(METHODS[method])] not in (BOOTSTRAP, CARRIED):
                assert await code_of(client, method) == "UNAUTHENTICATED"
        proxy = ScriptedProxy(client)
        assert await proxy.ending() == "UNAUTHENTICATED"


async def test_only_a_proxys_token_opens_the_streams(database: Secret) -> None:
    async with Replica.running(database) as replica:
        proxy = ScriptedProxy(await replica.owner())
        assert await proxy.ending() == "PERMISSION_DENIED"
        report = (await replica.owner()).report()
        assert (await report.code()) is grpc.StatusCode.PERMISSION_DENIED


async def test_the_bootstrap_works_once_even_when_tried_fifty_times_at_once(database: Secret) -> None:
    async with Replica.running(database) as replica:
        client = replica.client("")
        codes = await asyncio.gather(*(code_of(client, "BootstrapToken") for _ in range(50)))
        assert sorted(codes) == ["FAILED_PRECONDITION"] * 49 + ["OK"]


async def test_the_bootstrap_stays_closed_after_the_last_token_was_revoked(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.call("RevokeToken", admin_pb2.RevokeTokenRequest(name="owner"))
        assert await code_of(replica.client(""), "BootstrapToken") == "FAILED_PRECONDITION"


async def test_a_revoked_token_is_refused_and_its_streams_end_within_two_seconds(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        token = await replica.token("proxy", name="p")
        proxy = ScriptedProxy(replica.client(token))
        await proxy.hello()
        await proxy.accept()
        viewer = replica.client(await replica.token("viewer", name="v"))
        assert await code_of(viewer, "GetStatus") == "OK"
        for name in ("p", "v"):
            await owner.call("RevokeToken", admin_pb2.RevokeTokenRequest(name=name))
        assert await proxy.ending(timeout=2.0) == "UNAUTHENTICATED"
        assert await code_of(viewer, "GetStatus") == "UNAUTHENTICATED"


async def test_an_expired_token_is_refused(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        request = admin_pb2.CreateTokenRequest(name="short", role="viewer", expires=Duration(seconds=1))
        client = replica.client((await owner.call("CreateToken", request)).minted.secret)
        assert await code_of(client, "GetStatus") == "OK"
        await asyncio.sleep(1.1)
        assert await code_of(client, "GetStatus") == "UNAUTHENTICATED"


async def test_a_token_never_exceeds_its_maker(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(make("tenant", name="acme"), make("tenant", name="evil"))
        boss = replica.client(await replica.token("owner", tenant="acme"))
        for tenant, role, code in (
            ("acme", "viewer", "OK"),
            ("", "editor", "OK"),  # the maker's own tenant
            ("evil", "viewer", "NOT_FOUND"),
            ("missing", "viewer", "NOT_FOUND"),
            ("acme", "proxy", "INVALID_ARGUMENT"),
        ):
            request = admin_pb2.CreateTokenRequest(name=f"t{tenant}{role}", role=role, tenant=tenant)
            assert await code_of(boss, "CreateToken", request) == code
        assert query(database, "SELECT DISTINCT tenant FROM token WHERE created_by LIKE 'owner-%'") == [
            ("acme",)
        ]
        names = [token.name for token in (await boss.call("ListTokens")).tokens]
        assert "owner" not in names
        assert await code_of(boss, "RevokeToken", admin_pb2.RevokeTokenRequest(name="owner")) == "NOT_FOUND"
        request = admin_pb2.CreateTokenRequest(name="nobody", role="god")
        assert await code_of(owner, "CreateToken", request) == "INVALID_ARGUMENT"


REQUESTS: dict[str, Any] = {
    "GetResource": lambda t: admin_pb2.GetResourceRequest(kind="key", tenant=t, name="k"),
    "DeleteResource": lambda t: admin_pb2.DeleteResourceRequest(kind="key", tenant=t, name="k"),
    "SetDisabled": lambda t: admin_pb2.SetDisabledRequest(kind="key", tenant=t, name="k", disabled=True),
    "CreateKey": lambda t: admin_pb2.CreateKeyRequest(key=make("key", name="new", tenant=t).key),
    "RotateKey": lambda t: admin_pb2.RotateKeyRequest(tenant=t, name="k"),
    "RevokeKey": lambda t: admin_pb2.RevokeKeyRequest(tenant=t, name="k"),
    "SetProviderKey": lambda t: admin_pb2.SetProviderKeyRequest(tenant=t, provider="p", value="x"),
    "RemoveProviderKey": lambda t: admin_pb2.RemoveProviderKeyRequest(tenant=t, provider="p", key="default"),
    "ApplyResources": lambda t: admin_pb2.ApplyResourcesRequest(resources=[make("key", name="k2", tenant=t)]),
}


async def test_another_tenants_things_are_as_if_they_were_missing(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        tenants = [make("tenant", name=name) for name in ("mine", "theirs")]
        things = [
            thing
            for tenant in ("mine", "theirs", "*", "default")
            for thing in (
                make("key", name="k", tenant=tenant),
                make("provider", name="p", tenant=tenant, type="openai", keys=["sk-x"]),
            )
        ]
        await owner.apply(*tenants, *things)
        before = query(database, "SELECT * FROM resource, config_head ORDER BY 1, 2, 3")
        mine = replica.client(await replica.token("editor", tenant="mine"))
        revision = query(database, "SELECT revision FROM config_head")
        for method, request in REQUESTS.items():
            answers = {
                (await refused(mine.call(method, request(tenant))))[0]
                for tenant in ("theirs", "*", "default", "missing")
            }
            assert answers == {"NOT_FOUND"}, method
            there = (await refused(mine.call(method, request("theirs"))))[1].replace("theirs", "T")
            gone = (await refused(mine.call(method, request("missing"))))[1].replace("missing", "T")
            assert there == gone
        assert query(database, "SELECT revision FROM config_head") == revision
        assert [row[:8] for row in query(database, "SELECT * FROM resource ORDER BY 1, 2, 3")] == [
            row[:8] for row in before
        ]
        listed = (await mine.call("ListResources")).resources
        kinds = {(view.resource.WhichOneof("spec"), view.resource.key.tenant) for view in listed}
        assert kinds == {("tenant", ""), ("provider", ""), ("key", "mine")}
        for tenant in ("theirs", "*", "default"):
            request = admin_pb2.ListResourcesRequest(tenant=tenant)
            assert not (await mine.call("ListResources", request)).resources
        changes = [c for r in (await mine.call("ListRevisions")).revisions for c in r.changes]
        assert changes
        assert all("/mine" in change or change.startswith("created token/editor-") for change in changes)
        await mine.call("RotateKey", REQUESTS["RotateKey"]("mine"))
        await mine.call("RotateKey", REQUESTS["RotateKey"](""))


async def test_a_tenants_token_does_not_prune_others(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(
            make("tenant", name="mine"), make("key", name="k", tenant="mine"), make("key", name="k")
        )
        mine = replica.client(await replica.token("editor", tenant="mine"))
        answer = await mine.apply(prune=True)
        assert [(c.kind, c.tenant, c.name) for c in answer.changes] == [("key", "mine", "k")]


async def test_the_fleet_and_who_joins_it_are_for_global_tokens(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(make("tenant", name="mine"))
        mine = replica.client(await replica.token("owner", tenant="mine"))
        for path in GLOBAL_ONLY:
            assert await code_of(mine, path.rpartition("/")[2]) == "PERMISSION_DENIED"


async def test_health_needs_no_token_and_an_unknown_method_is_not_implemented(database: Secret) -> None:
    async with Replica.running(database) as replica, grpc.aio.insecure_channel(replica.address) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert await check(b"") == b"\x08\x01"
        nothing: Any = channel.unary_unary("/headgate.v1.AdminService/Nothing")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await nothing(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_message_over_the_limit_is_refused(database: Secret) -> None:
    async with Replica.running(database) as replica, grpc.aio.insecure_channel(replica.address) as channel:
        call: Any = channel.unary_unary("/headgate.v1.AdminService/ApplyResources")
        metadata = (await replica.owner()).metadata
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(bytes(17 * 1024 * 1024), metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_reflection_is_served_only_where_it_is_asked_for(database: Secret) -> None:
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    async with Replica.running(database) as replica, grpc.aio.insecure_channel(replica.address) as channel:
        assert await channel.stream_stream(path)().code() is grpc.StatusCode.UNIMPLEMENTED
    running = Replica.running(database, grpc_reflection=True)
    async with running as replica, grpc.aio.insecure_channel(replica.address) as channel:
        call: Any = channel.stream_stream(path)()
        await call.write(b"\x3a\x00")  # list_services: ""
        assert b"headgate.v1.AdminService" in await call.read()
        await call.write(b"\x22\x18headgate.v1.AdminService")  # file_containing_symbol
        assert b"headgate/v1/resources.proto" in await call.read()
        await call.write(b"\x22\x07nothing")
        assert b"not known here" in await call.read()
        await call.done_writing()
