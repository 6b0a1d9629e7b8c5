"""Many concurrent streams, each checked to the last event: the client of the per-chunk and the idle measures.

A stream is good when its words came complete and in order, then usage, then [DONE], then the end of the
body. Checking costs the client some microseconds per chunk; they are not in the figures, which are the CPU
of the system under test alone.
"""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import httptools

from tests.perf import wire
from tests.perf.systems import Target

_ERROR_BYTES = 300  # of a refusal, for the message


@dataclass(slots=True)
class Tally:
    """What all streams of one run received so far."""

    chunks: int = 0
    done: int = 0
    faults: list[str] = field(default_factory=list)


class StreamClient(asyncio.Protocol):
    """One stream on one connection."""

    def __init__(self, request: bytes, tally: Tally, expected_chunks: int | None) -> None:
        self.first_chunk: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._tally = tally
        self._expected_chunks = expected_chunks
        self._parser = httptools.HttpResponseParser(self)
        self._rest = b""
        self._words = 0
        self._usage = self._done = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, not isinstance: uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fault(f"not HTTP: {error}")

    def on_body(self, body: bytes) -> None:
        if self._parser.get_status_code() != 200:
            self._fault(f"status {self._parser.get_status_code()}: {body[:_ERROR_BYTES]!r}")
            return
        events = (self._rest + body).split(b"\n\n")
        self._rest = events.pop()
        for event in events:
            self._see(event)

    def _see(self, event: bytes) -> None:
        if wire.word(self._words).encode() in event:
            self._words += 1
            self._tally.chunks += 1
            if self._words == 1 and not self.first_chunk.done():
                self.first_chunk.set_result(None)
        elif b"[DONE]" in event or b"event: message_stop" in event:
            self._done = True
        elif b'"total_tokens"' in event or b"event: message_delta" in event:
            self._usage = True
        elif b'" w' in event or b'"error"' in event:
            self._fault(f"after word {self._words}: {event[:_ERROR_BYTES]!r}")
        # Anything else (a finish event, a heartbeat, a role) is allowed and not counted.

    def on_message_complete(self) -> None:
        if self._expected_chunks is not None:
            if self._words != self._expected_chunks or not self._usage or not self._done:
                self._fault(f"ended with {self._words} words, usage {self._usage}, [DONE] {self._done}")
            else:
                self._tally.done += 1
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._expected_chunks is not None and not self._done:
            self._fault(f"connection lost after {self._words} words: {exc}")
        if not self.first_chunk.done():
            self._fault(f"connection lost before the first word: {exc}")
        if not self.closed.done():
            self.closed.set_result(None)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _fault(self, text: str) -> None:
        self._tally.faults.append(text)
        if not self.first_chunk.done():
            self.first_chunk.set_result(None)
        if self._transport is not None:
            self._transport.abort()


async def open_streams(
    target: Target, model: str, streams: int, tally: Tally, expected_chunks: int | None, at_once: int = 50
) -> list[StreamClient]:
    """Open `streams` streams, `at_once` at a time, and wait for the first word of each."""
    loop = asyncio.get_running_loop()
    request = target.request(model, stream=True)
    clients: list[StreamClient] = []
    while len(clients) < streams and not tally.faults:
        batch: list[StreamClient] = []
        for _ in range(min(at_once, streams - len(clients))):
            _, client = await loop.create_connection(
                lambda: StreamClient(request, tally, expected_chunks), target.host, target.port
            )
            batch.append(client)
        clients.extend(batch)
        await asyncio.wait_for(asyncio.gather(*(client.first_chunk for client in batch)), timeout=60)
    return clients
