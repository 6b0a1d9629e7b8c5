"""How an answer's bytes reach the socket: framing, network cuts, pace, and the scripted break.

Owns one answer. Keeps what the ledger wants to know (events, tokens, usage sent, times) up to date at every
step, so that whatever ends the answer, the numbers are those of what was really handed over.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from http import HTTPStatus

from tests.support.provider.behaviour import Behaviour, Cut, Cuts, Usage
from tests.support.provider.connection import Connection
from tests.support.provider.events import Event
from tests.support.provider.reply import Reply


class Broken(Exception):
    """The scripted cut has closed or reset the connection."""


class Delivery:
    """`deliver` sends one reply; raises ClientLeft or Broken when it did not get to its end."""

    def __init__(
        self, connection: Connection, behaviour: Behaviour, reply: Reply, number: int, *, head_only: bool
    ) -> None:
        self.headers_sent_at_seconds: float | None = None
        self.first_event_at_seconds: float | None = None
        self.events_sent = 0
        self.usage_sent = False
        self.served = Usage()
        self._connection = connection
        self._behaviour = behaviour
        self._reply = reply
        self._request_id = f"req_fake_{number}"
        self._head_only = head_only
        self._framing = behaviour.framing
        self._body_cutter = _Cutter(behaviour.cuts) if behaviour.cuts and not behaviour.cuts.wire else None
        self._wire_cutter = _Cutter(behaviour.cuts) if behaviour.cuts and behaviour.cuts.wire else None
        self._wire_bytes = 0
        self._body_bytes = 0
        self._payloads = 0
        self._cut = behaviour.cut

    @property
    def truncated(self) -> bool:
        """Whether a client can tell that something is missing although everything scripted was sent."""
        behaviour = self._behaviour
        return (
            behaviour.raw is not None
            or self._framing == "malformed-chunked"
            or behaviour.content_length_extra > 0
        )

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this answer, whatever the client would like."""
        return (
            self.truncated
            or self._framing == "close"
            or self._behaviour.close_after in ("announced", "silent")
        )

    async def deliver(self) -> None:
        """`served` counts a whole body when all of it has been sent, a stream as it goes."""
        if self._behaviour.raw is not None:
            await self._connection.pause(self._behaviour.headers_delay_seconds)
            await self._send(self._behaviour.raw)
        elif self._reply.events is not None:
            await self._stream(self._reply.events)
        else:
            await self._whole(self._reply.body)

    async def _whole(self, body: bytes) -> None:
        body = self._behaviour.leading_whitespace + body
        if self._behaviour.gzip:
            body = gzip.compress(body, mtime=0)
        if self._framing == "auto":
            self._framing = "content-length"
        await self._head(len(body))
        await self._connection.pause(self._behaviour.first_event_delay_seconds)
        if self._head_only:
            return
        self.first_event_at_seconds = time.monotonic()
        if self._framing == "malformed-chunked":
            await self._payload(body[: len(body) // 2])
            await self._payload(body[len(body) // 2 :])
        else:
            await self._payload(body)
        await self._end()
        self.served = self._reply.usage
        self.usage_sent = self._reply.reports_usage

    async def _stream(self, events: list[Event]) -> None:
        if self._framing == "auto":
            self._framing = "chunked"
        size = sum(len(event.data) for event in events) + self._behaviour.heartbeats * len(self._heartbeat())
        await self._head(size)
        await self._wait_for_first_event()
        content_seen = False
        for event in events:
            if event.output_tokens and content_seen and self._behaviour.tokens_per_second:
                await self._connection.pause(event.output_tokens / self._behaviour.tokens_per_second)
            content_seen = content_seen or event.output_tokens > 0
            await self._payload(await self._break_inside(event.data))
            self._count(event)
        await self._break_inside(b"")
        await self._end()
        if self._behaviour.finish and self._behaviour.error_event is None:
            self.served = self._reply.usage

    # The parts of an answer.

    async def _head(self, length: int) -> None:
        behaviour = self._behaviour
        await self._connection.pause(behaviour.headers_delay_seconds)
        if self._cut is not None and self._cut.at == "before_headers":
            await self._break(self._cut)
        headers = {"content-type": self._reply.content_type, "x-request-id": self._request_id}
        if self._framing == "content-length":
            headers["content-length"] = str(length + behaviour.content_length_extra)
        elif self._framing in ("chunked", "malformed-chunked"):
            headers["transfer-encoding"] = "chunked"
        if behaviour.gzip:
            headers["content-encoding"] = "gzip"
        if self._framing == "close" or behaviour.close_after == "announced":
            headers["connection"] = "close"
        headers |= {name.lower(): value for name, value in behaviour.headers.items()}
        try:
            reason = HTTPStatus(self._reply.status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [
            f"HTTP/1.1 {self._reply.status} {reason}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        await self._send("\r\n".join([*lines, "", ""]).encode("latin-1"))
        self.headers_sent_at_seconds = time.monotonic()

    async def _wait_for_first_event(self) -> None:
        count = self._behaviour.heartbeats
        delay = self._behaviour.first_event_delay_seconds
        for _ in range(count):
            await self._payload(self._heartbeat())
            await self._connection.pause(delay / (count + 1))
        await self._connection.pause(delay / (count + 1))

    def _heartbeat(self) -> bytes:
        return (self._behaviour.heartbeat_text + self._behaviour.newline * 2).encode()

    async def _payload(self, data: bytes) -> None:
        if self._body_cutter is None:
            await self._write_payload(data)
            return
        for piece in self._body_cutter.feed(data):
            await self._write_payload(piece)
            await self._connection.pause(self._body_cutter.pause_seconds)

    async def _write_payload(self, data: bytes) -> None:
        if not data:
            return
        framed, head_size = self._frame(data)
        cut = self._cut
        if cut is not None and cut.at == "body_bytes" and self._body_bytes + len(data) >= cut.count:
            keep = head_size + cut.count - self._body_bytes
            await self._send(framed[:keep])
            await self._break(cut)
            framed = framed[keep:]
        self._body_bytes += len(data)
        await self._send(framed)

    def _frame(self, data: bytes) -> tuple[bytes, int]:
        """The payload as it goes on the wire, and how many bytes stand before it."""
        self._payloads += 1
        if self._framing == "malformed-chunked" and self._payloads > 1:
            return b"XYZ\r\n" + data + b"\r\n", 5
        if self._framing in ("chunked", "malformed-chunked"):
            head = b"%x\r\n" % len(data)
            return head + data + b"\r\n", len(head)
        return data, 0

    async def _flush_cutter(self) -> None:
        if self._body_cutter is not None:
            await self._write_payload(self._body_cutter.rest())

    async def _end(self) -> None:
        await self._flush_cutter()
        if self._cut is not None and self._cut.at == "end":
            await self._break(self._cut)
        if self._framing == "chunked":
            await self._send(b"0\r\n\r\n")

    def _count(self, event: Event) -> None:
        if self.first_event_at_seconds is None:
            self.first_event_at_seconds = time.monotonic()
        self.events_sent += 1
        self.usage_sent = self.usage_sent or event.has_usage
        usage = self._reply.usage
        # Until the usage itself was said, what was served is what was streamed.
        self.served = (
            usage
            if self.usage_sent
            else Usage(
                prompt_tokens=usage.prompt_tokens,
                cached_tokens=usage.cached_tokens,
                audio_prompt_tokens=usage.audio_prompt_tokens,
                completion_tokens=self.served.completion_tokens + event.output_tokens,
                reasoning_tokens=self.served.reasoning_tokens + event.reasoning_tokens,
            )
        )

    # Breaks.

    async def _break_inside(self, data: bytes) -> bytes:
        """Break here if the script says so; what of the event is still to be sent (after a stall)."""
        cut = self._cut
        if cut is None or cut.at not in ("events", "mid_event") or self.events_sent < cut.count:
            return data
        half = len(data) // 2 if cut.at == "mid_event" else 0
        await self._payload(data[:half])
        await self._flush_cutter()
        await self._break(cut)
        return data[half:]

    async def _break(self, cut: Cut) -> None:
        self._cut = None
        if cut.how == "stall":
            if cut.stall_seconds is None:
                await self._connection.wait_until_left()
            else:
                await self._connection.pause(cut.stall_seconds)
            return
        if cut.how == "reset":
            self._connection.reset()
        else:
            self._connection.close()
        raise Broken

    async def _send(self, data: bytes) -> None:
        cut = self._cut
        if cut is not None and cut.at == "wire_bytes" and self._wire_bytes + len(data) >= cut.count:
            keep = cut.count - self._wire_bytes
            await self._send_cut(data[:keep])
            await self._break(cut)
            data = data[keep:]
        await self._send_cut(data)

    async def _send_cut(self, data: bytes) -> None:
        self._wire_bytes += len(data)
        if self._wire_cutter is None:
            await self._connection.send(data)
            return
        for piece in (*self._wire_cutter.feed(data), self._wire_cutter.rest()):
            if piece:
                await self._connection.send(piece)
                await self._connection.pause(self._wire_cutter.pause_seconds)


class _Cutter:
    """Cuts a stream of bytes at given sizes, holding back what does not fill a size yet."""

    def __init__(self, cuts: Cuts) -> None:
        self.pause_seconds = cuts.pause_seconds
        self._cuts = cuts
        self._position = 0
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._held += data
        while self._held and (size := self._next_size()) is not None and len(self._held) >= size:
            self._position += 1
            piece = bytes(self._held[:size])
            del self._held[:size]
            if piece:
                yield piece
        if self._next_size() is None and self._held:
            yield self.rest()

    def rest(self) -> bytes:
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _next_size(self) -> int | None:
        if self._cuts.repeat and self._cuts.sizes:
            return self._cuts.sizes[self._position % len(self._cuts.sizes)]
        return self._cuts.sizes[self._position] if self._position < len(self._cuts.sizes) else None
