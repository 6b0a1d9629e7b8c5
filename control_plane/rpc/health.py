"""grpc.health.v1, written out: two messages of one field each, built at start from a descriptor of our own
pool, because the published stubs are one more dependency.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from control_plane.rpc.guard import Guard
from control_plane.tokens.model import Principal

SERVICE = "grpc.health.v1.Health"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
POLL_SECONDS = 1.0
KNOWN_SERVICES = (
    "",
    "headgate.v1.AdminService",
    "headgate.v1.ConfigService",
    "headgate.v1.UsageService",
)


class Health:
    def __init__(self, is_serving: Callable[[], bool]) -> None:
        self._is_serving = is_serving
        self._request, self._response = _messages()

    async def check(self, request: Any, caller: Principal) -> Any:
        return self._response(status=self._status(request.service))

    async def watch(self, request: Any, caller: Principal) -> AsyncIterator[Any]:
        last = None
        while True:
            status = self._status(request.service)
            if status != last:
                last = status
                yield self._response(status=status)
            await asyncio.sleep(POLL_SECONDS)

    def _status(self, service: str) -> int:
        if service not in KNOWN_SERVICES:
            return SERVICE_UNKNOWN
        return SERVING if self._is_serving() else NOT_SERVING

    def handler(self, guard: Guard) -> grpc.GenericRpcHandler:
        def parts() -> dict[str, Any]:
            return {
                "request_deserializer": self._request.FromString,
                "response_serializer": self._response.SerializeToString,
            }

        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Check": grpc.stream_unary_rpc_method_handler(
                    guard.unary(f"/{SERVICE}/Check", self.check), **parts()
                ),
                "Watch": grpc.stream_stream_rpc_method_handler(
                    guard.server_stream(f"/{SERVICE}/Watch", self.watch), **parts()
                ),
            },
        )


def _messages() -> tuple[Any, Any]:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="grpc/health/v1/health.proto", package="grpc.health.v1", syntax="proto3"
    )
    request = file.message_type.add(name="HealthCheckRequest")
    request.field.add(name="service", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    response = file.message_type.add(name="HealthCheckResponse")
    # An enum outside; on the wire it is the same as its number.
    response.field.add(name="status", number=1, type=kinds.TYPE_INT32, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    make = message_factory.GetMessageClass
    names = ("grpc.health.v1.HealthCheckRequest", "grpc.health.v1.HealthCheckResponse")
    first, second = (make(pool.FindMessageTypeByName(name)) for name in names)
    return first, second
