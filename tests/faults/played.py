"""A control plane that is played: it sends a proxy whatever a test wants, and writes down what it is told.

By gRPC's synchronous part: its asyncio part does not survive a second event loop in one process.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from headgate.v1 import config_pb2, usage_pb2
from tests.faults.system import wait_until
from tests.support.sockets import free_port

MAX_MESSAGE_BYTES = 64 * 2**20
# Streams at once: two for each proxy.
STREAMS = 16


@dataclass(slots=True)
class Told:
    """What a proxy has said on its config streams, in order."""

    hellos: list[tuple[float, config_pb2.ProxyHello]] = field(default_factory=list)
    acks: list[config_pb2.ConfigAck] = field(default_factory=list)
    nacks: list[config_pb2.ConfigNack] = field(default_factory=list)


class PlayedControlPlane:
    """Sends what `send` is given to the one proxy that watches; a context manager.

    `unavailable`: every Watch is refused. Usage is acknowledged and forgotten.
    """

    def __init__(self, folder: Path, api_key: str, port: int | None = None) -> None:
        self.folder = folder
        self.api_key = api_key
        self.grpc_port = port or free_port()
        self.told = Told()
        self.unavailable = False
        # For a proxy that comes: what it is sent first.
        self.welcome: list[config_pb2.ConfigUpdate] = []
        self._outgoing: queue.SimpleQueue[list[config_pb2.ConfigUpdate] | None] = queue.SimpleQueue()
        options = [("grpc.max_send_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)]
        self._server = grpc.server(ThreadPoolExecutor(STREAMS), options=options)
        services = {"ConfigService": self._config(), "UsageService": self._usage()}
        for name, methods in services.items():
            handler = grpc.method_handlers_generic_handler(f"headgate.v1.{name}", methods)
            self._server.add_generic_rpc_handlers((handler,))
        self._server.add_insecure_port(f"127.0.0.1:{self.grpc_port}")
        self._server.start()

    def proxy_token(self) -> str:
        return "a token that nobody checks"

    def __enter__(self) -> PlayedControlPlane:
        return self

    def __exit__(self, *exception: object) -> None:
        self._outgoing.put(None)
        self._server.stop(None).wait()

    def send(self, *messages: config_pb2.ConfigUpdate) -> None:
        self._outgoing.put(list(messages))

    def end_stream(self) -> None:
        """In order, after all that was sent."""
        self._outgoing.put(None)

    def wait_for_ack(self, revision: int, timeout_seconds: float = 10.0) -> None:
        wait_until(lambda: any(a.version.revision == revision for a in self.told.acks), timeout_seconds)

    def wait_for_nack(self, number: int, timeout_seconds: float = 10.0) -> config_pb2.ConfigNack:
        """The nack of that number, from 1."""
        wait_until(lambda: len(self.told.nacks) >= number, timeout_seconds)
        return self.told.nacks[number - 1]

    def _config(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        return {
            "Watch": grpc.stream_stream_rpc_method_handler(
                self._watch,
                request_deserializer=config_pb2.WatchRequest.FromString,
                response_serializer=config_pb2.WatchResponse.SerializeToString,
            )
        }

    def _usage(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        return {
            "Report": grpc.stream_stream_rpc_method_handler(
                _acknowledge,
                request_deserializer=usage_pb2.ReportRequest.FromString,
                response_serializer=usage_pb2.ReportResponse.SerializeToString,
            )
        }

    def _watch(
        self, requests: Iterator[config_pb2.WatchRequest], context: Any
    ) -> Iterator[config_pb2.WatchResponse]:
        self.told.hellos.append((time.monotonic(), next(requests).hello))
        if self.unavailable:
            context.abort(grpc.StatusCode.UNAVAILABLE, "played")
        threading.Thread(target=self._listen, args=(requests,), daemon=True).start()
        yield from _responses(self.welcome)
        while context.is_active():
            try:
                messages = self._outgoing.get(timeout=0.05)
            except queue.Empty:
                continue
            if messages is None:
                return
            yield from _responses(messages)

    def _listen(self, requests: Iterator[config_pb2.WatchRequest]) -> None:
        try:
            for request in requests:
                if request.HasField("ack"):
                    self.told.acks.append(request.ack)
                elif request.HasField("nack"):
                    self.told.nacks.append(request.nack)
        except grpc.RpcError:
            pass  # the proxy is gone


def _responses(messages: Iterable[config_pb2.ConfigUpdate]) -> Iterator[config_pb2.WatchResponse]:
    for message in messages:
        yield config_pb2.WatchResponse(update=message)


def _acknowledge(requests: Iterator[usage_pb2.ReportRequest], _: Any) -> Iterator[usage_pb2.ReportResponse]:
    for request in requests:
        if request.HasField("batch"):
            yield usage_pb2.ReportResponse(
                acked_sequence=request.batch.sequence, inserted=len(request.batch.records)
            )
