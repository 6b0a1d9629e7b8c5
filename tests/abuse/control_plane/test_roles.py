"""Roles × RPC × writable field (A12), for tokens of one tenant: exactly the table, nothing beyond the tenant.

Tokens of all tenants: tests/integration/control_plane/test_cp_access.py.
"""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import message_factory

from control_plane.rpc.access import ACCESS, BOOTSTRAP, CARRIED, GLOBAL_ONLY
from control_plane.rpc.server import SERVICES, method_path
from control_plane.tokens.model import INCLUDES, PROXY
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, resources_pb2
from tests.abuse.control_plane.test_foreign_names import FOREIGN, MINE, THEIRS, Tenants, rows_of_others
from tests.integration.control_plane.replica import Client, Replica, make, query, refused
from tests.integration.control_plane.test_cp_access import LET_IN, code_of

KINDS = [field.name for field in resources_pb2.Resource.DESCRIPTOR.oneofs_by_name["spec"].fields]
SHARED = "*"


async def code_of_any(client: Client, channel: grpc.aio.Channel, method: Any) -> str:
    """Of an empty request, to whatever kind of RPC; OK: it was let in and goes on."""
    request = message_factory.GetMessageClass(method.input_type)().SerializeToString()
    open_call: Any = channel.unary_stream(method_path(method))
    call = open_call(request, metadata=client.metadata, timeout=10.0)
    try:
        await call.initial_metadata()
        if method.name == "TailCalls" and not call.done():
            call.cancel()
            return "OK"
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError:
        pass
    return str((await call.code()).name)


async def test_each_role_of_a_tenant_reaches_exactly_what_the_table_says(database: Secret) -> None:
    wrong = []
    async with Replica.running(database) as replica, grpc.aio.insecure_channel(replica.address) as channel:
        await (await replica.owner()).apply(make("tenant", name=MINE))
        tokens = {
            (role, tenant): replica.client(await replica.token(role, tenant=tenant))
            for role in INCLUDES
            for tenant in ("", MINE)
            if not (role == PROXY and tenant)
        }
        for (role, tenant), client in tokens.items():
            for service in SERVICES:
                for method in service.methods:
                    path = method_path(method)
                    needed = ACCESS[path]
                    # Those of all tenants call the others in test_cp_access.py.
                    if needed in (BOOTSTRAP, CARRIED) or not (tenant or _streams(method)):
                        continue
                    may = needed in INCLUDES[role] and not (tenant and path in GLOBAL_ONLY)
                    code = await code_of_any(client, channel, method)
                    if code not in (LET_IN if may else {"PERMISSION_DENIED"}):
                        wrong.append(f"{role} of {tenant or 'all'} {method.name}: {code}")
    assert wrong == []


def _streams(method: Any) -> bool:
    return bool(method.client_streaming or method.server_streaming)


def resource(kind: str, tenant: str) -> resources_pb2.Resource:
    """The least of its kind; of a tenant, or (`tenant`) itself."""
    least: dict[str, dict[str, Any]] = {
        "provider": {"type": "openai", "keys": ["sk-x"]},
        "model": {"provider": "p"},
        "route": {"policy": "m"},
        "experiment": {
            "unit": "request",
            "variants": [{"name": name, "use": name, "weight": 1} for name in ("m", "m2")],
        },
    }
    if kind == "tenant":
        return make("tenant", name=tenant, residency=["eu"])
    return make(kind, name="injected", tenant=tenant, **least.get(kind, {}))


async def test_no_field_of_any_kind_of_resource_reaches_another_tenant(database: Secret) -> None:
    async with Replica.running(database) as replica:
        tenants = Tenants(replica)
        await tenants.fill()
        editor = replica.client(await replica.token("editor", tenant=MINE))
        before = rows_of_others(database)
        revision = query(database, "SELECT revision FROM config_head")
        let_in = []
        for kind in KINDS:
            for tenant in (*FOREIGN, SHARED):
                if kind == "tenant" and tenant == SHARED:
                    continue
                request = admin_pb2.ApplyResourcesRequest(resources=[resource(kind, tenant)])
                code, _ = await refused_or_ok(editor, "ApplyResources", request)
                if code not in ("NOT_FOUND", "PERMISSION_DENIED", "INVALID_ARGUMENT"):
                    let_in.append(f"{kind} {tenant}: {code}")
        assert let_in == []
        # A tenant's own bounds (residency, judges) are set from above.
        own = admin_pb2.ApplyResourcesRequest(resources=[resource("tenant", MINE)])
        assert (await refused_or_ok(editor, "ApplyResources", own))[0] in ("NOT_FOUND", "PERMISSION_DENIED")
        assert query(database, "SELECT revision FROM config_head") == revision
        assert rows_of_others(database) == before


async def refused_or_ok(client: Client, method: str, request: Any) -> tuple[str, str]:
    code = await code_of(client, method, request)
    return (code, "") if code == "OK" else await refused(client.call(method, request))


async def test_of_one_apply_with_a_foreign_resource_among_own_ones_nothing_is_taken(database: Secret) -> None:
    async with Replica.running(database) as replica:
        await Tenants(replica).fill()
        editor = replica.client(await replica.token("editor", tenant=MINE))
        mixed = [resource("key", MINE), resource("key", THEIRS)]
        request = admin_pb2.ApplyResourcesRequest(resources=mixed)
        assert await code_of(editor, "ApplyResources", request) == "NOT_FOUND"
        assert query(database, "SELECT count(*) FROM resource WHERE name = 'injected'") == [(0,)]


async def test_a_hash_that_somebody_else_uses_does_not_say_who(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await Tenants(replica).fill()
        used = "ab" * 32
        await owner.apply(make("key", name="hashed", tenant=THEIRS, sha256=used))
        editor = replica.client(await replica.token("editor", tenant=MINE))
        key = make("key", name="copied", tenant=MINE, sha256=used)
        code, message = await refused(editor.apply(key))
        assert code == "ALREADY_EXISTS"
        assert THEIRS not in message
        assert "hashed" not in message
