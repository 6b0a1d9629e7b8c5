"""grpc.reflection.v1 (and v1alpha, which is the same on the wire), with --grpc-reflection only: lets grpcurl
and the like read the contract from the server.

The messages are built at start from a descriptor of our own pool, because the published stubs are one
more dependency. Source: https://github.com/grpc/grpc/blob/master/src/proto/grpc/reflection/v1/reflection.proto
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor

from control_plane.rpc.guard import Guard
from control_plane.rpc.server import SERVICES
from control_plane.tokens.model import Principal

VERSIONS = ("v1", "v1alpha")
_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
_INT32 = descriptor_pb2.FieldDescriptorProto.TYPE_INT32
_MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
_ONE = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
_MANY = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED


def reflection_handlers(guard: Guard) -> list[grpc.GenericRpcHandler]:
    return [_Reflection(version).handler(guard) for version in VERSIONS]


class _Reflection:
    def __init__(self, version: str) -> None:
        self._service = f"grpc.reflection.{version}.ServerReflection"
        self._request, self._response = _messages(f"grpc.reflection.{version}")

    def handler(self, guard: Guard) -> grpc.GenericRpcHandler:
        method = grpc.stream_stream_rpc_method_handler(
            guard.streams(f"/{self._service}/ServerReflectionInfo", self._answer_all),
            request_deserializer=self._request.FromString,
            response_serializer=self._response.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(self._service, {"ServerReflectionInfo": method})

    async def _answer_all(self, requests: AsyncIterator[Any], context: Any, caller: Principal) -> None:
        async for request in requests:
            await context.write(self._answer(request))

    def _answer(self, request: Any) -> Any:
        answer = self._response(valid_host=request.host)
        answer.original_request.CopyFrom(request)
        if request.HasField("list_services"):
            for service in SERVICES:
                answer.list_services_response.service.add(name=service.full_name)
            return answer
        file = self._find(request)
        if file is None:
            answer.error_response.error_code = grpc.StatusCode.NOT_FOUND.value[0]
            answer.error_response.error_message = "not known here"
        else:
            answer.file_descriptor_response.file_descriptor_proto.extend(_with_dependencies(file))
        return answer

    @staticmethod
    def _find(request: Any) -> FileDescriptor | None:
        pool = descriptor_pool.Default()
        try:
            if request.HasField("file_by_filename"):
                return pool.FindFileByName(request.file_by_filename)
            if request.HasField("file_containing_symbol"):
                return pool.FindFileContainingSymbol(request.file_containing_symbol)
        except KeyError:
            return None
        return None


def _with_dependencies(file: FileDescriptor) -> list[bytes]:
    found: dict[str, bytes] = {}

    def add(one: FileDescriptor) -> None:
        if one.name not in found:
            found[one.name] = one.serialized_pb
            for dependency in one.dependencies:
                add(dependency)

    add(file)
    return list(found.values())


def _messages(package: str) -> tuple[Any, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package.replace('.', '/')}/reflection.proto", package=package, syntax="proto3"
    )
    request = file.message_type.add(name="ServerReflectionRequest")
    request.oneof_decl.add(name="message_request")
    request.field.add(name="host", number=1, type=_STRING, label=_ONE)
    for name, number in (("file_by_filename", 3), ("file_containing_symbol", 4), ("list_services", 7)):
        request.field.add(name=name, number=number, type=_STRING, label=_ONE, oneof_index=0)
    files = file.message_type.add(name="FileDescriptorResponse")
    files.field.add(name="file_descriptor_proto", number=1, type=_BYTES, label=_MANY)
    service = file.message_type.add(name="ServiceResponse")
    service.field.add(name="name", number=1, type=_STRING, label=_ONE)
    services = file.message_type.add(name="ListServiceResponse")
    services.field.add(
        name="service", number=1, type=_MESSAGE, label=_MANY, type_name=f".{package}.ServiceResponse"
    )
    error = file.message_type.add(name="ErrorResponse")
    error.field.add(name="error_code", number=1, type=_INT32, label=_ONE)
    error.field.add(name="error_message", number=2, type=_STRING, label=_ONE)
    response = file.message_type.add(name="ServerReflectionResponse")
    response.oneof_decl.add(name="message_response")
    response.field.add(name="valid_host", number=1, type=_STRING, label=_ONE)
    parts = (
        ("original_request", 2, "ServerReflectionRequest", None),
        ("file_descriptor_response", 4, "FileDescriptorResponse", 0),
        ("list_services_response", 6, "ListServiceResponse", 0),
        ("error_response", 7, "ErrorResponse", 0),
    )
    for name, number, kind, oneof in parts:
        field = response.field.add(
            name=name, number=number, type=_MESSAGE, label=_ONE, type_name=f".{package}.{kind}"
        )
        if oneof is not None:
            field.oneof_index = oneof
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = ("ServerReflectionRequest", "ServerReflectionResponse")
    one, other = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in names
    )
    return one, other
