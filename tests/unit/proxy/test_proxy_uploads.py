"""A body that is passed on as it comes, while the proxy wants to end."""

from __future__ import annotations

import asyncio
import socket

from proxy.http.request import Request
from proxy.http.responses import Raw
from proxy.http.server import Server


async def _taken(request: Request) -> Raw:
    body = b""
    assert request.body_stream is not None
    while data := await request.body_stream.read():
        body += data
    return Raw(200, b"HTTP/1.1 200 OK\r\n", body)


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
