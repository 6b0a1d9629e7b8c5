"""One client's connection: bytes in, bytes out, and exactly when and how the client left.

Every wait (for input, for the send buffer to empty, for time to pass) ends at once with ClientLeft when the
client closes or resets, because those moments are what the ledger is for. The write buffer's high-water mark
is zero: `flush` returns when the kernel has taken everything.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

HEAD_LIMIT_BYTES = 1 << 20
WRITE_SLICE_BYTES = 1 << 16


class ClientLeft(Exception):
    """The client closed or reset the connection."""


class BadRequest(Exception):
    """What came in is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.split("?", 1)[0]

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


class Connection(asyncio.Protocol):
    """`serve` is started as a task by `opened` and owns the connection until it ends."""

    def __init__(self, number: int, opened: Callable[[Connection], None]) -> None:
        self.number = number
        self.left_at_seconds: float | None = None
        self.left_how: Literal["closed", "reset"] | None = None
        self.bytes_written = 0
        self._opened = opened
        self._transport: asyncio.Transport | None = None
        self._input = bytearray()
        self._writable = True
        self._waiter: asyncio.Future[None] | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        self._input += data
        self._wake()

    def eof_received(self) -> bool:
        self._leave("closed")
        return True  # the answer's task closes; until then bytes_written can be read

    def connection_lost(self, error: Exception | None) -> None:
        self._leave("reset" if error is not None else "closed")

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    # What the provider calls.

    @property
    def bytes_sent(self) -> int:
        """Bytes that the kernel has taken."""
        waiting = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return self.bytes_written - waiting

    @property
    def has_input(self) -> bool:
        return bool(self._input)

    async def read_request(self) -> Request:
        """One whole request; raises ClientLeft between or inside requests."""
        while (end := self._input.find(b"\r\n\r\n")) < 0:
            if len(self._input) > HEAD_LIMIT_BYTES:
                raise BadRequest
            await self._more()
        lines = bytes(self._input[:end]).decode("latin-1").split("\r\n")
        del self._input[: end + 4]
        method, _, rest = lines[0].partition(" ")
        target, _, version = rest.rpartition(" ")
        if not version.startswith("HTTP/1."):
            raise BadRequest
        pairs = (line.partition(":") for line in lines[1:])
        headers = tuple((name, value.strip()) for name, _, value in pairs)
        head = Request(method, target, headers, b"")
        if head.header("expect").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in head.header("transfer-encoding").lower():
            return Request(method, target, headers, await self._read_chunked())
        return Request(
            method, target, headers, await self._read_exactly(int(head.header("content-length") or 0))
        )

    async def wait_for_input(self) -> None:
        while not self._input:
            await self._more()

    def write(self, data: bytes) -> None:
        if self._transport is None or self.left_how is not None:
            raise ClientLeft
        self.bytes_written += len(data)
        self._transport.write(data)

    async def send(self, data: bytes) -> None:
        """Write and wait until the kernel has it; large data in slices, so that leaving is seen between."""
        for start in range(0, len(data), WRITE_SLICE_BYTES):
            self.write(data[start : start + WRITE_SLICE_BYTES])
            await self.flush()

    async def flush(self) -> None:
        while not self._writable and self.left_how is None:
            await self._wait()
        if self.left_how is not None:
            raise ClientLeft

    async def pause(self, seconds: float) -> None:
        """Let time pass; a client that leaves ends it with ClientLeft."""
        if self.left_how is not None:
            raise ClientLeft
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        rung = False

        def ring() -> None:
            nonlocal rung
            rung = True
            self._wake()

        timer = asyncio.get_running_loop().call_later(seconds, ring)
        try:
            while not rung and self.left_how is None:
                await self._wait()
        finally:
            timer.cancel()
        if self.left_how is not None:
            raise ClientLeft

    async def wait_until_left(self) -> None:
        while self.left_how is None:
            await self._wait()
        raise ClientLeft

    def say_goodbye(self) -> None:
        """Nothing more will be sent; a client that hears it closes, and that can be waited for."""
        if self._transport is not None:
            with suppress(OSError):  # it may have been reset meanwhile
                self._transport.write_eof()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        if self._transport is not None:
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    # Inside.

    def _socket(self) -> socket.socket:
        assert self._transport is not None
        found: socket.socket = self._transport.get_extra_info("socket")
        return found

    async def _read_exactly(self, size: int) -> bytes:
        while len(self._input) < size:
            await self._more()
        data = bytes(self._input[:size])
        del self._input[:size]
        return data

    async def _read_line(self) -> bytes:
        while (end := self._input.find(b"\r\n")) < 0:
            await self._more()
        return (await self._read_exactly(end + 2))[:-2]

    async def _read_chunked(self) -> bytes:
        body = bytearray()
        while size := int((await self._read_line()).split(b";")[0], 16):
            body += await self._read_exactly(size)
            await self._read_line()
        while await self._read_line():
            pass  # trailers
        return bytes(body)

    async def _more(self) -> None:
        if self.left_how is not None:
            raise ClientLeft
        await self._wait()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _leave(self, how: Literal["closed", "reset"]) -> None:
        if self.left_how is None:
            self.left_how = how
            self.left_at_seconds = time.monotonic()
        self._wake()
