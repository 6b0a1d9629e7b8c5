"""A connection to a provider between two answers: whoever takes it next finds it as if it were new."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import pytest

from headgate.v1 import usage_pb2
from proxy.upstream.connection import Connection
from proxy.upstream.failure import AttemptFailed, broken

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


class Behind:
    """A client that has had enough with the first piece of its answer."""

    def __init__(self, link: Connection, *, catches_up: bool) -> None:
        self.link, self.catches_up = link, catches_up
        self.body = b""
        self.over = asyncio.get_running_loop().create_future()

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        assert status == 200

    def on_body(self, data: bytes) -> None:
        self.body += data
        self.link.pause()
        if self.catches_up:
            self.link.resume()

    def on_complete(self) -> None:
        self.over.set_result(None)

    def on_failure(self, failure: AttemptFailed, *, no_byte_came: bool) -> None:
        self.over.set_exception(failure)


class OnePool:
    """Of the one connection."""

    def __init__(self) -> None:
        self.released = 0

    def release(self, connection: Connection) -> None:
        self.released += 1

    def forget(self, connection: Connection) -> None:
        pass


@pytest.mark.parametrize("catches_up", [False, True])
def test_one_that_was_paused_when_its_answer_ended_hears_the_next(catches_up: bool) -> None:
    """The end came in the same piece as more than the client would take."""

    async def talk() -> list[bytes]:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        pool = OnePool()
        connection = Connection(pool)  # type: ignore[arg-type]
        await loop.create_connection(lambda: connection, sock=ours)
        bodies = []
        with closing(theirs):
            for number in range(1, 4):
                receiver = Behind(connection, catches_up=catches_up)
                connection.start(b"GET / HTTP/1.1\r\n\r\n", b"", receiver)
                await loop.sock_recv(theirs, 1024)
                await loop.sock_sendall(theirs, ANSWER)
                await asyncio.wait_for(receiver.over, 5)
                assert pool.released == number
                bodies.append(receiver.body)
            connection.abort()
        return bodies

    assert asyncio.run(talk()) == [b"hello"] * 3


def test_one_that_breaks_is_not_pooled() -> None:
    async def talk() -> int:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        pool = OnePool()
        connection = Connection(pool)  # type: ignore[arg-type]
        await loop.create_connection(lambda: connection, sock=ours)
        receiver = Behind(connection, catches_up=True)
        connection.start(b"GET / HTTP/1.1\r\n\r\n", b"", receiver)
        theirs.sendall(ANSWER[:-1])
        theirs.close()
        with pytest.raises(AttemptFailed) as failed:
            await asyncio.wait_for(receiver.over, 5)
        expected = broken(usage_pb2.REASON_CONNECTION_RESET, "")
        assert failed.value.reason == expected.reason
        return pool.released

    assert asyncio.run(talk()) == 0
