"""An instant provider in the OpenAI dialect, in a process of its own: `python -m tests.perf.upstream`.

It answers before the request is cold, so that what is measured is the gateway in front of it. Hand-written
on uvloop and httptools, about as fast as nginx is. It counts what it served, which is how the bench knows
that a gateway answered from its provider and not from a cache, and called it once per request.
"""

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import httptools
import uvloop

from tests.perf import wire
from tests.perf.pacer import Pacer

_BODY_LIMIT_BYTES = 1 << 20
_ACCEPT_BACKLOG = 4096  # 1,000 idle streams arrive at once


@dataclass(slots=True)
class Served:
    """What the upstream did since it started; `GET /stats` answers it."""

    requests: int = 0
    streams: int = 0
    chunks: int = 0
    late_chunks: int = 0


class Upstream(asyncio.Protocol):
    """One keep-alive connection. Requests are answered in order; nothing is pipelined while a stream runs."""

    def __init__(self, served: Served, pacer: Pacer, answer: bytes, event: Callable[[int], bytes]) -> None:
        self._served = served
        self._pacer = pacer
        self._answer = answer
        self._event = event
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._shape_header = b""
        self._body = b""
        self._sent_chunks = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, not isinstance: uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    def on_message_begin(self) -> None:
        self._url = self._body = self._shape_header = b""

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == wire.SHAPE_HEADER.encode():
            self._shape_header = value

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body
        if len(self._body) > _BODY_LIMIT_BYTES and self._transport is not None:
            self._transport.close()

    def on_message_complete(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if self._url == b"/stats":
            self._served.late_chunks = self._pacer.late_chunks
            transport.write(wire.json_response(asdict(self._served)))
            return
        self._served.requests += 1
        # A byte search, not a parse: the only thing to know is whether a stream is wanted.
        if b'"stream":true' in self._body or b'"stream": true' in self._body:
            self._start_stream(transport)
        else:
            transport.write(self._answer)

    def _start_stream(self, transport: asyncio.Transport) -> None:
        self._served.streams += 1
        self._sent_chunks = 0
        told = self._shape_header or self._body
        if wire.IDLE_MODEL.encode() in told or self._url == b"/idle":
            transport.write(wire.STREAM_HEAD + self._event(0))
            return
        shape = wire.shape_in(told) or wire.StreamShape(chunks=100, chunks_per_second=100)
        transport.write(wire.STREAM_HEAD)

        def emit() -> bool:
            if self._transport is not transport:
                return False
            if self._sent_chunks == shape.chunks:
                transport.write(wire.closing_events() + wire.STREAM_END)
                return False
            transport.write(self._event(self._sent_chunks))
            self._sent_chunks += 1
            self._served.chunks += 1
            return True

        self._pacer.add(shape, emit)


async def serve(host: str, port: int, ready_file: Path | None, connection: type[Upstream]) -> None:
    """Serve until SIGTERM, SIGINT or the end of the parent; write the port to `ready_file` when listening."""
    loop = asyncio.get_running_loop()
    served = Served()
    pacer = Pacer(loop)
    answer = wire.instant_answer()
    events: list[bytes] = []

    def event(index: int) -> bytes:
        while len(events) <= index:
            events.append(wire.content_event(len(events)))
        return events[index]

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(
        lambda: connection(served, pacer, answer, event), host, port, backlog=_ACCEPT_BACKLOG
    )
    if ready_file is not None:
        partial = ready_file.with_suffix(".partial")
        partial.write_text(json.dumps({"port": server.sockets[0].getsockname()[1]}))
        partial.replace(ready_file)
    parent = os.getppid()
    while not stopped.is_set() and os.getppid() == parent:
        try:
            await asyncio.wait_for(stopped.wait(), timeout=2.0)
        except TimeoutError:
            continue  # look whether the bench is still there
    server.close()


def main(connection: type[Upstream] = Upstream) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-file", type=Path)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.host, arguments.port, arguments.ready_file, connection))


if __name__ == "__main__":
    main()
