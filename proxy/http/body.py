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
# A body that makes no progress (slow loris).
READ_SECONDS = 10.0


class BodyStream:
    def __init__(self, connection: ClientConnection, *, expects_continue: bool) -> None:
        self._connection = connection
        self._expects_continue = expects_continue
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        # All of it has come in.
        self.complete = False

    @property
    def consumed(self) -> bool:
        return self.complete and not self._pieces

    def feed(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
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
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(READ_SECONDS):
                    await self._waiter
            except TimeoutError:
                raise CallError(
                    408, "request_timeout", "The request body stopped coming in.", close=True
                ) from None
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
