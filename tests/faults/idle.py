"""Very many streams that have begun and say nothing more, from several addresses of this machine."""

from __future__ import annotations

import asyncio
import json
import resource
from types import TracebackType
from urllib.parse import urlsplit

from tests.support.loop_thread import LoopThread

# A port is free again once its address has another; and no address may take all of a proxy's connections.
STREAMS_PER_ADDRESS = 2_000
# So that the listener's backlog is not what is tested.
OPENED_AT_ONCE = 100
BEGIN_SECONDS = 60.0


class IdleStreams:
    """`with IdleStreams(url, key, model, 8_000) as streams:` – all have heard their first event by then."""

    def __init__(self, base_url: str, api_key: str, model: str, count: int) -> None:
        self._url = urlsplit(base_url)
        messages = [{"role": "user", "content": "hi"}]
        body = json.dumps({"model": model, "messages": messages, "stream": True}).encode()
        path = f"{self._url.path}/chat/completions"
        head = f"POST {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {api_key}\r\n"
        self._request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        self._count = count
        self._loop = LoopThread("idle")
        self._writers: list[asyncio.StreamWriter] = []
        self._ends: list[asyncio.Task[bytes]] = []

    def __enter__(self) -> IdleStreams:
        raise_descriptor_limit()
        self._loop.start()
        self._loop.run(self._open(), self._count / 20 + BEGIN_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._close(), BEGIN_SECONDS)
        self._loop.stop()

    def ended(self) -> int:
        """Streams that were ended by the other side."""
        return sum(task.done() for task in self._ends)

    async def _open(self) -> None:
        for first in range(0, self._count, OPENED_AT_ONCE):
            numbers = range(first, min(first + OPENED_AT_ONCE, self._count))
            await asyncio.gather(*map(self._begin, numbers))

    async def _begin(self, number: int) -> None:
        source = f"127.0.0.{2 + number // STREAMS_PER_ADDRESS}"
        reader, writer = await asyncio.open_connection(
            self._url.hostname, self._url.port, local_addr=(source, 0), limit=4096
        )
        self._writers.append(writer)
        writer.write(self._request)
        async with asyncio.timeout(BEGIN_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"stream {number}: {head!r}")
            await reader.readuntil(b"data: ")
        self._ends.append(asyncio.create_task(_rest(reader)))

    async def _close(self) -> None:
        for task in self._ends:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._ends, return_exceptions=True)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    heard = b""
    while data := await reader.read(4096):
        heard += data
    return heard


def raise_descriptor_limit() -> None:
    """Of this process, as programs of ours raise theirs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
