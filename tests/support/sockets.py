"""Ports, and a TCP proxy that misbehaves on demand between any two programs.

`FaultProxy` forwards bytes in its own thread; its `Fault` can be switched at any time and applies to
connections that are already open from the next byte on. It knows nothing of HTTP or gRPC.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import socket
import struct
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.support.loop_thread import LoopThread

READ_BYTES = 1 << 16
BLACK_HOLE_CHECK_SECONDS = 0.01


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago; prefer port 0 and a ready file where the program has them.

    From below what systems give to connections (32768 and more on Linux), by chance: between now and the
    program's start no connection of another test may take it.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind((host, port))
            return port


def wait_for_port(port: int, host: str = "127.0.0.1", timeout_seconds: float = 10.0) -> None:
    """Return once the port accepts a connection; raises TimeoutError."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=1.0).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing listens on {host}:{port} after {timeout_seconds} s") from error
            time.sleep(0.02)


def refused_port() -> socket.socket:
    """A bound socket that does not listen: connections to its port are refused until it is closed."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    return held


@dataclass(frozen=True, slots=True)
class Fault:
    """What the proxy does to each direction; the default does nothing.

    latency: added before each forwarded piece. slice_bytes: forwarded in pieces of this size, slice_pause
    apart. black_hole: connections stay open and new ones are accepted, nothing passes, closes neither.
    slow_close: a close is passed on so much later. refuse: new connections are reset at once.
    """

    latency_seconds: float = 0.0
    slice_bytes: int | None = None
    slice_pause_seconds: float = 0.001
    black_hole: bool = False
    slow_close_seconds: float = 0.0
    refuse: bool = False


class FaultProxy:
    """`with FaultProxy(port_of_the_victim) as proxy:` then talk to `proxy.port` and set `proxy.fault`."""

    def __init__(self, target_port: int, target_host: str = "127.0.0.1") -> None:
        self.port = 0
        self.fault = Fault()
        self.bytes_forwarded = 0
        self.connections_opened = 0
        self._target = (target_host, target_port)
        self._loop = LoopThread("fault-proxy")
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> FaultProxy:
        self._loop.start()
        self.port = self._loop.run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._close())
        self._loop.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def open_connections(self) -> int:
        return len(self._writers) // 2

    def set(self, **fields: Any) -> None:
        """Change some fields of the fault and keep the others."""
        self.fault = dataclasses.replace(self.fault, **fields)

    def heal(self) -> None:
        self.fault = Fault()

    def point_at(self, target_port: int, target_host: str = "127.0.0.1") -> None:
        """Where new connections go: a victim that came back on another port."""
        self._target = (target_host, target_port)

    def reset_all(self) -> None:
        """RST to both ends of every open connection."""
        self._loop.run(self._reset_all())

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, backlog=4096)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.connections_opened += 1
        try:
            await self._held_back()
        except asyncio.CancelledError:
            reset(writer)
            raise
        if self.fault.refuse:
            reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            reset(writer)
            return
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._writers -= {writer, far_writer}
            writer.close()
            far_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                await self._forward(data, writer)
        except ConnectionError:
            await self._held_back()
            reset(writer)
            return
        await self._held_back()
        await asyncio.sleep(self.fault.slow_close_seconds)
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def _forward(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        while data:
            await self._held_back()
            if self.fault.latency_seconds:
                await asyncio.sleep(self.fault.latency_seconds)
            size = self.fault.slice_bytes or len(data)
            writer.write(data[:size])
            await writer.drain()
            self.bytes_forwarded += len(data[:size])
            data = data[size:]
            if data:
                await asyncio.sleep(self.fault.slice_pause_seconds)

    async def _held_back(self) -> None:
        while self.fault.black_hole:
            await asyncio.sleep(BLACK_HOLE_CHECK_SECONDS)

    async def _reset_all(self) -> None:
        for writer in list(self._writers):
            reset(writer)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST. A transport that is closed already has no socket left to reset."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    writer.transport.abort()
