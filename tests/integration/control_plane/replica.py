"""A real control plane in the test's own event loop, and a client that speaks gRPC to it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import psycopg
from google.protobuf import message_factory

from control_plane.compose import ControlPlane
from control_plane.db.embedded import EmbeddedPostgres
from control_plane.secrets.source import KekSource
from control_plane.settings import Address, Settings
from headgate.rules.credentials import Secret
from headgate.rules.spec import parse
from headgate.v1 import (
    admin_pb2,
    config_pb2,
    experiments_pb2,
    history_pb2,
    identity_pb2,
    quarantine_pb2,
    resources_pb2,
    rollout_pb2,
    routing_pb2,
    sealing_pb2,
    usage_pb2,
)

ADMIN = "/headgate.v1.AdminService/"
METHODS = {
    method.name: method
    for service in (
        admin_pb2.DESCRIPTOR.services_by_name["AdminService"],
        routing_pb2.DESCRIPTOR.services_by_name["RoutingService"],
        experiments_pb2.DESCRIPTOR.services_by_name["ExperimentService"],
        history_pb2.DESCRIPTOR.services_by_name["HistoryService"],
        identity_pb2.DESCRIPTOR.services_by_name["IdentityService"],
        quarantine_pb2.DESCRIPTOR.services_by_name["QuarantineService"],
        rollout_pb2.DESCRIPTOR.services_by_name["RolloutService"],
        sealing_pb2.DESCRIPTOR.services_by_name["SealingService"],
    )
    for method in service.methods
}
KEK = base64.b64encode(bytes(range(32))).decode()


def start_postgres(folder: Path) -> tuple[EmbeddedPostgres, Secret]:
    embedded = EmbeddedPostgres(folder / "state")
    return embedded, embedded.start()


def database_url(server: Secret, name: str) -> Secret:
    return Secret(server.text.replace("/postgres?", f"/{name}?"))


def query(url: Secret, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Past the product: what is really in the database."""
    with psycopg.connect(url.text, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


async def refused(call: Awaitable[Any]) -> tuple[str, str]:
    """(status code, message) of a call that must fail."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    raise AssertionError("the call succeeded")


class Client:
    """Calls by method name: `await client.call("GetStatus")`."""

    def __init__(self, address: str, token: str) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def call(self, method: str, request: Any = None, timeout: float = 15.0) -> Any:
        descriptor = METHODS[method]
        request_type, response_type = (
            message_factory.GetMessageClass(kind) for kind in (descriptor.input_type, descriptor.output_type)
        )
        stub = self._channel.unary_unary(
            f"/{descriptor.containing_service.full_name}/{method}",
            request_serializer=request_type.SerializeToString,
            response_deserializer=response_type.FromString,
        )
        return await stub(request or request_type(), metadata=self.metadata, timeout=timeout)

    async def apply(
        self, *resources: resources_pb2.Resource, **more: Any
    ) -> admin_pb2.ApplyResourcesResponse:
        request = admin_pb2.ApplyResourcesRequest(resources=resources, **more)
        answer: admin_pb2.ApplyResourcesResponse = await self.call("ApplyResources", request)
        return answer

    def watch(self) -> Any:
        return self._channel.stream_stream(
            "/headgate.v1.ConfigService/Watch",
            request_serializer=config_pb2.WatchRequest.SerializeToString,
            response_deserializer=config_pb2.WatchResponse.FromString,
        )(metadata=self.metadata)

    def report(self) -> Any:
        return self._channel.stream_stream(
            "/headgate.v1.UsageService/Report",
            request_serializer=usage_pb2.ReportRequest.SerializeToString,
            response_deserializer=usage_pb2.ReportResponse.FromString,
        )(metadata=self.metadata)

    def tail(self, request: admin_pb2.TailCallsRequest) -> Any:
        return self._channel.unary_stream(
            ADMIN + "TailCalls",
            request_serializer=admin_pb2.TailCallsRequest.SerializeToString,
            response_deserializer=admin_pb2.TailCallsResponse.FromString,
        )(request, metadata=self.metadata)

    def replay(self, request: routing_pb2.ReplayRequest) -> Any:
        return self._channel.unary_stream(
            "/headgate.v1.RoutingService/Replay",
            request_serializer=routing_pb2.ReplayRequest.SerializeToString,
            response_deserializer=routing_pb2.ReplayResponse.FromString,
        )(request, metadata=self.metadata)

    async def close(self) -> None:
        await self._channel.close()


class Replica:
    def __init__(self, control_plane: ControlPlane, address: str) -> None:
        self.control_plane = control_plane
        self.address = address
        self.owner_token = ""
        self._clients: list[Client] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, url: Secret, kek: str | None = KEK, **settings: Any) -> AsyncIterator[Replica]:
        source = settings.pop("kek_source", None) or KekSource(Secret(kek) if kek else None)
        chosen = Settings(Address("127.0.0.1", 0), kek_source=source, **settings)
        control_plane = ControlPlane(chosen, url)
        await control_plane.prepare()
        try:
            async with control_plane.running() as address:
                replica = cls(control_plane, str(address))
                try:
                    yield replica
                finally:
                    for client in replica._clients:
                        await client.close()
        finally:
            control_plane.close()

    def client(self, token: str) -> Client:
        client = Client(self.address, token)
        self._clients.append(client)
        return client

    async def owner(self) -> Client:
        """Of the first owner's token, minted at the first call."""
        if not self.owner_token:
            answer = await self.client("").call("BootstrapToken")
            self.owner_token = answer.minted.secret
        return self.client(self.owner_token)

    async def token(self, role: str, tenant: str = "", name: str = "") -> str:
        owner = await self.owner()
        name = name or f"{role}-{os.urandom(3).hex()}"
        request = admin_pb2.CreateTokenRequest(name=name, role=role, tenant=tenant)
        secret = str((await owner.call("CreateToken", request)).minted.secret)
        # A token is a revision; what a test then sees is of its own making.
        await self.published((await owner.call("GetStatus")).version.revision)
        return secret

    async def proxy_token(self) -> str:
        return await self.token("proxy")

    async def published(self, revision: int, timeout_seconds: float = 5.0) -> None:
        publisher = self.control_plane.publisher
        async with asyncio.timeout(timeout_seconds):
            while publisher.current is None or publisher.current.version.revision < revision:
                await asyncio.sleep(0.01)


def make(kind: str, **fields: Any) -> resources_pb2.Resource:
    """A resource as a manifest would say it; `type` stands for the provider's field `kind`."""
    if "type" in fields:
        fields["kind"] = fields.pop("type")
    resource = resources_pb2.Resource()
    message = getattr(resource, kind)
    message.CopyFrom(parse(type(message), fields))
    return resource
