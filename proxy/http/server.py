"""The listener: its connections, their deadlines, and how they end.

Serves the calls and, on an address of its own, the ops pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import resource
import socket
import ssl
import termios
import time
from collections.abc import Callable
from pathlib import Path

from proxy.errors import CallError
from proxy.http.body import READ_SECONDS
from proxy.http.connection import ClientConnection, Handler
from proxy.http.request import Request
from proxy.http.responses import Raw, error_response
from proxy.settings import Address

# An idle client connection. Longer than the SDKs' pools keep theirs, so that they close first.
KEEP_ALIVE_SECONDS = 75.0
# After an answer to a request whose body was not read: time for the client to read it before we
# reset the connection by closing it with bytes unread.
LINGER_SECONDS = 1.0
# A client that takes nothing of its answer for so long; it holds a provider back meanwhile.
WRITE_SECONDS = 60.0
TICK_SECONDS = 1.0
BACKLOG = 2048
# For what is neither a client nor its call's provider: spool, control plane, ops pages, files, and what
# races, judges and idle pools hold for a while beyond one connection per call.
RESERVED_DESCRIPTORS = 128

EarlyCheck = Callable[[Request], CallError | None]


class Server:
    """`check_early` decides, from the head alone, whether a large body is worth reading; `streams` whether
    the handler takes it as it comes in. `max_connections`: at a time; `max_per_address`: of one client
    address; `refused` hears why one was not taken."""

    def __init__(
        self,
        handler: Handler,
        check_early: EarlyCheck = lambda request: None,
        streams: Callable[[Request], bool] = lambda request: False,
        max_per_address: int = 0,
        max_connections: int = 0,
        refused: Callable[[str], None] = lambda code: None,
    ) -> None:
        self.handler = handler
        self.check_early = check_early
        self.streams = streams
        self.loop = asyncio.get_running_loop()
        self.now = time.monotonic
        # Each with its client's address.
        self.connections: dict[ClientConnection, str] = {}
        self._per_address: dict[str, int] = {}
        self._max_connections = max_connections or most_connections()
        self._max_per_address = max_per_address or default_per_address()
        self._refused = refused
        self._server: asyncio.AbstractServer | None = None

    async def listen(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self._server = await self.loop.create_server(
            lambda: ClientConnection(self),
            sock=sock,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=READ_SECONDS if tls is not None else None,
        )

    def admit(self, connection: ClientConnection) -> bool:
        """Whether a new connection stays: all together leave descriptors for their calls, and one address
        cannot take all from the others."""
        address = connection.remote
        count = self._per_address.get(address, 0)
        if count >= self._max_per_address or len(self.connections) >= self._max_connections:
            self._refused("too_many_connections")
            return False
        self._per_address[address] = count + 1
        self.connections[connection] = address
        return True

    def forget(self, connection: ClientConnection) -> None:
        address = self.connections.pop(connection, None)
        if address is not None:
            left = self._per_address[address] - 1
            if left:
                self._per_address[address] = left
            else:
                del self._per_address[address]

    def error_response(self, error: CallError, request: Request) -> Raw:
        error.close = True
        return error_response(error, request, "")

    def linger(self, connection: ClientConnection) -> None:
        self.loop.call_later(LINGER_SECONDS, connection.close)

    async def watch_deadlines(self) -> None:
        """Closes connections that are idle too long or do not finish what they began; until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self.now()
            for connection in [*self.connections]:
                if connection.busy:
                    if connection.writing_paused and connection.transport is not None:
                        _look_at_reader(connection, _unsent(connection.transport), now)
                    continue
                limit = READ_SECONDS if connection.receiving else KEEP_ALIVE_SECONDS
                if now - connection.since > limit:
                    connection.abort()

    def stop_accepting(self) -> None:
        """No new connections and no new requests; those under way go on."""
        if self._server is not None:
            self._server.close()
        for connection in [*self.connections]:
            if connection.busy:
                connection.closing = True
            else:
                connection.close()

    @property
    def owes(self) -> bool:
        """A client is being answered, or has not taken all of its answer. Whoever is only slow to close (over
        TLS a client that does not read says no goodbye) is owed nothing."""
        return any(
            connection.busy or (connection.transport is not None and _unsent(connection.transport) > 0)
            for connection in self.connections
        )

    def abort(self) -> None:
        for connection in [*self.connections]:
            connection.abort()


def _look_at_reader(connection: ClientConnection, unsent: int, now: float) -> None:
    """Slow is allowed: only whoever takes nothing at all is left."""
    if unsent != connection.unsent:
        connection.unsent, connection.paused_at = unsent, now
    elif now - connection.paused_at > WRITE_SECONDS:
        connection.abort()


def _unsent(transport: asyncio.Transport) -> int:
    """Here and in the kernel (tcp(7), SIOCOUTQ), which takes megabytes before it takes no more."""
    waiting = ctypes.c_int()
    with contextlib.suppress(OSError, ValueError):  # it may be closed by now
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, waiting)
    return transport.get_write_buffer_size() + waiting.value


def most_connections() -> int:
    """Of all clients: half of the descriptors, as each may have a call, which takes another one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(64, (soft - RESERVED_DESCRIPTORS) // 2) if soft != resource.RLIM_INFINITY else 2**31


def default_per_address() -> int:
    """Three quarters of them: a load balancer is one address, too."""
    return most_connections() * 3 // 4


def open_socket(address: Address, *, shared: bool) -> socket.socket:
    """A bound socket. `shared`: several workers listen on the same port, the kernel spreads connections."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from None
    sock.setblocking(False)
    return sock


def server_tls(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(cert, key)
    return context
