"""Connections while the proxy wants to end: what has begun is finished, and nobody else is waited for."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import uvloop

from proxy.http.request import Request
from proxy.http.responses import Raw
from proxy.http.server import Server, server_tls
from tests.support.certificates import make_certificate


async def _taken(request: Request) -> Raw:
    body = b""
    assert request.body_stream is not None
    while data := await request.body_stream.read():
        body += data
    return Raw(200, b"HTTP/1.1 200 OK\r\n", body)


def test_who_is_only_slow_to_close_is_owed_nothing(tmp_path: Path) -> None:
    """Over TLS a goodbye is answered, which a client that does not read does not do: no end waits for it."""

    async def answered(request: Request) -> Raw:
        return Raw(200, b"HTTP/1.1 200 OK\r\n", b"hello")

    async def talk() -> tuple[bool, int]:
        cert, key = make_certificate(tmp_path)
        server = Server(answered)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.setblocking(False)
        await server.listen(listening, server_tls(cert, key))

        def ask() -> ssl.SSLSocket:
            context = ssl.create_default_context(cafile=cert)
            plain = socket.create_connection(listening.getsockname(), timeout=5)
            client = context.wrap_socket(plain, server_hostname="localhost")
            client.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
            assert client.recv(1024).endswith(b"hello")
            return client

        client = await asyncio.to_thread(ask)
        try:
            server.stop_accepting()
            await asyncio.sleep(0.1)
            return server.owes, len(server.connections)
        finally:
            server.abort()
            client.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(talk()) == (False, 1)


def test_an_upload_under_way_is_taken_to_its_end_and_nothing_after_it() -> None:
    async def talk() -> bytes:
        server = Server(_taken, streams=lambda request: True)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.setblocking(False)
        await server.listen(listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nfirst")
        async with asyncio.timeout(5):
            while not any(connection.busy for connection in server.connections):
                await asyncio.sleep(0.005)
        server.stop_accepting()
        writer.write(b"-half" + b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nno")
        heard = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return heard

    heard = asyncio.run(talk())
    assert heard.startswith(b"HTTP/1.1 200 OK")
    assert heard.endswith(b"first-half")
