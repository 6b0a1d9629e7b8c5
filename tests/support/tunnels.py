"""Two things that stand before a provider in real networks: TLS of a private CA, and a proxy that takes
CONNECT."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.loop_thread import LoopThread

READ_BYTES = 65_536


class _Listening:
    """A listener in a thread of its own; a context manager."""

    def __init__(self) -> None:
        self._loop = LoopThread(type(self).__name__)
        self._server: asyncio.Server | None = None
        self.port = 0

    def _tls(self) -> ssl.SSLContext | None:
        return None

    def __enter__(self) -> Self:
        self._loop.start()
        self.port = self._loop.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._stop())
        self._loop.stop()

    async def _start(self) -> int:
        server = self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls())
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self.answer(reader, writer)
        writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class TlsFront(_Listening):
    """Ends TLS with this certificate and passes the bytes on to a port of this machine."""

    def __init__(self, certificate: Path, key: Path, port: int) -> None:
        super().__init__()
        self._certificate, self._key, self._target = certificate, key, port

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        return context

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _join(reader, writer, self._target)


class ConnectProxy(_Listening):
    """Takes `CONNECT localhost:…`; remembers what it was asked for, or refuses with a status."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.bytes_through = 0
        self.status = 200

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        self.asked.append(f"{method} {target}")
        writer.write(f"HTTP/1.1 {self.status} Words\r\nx-proxy: yes\r\n\r\n".encode())
        if self.status == 200:
            await _join(reader, writer, int(target.rpartition(":")[2]))


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Both ways, until one end closes."""
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(READ_BYTES):
            target.write(data)
            await target.drain()

    both = copy(reader, inner_writer), copy(inner_reader, writer)
    ways = [asyncio.ensure_future(way) for way in both]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    inner_writer.close()
