"""A control plane of a test's own: a real process that may be killed, and a played proxy's stream to it.

It has a database of its own in the system's PostgreSQL. Spoken to by gRPC's synchronous part: its asyncio
part does not survive a second event loop in one process.
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import psycopg
from google.protobuf import message_factory

from headgate.v1 import admin_pb2, config_pb2, resources_pb2
from tests.faults.system import System, wait_until
from tests.integration.control_plane.replica import KEK, METHODS, make
from tests.support.child_process import ChildProcess
from tests.support.ledgers import Billed, embedded_url
from tests.support.processes import clean_environment
from tests.support.sockets import free_port

MAX_MESSAGE_BYTES = 64 * 2**20
CALL_SECONDS = 30.0


class OwnControlPlane:
    """`python -m control_plane` at one address over all its lives; a context manager.

    `replica_of`: on that one's database. `clock`: its wall clock is what this file says (`skewed.py`).
    `proxies_port`: where joined proxies come, the same at all replicas, so each has a `host` of its own.
    `through`: the program that runs it (`hastened.py`).
    """

    def __init__(
        self,
        system: System,
        name: str,
        replica_of: OwnControlPlane | None = None,
        clock: Path | None = None,
        through: Sequence[str] = (),
        *,
        host: str = "127.0.0.1",
        proxies_port: int | None = None,
    ) -> None:
        self.folder = system.folder / name
        self.folder.mkdir()
        self.name = name
        self.grpc_port, self._ops_port = free_port(host), free_port()
        self.grpc = f"{host}:{self.grpc_port}"
        self._proxies = [] if proxies_port is None else ["--proxies", f"{host}:{proxies_port}"]
        self.ops = f"http://127.0.0.1:{self._ops_port}"
        own = [*through, "control_plane"]
        self._program = own if clock is None else ["tests.faults.skewed", str(clock), *own]
        self._state = system.headgate.state
        self._starts = 0
        self._channel: grpc.Channel | None = None
        self._is_first = replica_of is None
        self.billed = Billed(self.database_url)
        self.api_key = self._token = self._owner_token = ""
        if replica_of is not None:
            self._database: str = replica_of._database
            self._token, self._owner_token = replica_of._token, replica_of._owner_token
            self._url: str = replica_of._url
            self.process = self.start()
            return
        self._database = name
        with psycopg.connect(embedded_url(self._state), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        # It stays the same over the lives of the server, and has to be known while that is away.
        self._url = self.database_url()
        self.process = self.start()
        self._owner_token = self.call("BootstrapToken").minted.secret
        request = admin_pb2.CreateTokenRequest(name="proxies", role="proxy")
        self._token = self.call("CreateToken", request).minted.secret

    def database_url(self) -> str:
        return embedded_url(self._state).replace("/postgres?", f"/{self._database}?")

    def furnish(self) -> int:
        """What a proxy's calls need: the model `slow`, which answers by itself, and a key; the revision."""
        answer = self.apply(
            make("provider", name="played", type="sandbox"),
            make("model", name="slow", provider="played"),
            make("key", name="app", allow=["*"]),
            source="furniture",
        )
        self.api_key = answer.minted[0].secret
        return answer.revision

    def log_lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self.process.log().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def deadlocks(self) -> int:
        """That PostgreSQL had to break, also where nobody noticed because all was tried again.

        After `kill`: a connection says what it has counted when it ends.
        """
        of_this = "WHERE datname = current_database()"
        others = f"SELECT count(*) FROM pg_stat_activity {of_this} AND pid <> pg_backend_pid()"
        counted = f"SELECT deadlocks FROM pg_stat_database {of_this}"

        def ask(statement: str) -> int:
            with psycopg.connect(self.database_url()) as connection:
                found = connection.execute(statement.encode()).fetchone()
            return int(found[0]) if found else 0

        wait_until(lambda: ask(others) == 0)
        return ask(counted)

    def start(self) -> ChildProcess:
        """Returns when a call would succeed."""
        self.launch().wait_for_file(self._ready_file)
        return self.process

    @property
    def _ready_file(self) -> Path:
        return self.folder / f"ready.{self._starts}.json"

    @property
    def is_announced(self) -> bool:
        """Its ready file is there."""
        return self._ready_file.exists()

    def launch(self) -> ChildProcess:
        """Returns at once."""
        self._starts += 1
        command = [sys.executable, "-m", *self._program, "--grpc", self.grpc, *self._proxies]
        command += ["--ops", f"127.0.0.1:{self._ops_port}", "--ready-file", str(self._ready_file)]
        environment = clean_environment(HEADGATE_DATABASE_URL=self._url, HEADGATE_KEK=KEK)
        self.process = ChildProcess(command, self.folder / "control_plane.log", environment)
        return self.process

    def kill(self) -> None:
        self.process.kill()
        self._hang_up()

    def terminate(self, timeout_seconds: float = 40.0) -> tuple[int, float]:
        """SIGTERM; its exit code, and the seconds that it took."""
        began = time.monotonic()
        self.process.signal(signal.SIGTERM)
        code = self.process.wait(timeout_seconds)
        self._hang_up()
        return code, time.monotonic() - began

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def __enter__(self) -> OwnControlPlane:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
        if not self._is_first:
            return
        # Only to save room: it goes with the server's folder in any case.
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(embedded_url(self._state), autocommit=True) as connection,
        ):
            connection.execute(f"DROP DATABASE {self._database} WITH (FORCE)".encode())

    def proxy_token(self) -> str:
        return self._token

    def _stub(self, method: str) -> tuple[Any, Any]:
        """(callable, class of its request)."""
        if self._channel is None:
            options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
            self._channel = grpc.insecure_channel(self.grpc, options)
        descriptor = METHODS[method]
        request, response = (
            message_factory.GetMessageClass(kind) for kind in (descriptor.input_type, descriptor.output_type)
        )
        stub = self._channel.unary_unary(
            f"/{descriptor.containing_service.full_name}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return stub, request

    def call(self, method: str, request: Any = None) -> Any:
        stub, kind = self._stub(method)
        return stub(request or kind(), metadata=self._metadata(), timeout=CALL_SECONDS)

    def begin(self, method: str, request: Any) -> Any:
        """A future: the call is on its way, whatever becomes of it."""
        return self._stub(method)[0].future(request, metadata=self._metadata(), timeout=CALL_SECONDS)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._owner_token}"),) if self._owner_token else ()

    def apply(self, *resources: resources_pb2.Resource, **more: Any) -> admin_pb2.ApplyResourcesResponse:
        request = admin_pb2.ApplyResourcesRequest(resources=resources, **more)
        answer: admin_pb2.ApplyResourcesResponse = self.call("ApplyResources", request)
        return answer

    def proxies(self) -> dict[str, admin_pb2.ProxyView]:
        """The fleet as `headgate proxies` shows it, by name."""
        return {view.name: view for view in self.call("ListProxies").proxies}

    def watch(self, name: str, region: str = "local") -> Watch:
        """The config stream of a proxy that the test plays."""
        return Watch(self.grpc, self._token, name, region)


class Watch:
    """A config stream by hand: what came, and an answer to it."""

    def __init__(
        self, address: str, token: str, name: str, region: str, options: Sequence[tuple[str, Any]] = ()
    ) -> None:
        self._channel = grpc.insecure_channel(address, options)
        # What the stream ended with, if it did.
        self.end = ""
        self._outgoing: queue.SimpleQueue[config_pb2.WatchRequest | None] = queue.SimpleQueue()
        hello = config_pb2.ProxyHello(name=name, region=region, software_version="1")
        self._outgoing.put(config_pb2.WatchRequest(hello=hello))
        self._call: Any = self._channel.stream_stream(
            "/headgate.v1.ConfigService/Watch",
            request_serializer=config_pb2.WatchRequest.SerializeToString,
            response_deserializer=config_pb2.WatchResponse.FromString,
        )(iter(self._outgoing.get, None), metadata=(("authorization", f"Bearer {token}"),))
        self._came: queue.SimpleQueue[config_pb2.ConfigUpdate] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for response in self._call:
                if response.HasField("update"):
                    self._came.put(response.update)
            self.end = "ended"
        except grpc.RpcError as error:
            self.end = str(error)  # a test that waits for more says so too

    def next(self, seconds: float = 10.0) -> config_pb2.ConfigUpdate:
        """The next message; raises `queue.Empty` if none comes."""
        return self._came.get(timeout=seconds)

    def is_quiet(self, seconds: float) -> bool:
        time.sleep(seconds)
        return self._came.empty()

    def ack(self, update: config_pb2.ConfigUpdate) -> None:
        ack = config_pb2.ConfigAck(nonce=update.nonce, version=update.version)
        self._outgoing.put(config_pb2.WatchRequest(ack=ack))

    def nack(self, update: config_pb2.ConfigUpdate, resource: str, reason: str) -> None:
        nack = config_pb2.ConfigNack(
            nonce=update.nonce, version=update.version, resource=resource, reason=reason
        )
        self._outgoing.put(config_pb2.WatchRequest(nack=nack))

    def close(self) -> None:
        self._call.cancel()
        self._outgoing.put(None)
        self._channel.close()
