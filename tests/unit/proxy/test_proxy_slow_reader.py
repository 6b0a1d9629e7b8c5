"""A client that does not read its answer gives back its place; one that reads slowly keeps it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxy.http import server as server_module
from proxy.http.request import Request
from proxy.http.responses import Raw
from proxy.http.server import Server

SIZE = 6 * 2**20


async def _connect(server: Server) -> tuple[socket.socket, asyncio.Task[None]]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.setblocking(False)
    await server.listen(listening)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, listening.getsockname())
    await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    return client, asyncio.create_task(server.watch_deadlines())


async def _large(request: Request) -> Raw:
    return Raw(200, b"HTTP/1.1 200 OK\r\n", b"x" * SIZE)


@pytest.mark.parametrize("reads", [False, True])
def test_a_client_that_takes_nothing_of_its_answer_is_left(
    monkeypatch: pytest.MonkeyPatch, reads: bool
) -> None:
    monkeypatch.setattr(server_module, "WRITE_SECONDS", 0.4)
    monkeypatch.setattr(server_module, "TICK_SECONDS", 0.05)

    async def talk() -> int:
        loop = asyncio.get_running_loop()
        server = Server(_large)
        client, watching = await _connect(server)
        try:
            async with asyncio.timeout(10):
                while not server.connections:
                    await asyncio.sleep(0.01)
                received = 0
                while server.connections:
                    await asyncio.sleep(0.002)
                    if reads:
                        received += len(await loop.sock_recv(client, 256 * 2**10))
                        if received > SIZE:
                            break
                return received
        finally:
            watching.cancel()
            client.close()
            server.stop_accepting()

    assert (asyncio.run(talk()) > SIZE) is reads
