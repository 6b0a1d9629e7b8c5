"""A tenant's token with other tenants' names (A11), generated for every RPC that such a token may call.

What others have is as if it were missing: the same status, the same words, no rows; nothing of it changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.descriptor import Descriptor

from control_plane.rpc.access import ACCESS, BOOTSTRAP, CARRIED, GLOBAL_ONLY
from control_plane.rpc.server import SERVICES, method_path
from control_plane.tokens.model import PROXY
from headgate.rules.credentials import Secret
from headgate.v1 import (
    admin_pb2,
    experiments_pb2,
    history_pb2,
    resources_pb2,
    routing_pb2,
)
from tests.integration.control_plane.records import make_id, make_record
from tests.integration.control_plane.replica import Client, Replica, make, query
from tests.integration.control_plane.test_cp_ingest import reporter

MINE, THEIRS, MISSING = "mine", "theirs", "missing"
FOREIGN = (THEIRS, "default")
CALLS = {tenant: make_id() for tenant in (MINE, THEIRS, "default", MISSING)}
STREAMS = {"TailCalls", "Replay"}
# Their requests name nobody; what they show or change is checked below.
WITHOUT_NAMES = {"ListTokens", "ListRevisions", "AwaitRevision", "GetStatus", "Rollback"}

Build = Callable[[str], Any]


def named(message: Any, **more: Any) -> Build:
    return lambda tenant: message(tenant=tenant, **more)


REQUESTS: dict[str, Build] = {
    "ApplyResources": lambda t: admin_pb2.ApplyResourcesRequest(resources=[make("key", name="k2", tenant=t)]),
    "GetResource": named(admin_pb2.GetResourceRequest, kind="key", name="k"),
    "ListResources": named(admin_pb2.ListResourcesRequest),
    "SetDisabled": named(admin_pb2.SetDisabledRequest, kind="key", name="k", disabled=True),
    "CreateKey": lambda t: admin_pb2.CreateKeyRequest(key=make("key", name="new", tenant=t).key),
    "RotateKey": named(admin_pb2.RotateKeyRequest, name="k"),
    "RevokeKey": named(admin_pb2.RevokeKeyRequest, name="k"),
    "DeleteResource": named(admin_pb2.DeleteResourceRequest, kind="key", name="k"),
    "SetProviderKey": named(admin_pb2.SetProviderKeyRequest, provider="p", value="sk-y"),
    "RemoveProviderKey": named(admin_pb2.RemoveProviderKeyRequest, provider="p", key="default"),
    "CreateToken": named(admin_pb2.CreateTokenRequest, name="made", role="viewer"),
    "RevokeToken": lambda t: admin_pb2.RevokeTokenRequest(name=f"of-{t}"),
    "QueryUsage": named(admin_pb2.QueryUsageRequest, by=["key"]),
    "ListCalls": named(admin_pb2.ListCallsRequest),
    "GetCall": lambda t: admin_pb2.GetCallRequest(tenant=t, request_id=UUID(bytes=CALLS[t]).hex),
    "TailCalls": named(admin_pb2.TailCallsRequest),
    "ExplainRoute": named(routing_pb2.ExplainRouteRequest, model="r"),
    "ListStandings": named(routing_pb2.ListStandingsRequest),
    "Replay": named(routing_pb2.ReplayRequest),
    "ListChanges": named(history_pb2.ListChangesRequest),
    "ShowExperiment": named(experiments_pb2.ShowExperimentRequest, name="e"),
    "ExportExperiment": named(experiments_pb2.ExportExperimentRequest, name="e"),
    "StopExperiment": named(experiments_pb2.StopExperimentRequest, name="e"),
    "StartExperiment": named(experiments_pb2.StartExperimentRequest, name="e"),
    "PromoteExperiment": named(experiments_pb2.PromoteExperimentRequest, name="e", variant="a"),
    "ListTaskFit": named(experiments_pb2.ListTaskFitRequest),
}


def reachable() -> Iterator[tuple[str, Descriptor]]:
    """(name, request) of every RPC that some tenant's token may call."""
    for service in SERVICES:
        for method in service.methods:
            path = method_path(method)
            if ACCESS[path] not in (BOOTSTRAP, CARRIED, PROXY) and path not in GLOBAL_ONLY:
                yield method.name, method.input_type


def things(tenant: str) -> list[resources_pb2.Resource]:
    variants = [{"name": "a", "use": "m", "weight": 1}, {"name": "b", "use": "m2", "weight": 1}]
    return [
        make("key", name="k", tenant=tenant, allow=["*"]),
        make("provider", name="p", tenant=tenant, type="openai", keys=["sk-x"]),
        *(make("model", name=name, tenant=tenant, provider="p") for name in ("m", "m2")),
        make("experiment", name="e", tenant=tenant, unit="request", variants=variants),
        make("route", name="r", tenant=tenant, policy={"experiment": "e"}),
    ]


def rows_of_others(database: Secret) -> dict[str, list[str]]:
    """All that is stored, but what is mine: rows as text, by table."""
    tables = query(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {
        table: sorted(
            str(row[0])
            for row in query(database, f"SELECT t::text FROM {table} t")
            if MINE not in str(row[0])
        )
        for (table,) in tables
        # A revision number for all, and what replicas and connections write by themselves.
        if table not in ("config_head", "proxy", "kek_check")
    }


class Tenants:
    """Three tenants with the same things, and the token of one of them."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.token = ""

    async def fill(self) -> Client:
        owner = await self.replica.owner()
        tenants = [make("tenant", name=name) for name in (MINE, THEIRS)]
        everything = [thing for tenant in (MINE, *FOREIGN) for thing in things(tenant)]
        await owner.apply(*tenants, *everything)
        for tenant in (MINE, THEIRS):
            await self.replica.token("viewer", tenant=tenant, name=f"of-{tenant}")
        await self.replica.token("viewer", name="of-default")
        stream = await reporter(self.replica)
        records = [
            make_record(tenant=tenant, key="k", request_id=CALLS[tenant]) for tenant in (MINE, *FOREIGN)
        ]
        assert await stream.report(records) == (3, 0, 0)
        await stream.close()
        self.token = await self.replica.token("owner", tenant=MINE, name="boss-of-mine")
        return self.replica.client(self.token)


async def said(client: Client, name: str, tenant: str) -> tuple[str, str]:
    """(status, message or answer) with the tenant's name taken out."""
    request = REQUESTS[name](tenant)
    try:
        if name in STREAMS:
            answer = await first_of(client.tail(request) if name == "TailCalls" else client.replay(request))
        else:
            answer = str(await client.call(name, request))
    except grpc.aio.AioRpcError as error:
        text = (error.details() or "").replace(tenant, "T").replace(UUID(bytes=CALLS[tenant]).hex, "ID")
        return error.code().name, text.replace(str(UUID(bytes=CALLS[tenant])), "ID")
    return "OK", answer.replace(tenant, "T")


async def first_of(call: Any) -> str:
    try:
        async with asyncio.timeout(0.5):
            answer = await call.read()
            return "" if answer is grpc.aio.EOF else str(answer)
    except TimeoutError:
        return ""
    finally:
        call.cancel()


def test_every_rpc_that_a_tenants_token_may_call_is_tried() -> None:
    assert {name for name, _ in reachable()} == REQUESTS.keys() | WITHOUT_NAMES
    for name, request in reachable():
        assert name not in WITHOUT_NAMES or "tenant" not in request.fields_by_name, name


async def test_with_anothers_names_every_rpc_answers_as_if_they_were_missing(database: Secret) -> None:
    async with Replica.running(database) as replica:
        mine = await Tenants(replica).fill()
        before = rows_of_others(database)
        wrong: list[str] = []
        for name in REQUESTS:
            missing = await said(mine, name, MISSING)
            for tenant in FOREIGN:
                found = await said(mine, name, tenant)
                if found != missing:
                    wrong.append(f"{name} {tenant}: {found}, but of what is missing: {missing}")
            if missing[0] not in ("OK", "NOT_FOUND", "PERMISSION_DENIED"):
                wrong.append(f"{name}: {missing}")
        assert wrong == []
        assert rows_of_others(database) == before


async def test_with_their_own_names_they_answer(database: Secret) -> None:
    """Or else the refusals above would prove nothing."""
    async with Replica.running(database) as replica:
        mine = await Tenants(replica).fill()
        refused = {name: found for name in REQUESTS if (found := await said(mine, name, MINE))[0] != "OK"}
        assert refused == {}


async def test_what_names_nobody_shows_and_changes_nothing_of_others(database: Secret) -> None:
    async with Replica.running(database) as replica:
        tenants = Tenants(replica)
        mine = await tenants.fill()
        before = rows_of_others(database)
        for name in WITHOUT_NAMES - {"Rollback"}:
            assert THEIRS not in str(await mine.call(name)), name
        answer = await mine.call("Rollback", history_pb2.RollbackRequest(revision=1))
        assert THEIRS not in str(answer)
        assert {change.tenant for change in answer.changes} <= {MINE}
        assert rows_of_others(database) == before
        # A secret of theirs that does not open is for others to read about.
        query(database, "UPDATE provider_key SET sealed = 'x' WHERE tenant = 'theirs'")
    async with Replica.running(database) as other:
        found = (await other.client(tenants.token).call("GetStatus")).secrets
        assert found not in ("", "ok")
        assert THEIRS not in found
