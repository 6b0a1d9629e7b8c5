"""Messages between the supervisor and a worker: frames over a socket pair, requests with answers.

Frame: length of the payload u32, operation u8, id u32, payload. An id of 0 wants no answer; an answer
carries the id of its request. Both ends are ours, so the format may change with any release.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import socket
import struct
from collections.abc import Awaitable, Callable

_HEAD = struct.Struct("<IBI")
# A whole config of 100,000 keys is about 20 MiB.
MAX_PAYLOAD_BYTES = 256 * 2**20


class Operation(enum.IntEnum):
    ANSWER = 0
    # First, to the worker: what to be (JSON).
    SETTINGS = 1
    # To the worker: one ConfigUpdate; answered when it is applied.
    CONFIG = 2
    # To the worker: its counters as JSON.
    DUMP = 3
    # Both ways: a receipt by JSON {id, tenant, key}; the supervisor asks the other workers.
    RECEIPT = 4
    # To the worker: finish the calls and end.
    DRAIN = 5
    # To the supervisor: calls would be answered.
    READY = 6
    # To the worker: what the others have learned (Standings); answered with what it learned itself.
    STANDINGS = 7
    # To the worker: what other proxies have measured and spent (WatchResponse).
    REGION = 8
    # To the worker: since when nobody is in touch with the control plane (JSON: monotonic seconds, or null).
    CONTACT = 9


class LinkLost(ConnectionError):
    """The other end is gone."""


Handle = Callable[[Operation, bytes], Awaitable[bytes]]


class Link:
    """One end. `handle` answers what the other end asks; an empty answer is an answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handle) -> None:
        self._reader = reader
        self._writer = writer
        self._handle = handle
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}

    @classmethod
    async def over(cls, sock: socket.socket, handle: Handle) -> Link:
        reader, writer = await asyncio.open_connection(sock=sock)
        return cls(reader, writer, handle)

    async def run(self) -> None:
        """Until the other end closes; then every open request fails with LinkLost."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    length, operation, identity = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
                    if length > MAX_PAYLOAD_BYTES:
                        return
                    payload = await self._reader.readexactly(length)
                    if operation == Operation.ANSWER:
                        waiting = self._waiting.pop(identity, None)
                        if waiting is not None and not waiting.done():
                            waiting.set_result(payload)
                    else:
                        tasks.create_task(self._answer(Operation(operation), identity, payload))
        except* (asyncio.IncompleteReadError, ConnectionError):
            pass  # a task group raises groups, also for what its own body raised
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(LinkLost("the other process is gone"))
            self._waiting.clear()
            self._writer.close()

    async def _answer(self, operation: Operation, identity: int, payload: bytes) -> None:
        answer = await self._handle(operation, payload)
        if identity:
            await self._send(Operation.ANSWER, identity, answer)

    async def tell(self, operation: Operation, payload: bytes = b"") -> None:
        await self._send(operation, 0, payload)

    async def ask(self, operation: Operation, payload: bytes = b"", *, seconds: float = 5.0) -> bytes:
        """Raises LinkLost, or TimeoutError."""
        identity = next(self._ids) & 0xFFFFFFFF
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[identity] = future
        try:
            await self._send(operation, identity, payload)
            async with asyncio.timeout(seconds):
                return await future
        finally:
            self._waiting.pop(identity, None)

    async def _send(self, operation: Operation, identity: int, payload: bytes) -> None:
        try:
            self._writer.write(_HEAD.pack(len(payload), operation, identity) + payload)
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as error:
            raise LinkLost("the other process is gone") from error

    def close(self) -> None:
        self._writer.close()
