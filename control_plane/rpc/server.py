"""The gRPC server: handlers from the descriptors, limits, keepalive, TLS.

A method of the contract without an implementation does not start: better now than at the first call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from control_plane.rpc.guard import Guard
from control_plane.rpc.places import MAX_CONCURRENT_RPCS
from control_plane.rpc.tls import ListenerCertificate
from control_plane.settings import Settings, SettingsError
from headgate.v1 import (
    admin_pb2,
    config_pb2,
    experiments_pb2,
    history_pb2,
    identity_pb2,
    quarantine_pb2,
    rollout_pb2,
    routing_pb2,
    sealing_pb2,
    usage_pb2,
)

# An apply of ten thousand resources fits; a gigabyte does not (A15).
MAX_RECEIVE_BYTES = 16 * 1024 * 1024
# Per connection. A proxy needs two, a CLI one.
MAX_STREAMS_PER_CONNECTION = 64

# Both ends must agree, or a server cuts off idle proxies with `too_many_pings` (F19).
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.max_concurrent_streams", MAX_STREAMS_PER_CONNECTION),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # By itself a ping may stay unanswered for a minute, whatever the line above says (grpcio 1.85).
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 3),
    ("grpc.so_reuseport", 0),
)

SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    file.DESCRIPTOR.services_by_name[name]
    for file, name in (
        (admin_pb2, "AdminService"),
        (routing_pb2, "RoutingService"),
        (experiments_pb2, "ExperimentService"),
        (history_pb2, "HistoryService"),
        (identity_pb2, "IdentityService"),
        (sealing_pb2, "SealingService"),
        (rollout_pb2, "RolloutService"),
        (quarantine_pb2, "QuarantineService"),
        (config_pb2, "ConfigService"),
        (usage_pb2, "UsageService"),
    )
)


def method_path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def service_handlers(
    guard: Guard, implementations: Mapping[str, Callable[..., Any]]
) -> list[grpc.GenericRpcHandler]:
    """`implementations`: method name → (request, caller) → response; see guard.py for streams."""
    handlers = []
    for service in SERVICES:
        methods = {
            method.name: _handler(guard, method, implementations[method.name]) for method in service.methods
        }
        handlers.append(grpc.method_handlers_generic_handler(service.full_name, methods))
    return handlers


def _handler(
    guard: Guard, method: MethodDescriptor, implementation: Callable[..., Any]
) -> grpc.RpcMethodHandler[Any, Any]:
    path = method_path(method)
    request: Any = message_factory.GetMessageClass(method.input_type)
    parts: dict[str, Any] = {"request_deserializer": request.FromString, "response_serializer": _serialise}
    # The guard reads the request of each itself: on the wire one message is a stream of one.
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(guard.streams(path, implementation), **parts)
    if method.server_streaming:
        return grpc.stream_stream_rpc_method_handler(guard.server_stream(path, implementation), **parts)
    return grpc.stream_unary_rpc_method_handler(guard.unary(path, implementation), **parts)


def _serialise(answer: Any) -> bytes:
    # Config updates are serialised once for all proxies that get them.
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


def make_server(handlers: Sequence[grpc.GenericRpcHandler]) -> grpc.aio.Server:
    server = grpc.aio.server(options=list(OPTIONS), maximum_concurrent_rpcs=MAX_CONCURRENT_RPCS)
    server.add_generic_rpc_handlers(tuple(handlers))
    return server


def listen(server: grpc.aio.Server, settings: Settings) -> int:
    """The port. Plain text was allowed by settings.py on loopback addresses only."""
    address = str(settings.grpc)
    try:
        if settings.tls_cert is None or settings.tls_key is None:
            port = server.add_insecure_port(address)
        else:
            certificate = ListenerCertificate(settings.tls_cert, settings.tls_key, settings.ca_file)
            port = server.add_secure_port(address, certificate.credentials())
    except RuntimeError:
        port = 0
    if port == 0:
        raise SettingsError(f"cannot listen on {address}: the port is taken, or the address is not ours")
    return port
