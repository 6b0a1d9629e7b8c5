"""A request body that is taken as it comes in, for what is passed on without being looked into.

The connection feeds it, the handler reads it; when the handler is behind, nothing more is read from the
socket, so that a gigabyte of upload costs no more memory than a window of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from proxy.errors import CallError

if TYPE_CHECKING:
    from proxy.http.connection import ClientConnection

# Bytes taken from the socket and not yet from here.
WINDOW_BYTES = 256 * 2**10
# A TLS handshake or a head that is not complete, or a body that makes no progress (slow loris). With the
# server's tick, all are closed within 10 s.
READ_SECONDS = 8.5
# A body of which less than this comes in READ_SECONDS makes no progress.
MIN_PROGRESS_BYTES = 4 * 2**10


class BodyStream:
    def __init__(self, connection: ClientConnection, *, expects_continue: bool) -> None:
        self._connection = connection
        self._expects_continue = expects_continue
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        # Waited for the client, and what came meanwhile, since the last progress.
        self._waited_seconds = 0.0
        self._progress_bytes = 0
        # All of it has come in.
        self.complete = False

    @property
    def consumed(self) -> bool:
        return self.complete and not self._pieces

    def feed(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        self._progress_bytes += len(data)
        if self._progress_bytes >= MIN_PROGRESS_BYTES:
            self._progress_bytes, self._waited_seconds = 0, 0.0
        if self._size > WINDOW_BYTES and not self._paused:
            self._paused = True
            self._connection.pause_body()
        self._wake()

    def end(self) -> None:
        self.complete = True
        self._wake()

    async def read(self) -> bytes:
        """What has come in since the last time; b"" at the end. Raises CallError (408) if nothing comes."""
        if not self._pieces and not self.complete:
            if self._expects_continue:
                self._expects_continue = False
                self._connection.say_continue()
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            begun = loop.time() - self._waited_seconds
            try:
                async with asyncio.timeout_at(begun + READ_SECONDS):
                    await self._waiter
            except TimeoutError:
                raise CallError(
                    408, "request_timeout", "The request body stopped coming in.", close=True
                ) from None
            self._waited_seconds = loop.time() - begun if self._progress_bytes else 0.0
        if not self._pieces:
            return b""
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._connection.resume_body()
        return data

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
