"""One attempt's exchange with a provider: from the request on the wire to an answer or a failure.

A whole answer is collected; a stream is held until its first real event and then relayed to a sink, in
the same pass of the event loop in which it came. `ready` and `finished` are all that is awaited.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from headgate.v1 import usage_pb2
from proxy.dialects.failures import failure_of
from proxy.dialects.sse import Stream
from proxy.settings import MAX_ANSWER_BYTES
from proxy.upstream.connection import Connection
from proxy.upstream.failure import AttemptFailed, broken, timed_out


class Link(Protocol):
    """What carries an exchange: a connection, or the sandbox."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def abort(self) -> None: ...


class Sink(Protocol):
    """Where a begun stream goes. `send` tells whether more may come now."""

    def send(self, data: bytes) -> bool: ...


class Exchange:
    """Receives an answer. Exactly one of these holds at the end: `failure`, or a complete answer."""

    __slots__ = (
        "_active",
        "_hold_whole",
        "_idle_deadline",
        "_loop",
        "_parts",
        "_refused",
        "_size",
        "body",
        "failure",
        "finished",
        "first_event_at",
        "first_token_deadline",
        "headers",
        "idle_seconds",
        "link",
        "on_done",
        "paused",
        "ready",
        "sink",
        "stale",
        "started_at",
        "status",
        "stream",
        "total_deadline",
        "was_sent",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stream: Stream | None,
        *,
        total_deadline: float,
        first_token_seconds: float,
        idle_seconds: float,
        hold_whole: bool = False,
    ) -> None:
        """`hold_whole`: a stream is there when it is complete, not when it has begun."""
        self._loop = loop
        self._hold_whole = hold_whole
        # None: a whole answer was asked for.
        self.stream = stream
        self.started_at = time.monotonic()
        self.total_deadline = total_deadline
        self.first_token_deadline = self.started_at + first_token_seconds
        self.idle_seconds = idle_seconds
        self.link: Link | None = None
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.failure: AttemptFailed | None = None
        # The connection had been idle and died without a byte: the attempt may go out again.
        self.stale = False
        # The request went out: a provider may have worked on it.
        self.was_sent = False
        self.first_event_at: float | None = None
        self.sink: Sink | None = None
        self.paused = False
        # Called once, when the stream said [DONE], before the client is told so.
        self.on_done: Callable[[], None] | None = None
        # Resolved when there is an answer, a begun stream, or a failure.
        self.ready: asyncio.Future[None] = loop.create_future()
        # Of a begun stream: resolved at its end, and whenever the sink has had enough for now.
        self.finished: asyncio.Future[None] | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._active = True
        # A stream was asked for, and the head that came was an error's.
        self._refused = False
        self._idle_deadline = 0.0

    @property
    def streaming(self) -> bool:
        """A stream of events has begun, and is the client's from now on."""
        return self.first_event_at is not None and not (self._hold_whole and self.failure is not None)

    @property
    def held(self) -> bytes:
        """What there is of a stream that nobody has seen yet."""
        return b"".join(self._parts)

    # Receiver

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.status = status
        self.headers = headers
        if self.stream is not None and not self.stream.accepts(status, headers.get(b"content-type", b"")):
            self.stream = None  # an error, or a provider that does not stream
            self._refused = status != 200

    def on_body(self, data: bytes) -> None:
        stream = self.stream
        if stream is None:
            self._parts.append(data)
            self._bound(len(data))
            return
        self._active = True
        try:
            out = stream.feed(data)
        except AttemptFailed as failure:
            self.fail(failure)
            return
        if stream.done and self.on_done is not None:
            self.on_done()
            self.on_done = None
        sink = self.sink
        if sink is not None:
            if out and not sink.send(out):
                self._pause()
        elif stream.started:
            # The first real event: hold what there is until the handler has written the head.
            self._parts.append(out)
            if self.first_event_at is None:
                self.first_event_at = time.monotonic()
                if not self._hold_whole:
                    self.ready.set_result(None)
            if self._hold_whole:
                self._bound(len(out))

    def on_complete(self) -> None:
        stream = self.stream
        if stream is None:
            self.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            if self.status >= 400 or self.status < 200 or 300 <= self.status < 400:
                self.failure = failure_of(self.status, self.headers, self.body)
            self._resolve()
            return
        try:
            out = stream.end()
        except AttemptFailed as failure:
            self.fail(failure)
            return
        if self.failure is None and not (stream.finished or stream.done):
            self.failure = stream.error or broken(
                usage_pb2.REASON_STREAM_CUT, "the stream ended without its terminal event"
            )
        elif stream.error is not None:
            self.failure = stream.error
        if self.on_done is not None and self.failure is None:
            # The answer had no last event of its own: it is recorded before its last bytes go out.
            self.on_done()
            self.on_done = None
        if self.sink is None:
            # `out` may be empty although the stream began: an inline receipt holds the finish event back.
            self._parts.append(out)
            if self.first_event_at is None and stream.started:
                self.first_event_at = time.monotonic()
        elif out:
            self.sink.send(out)
        self._resolve()

    def on_failure(self, failure: AttemptFailed, *, no_byte_came: bool) -> None:
        link = self.link
        self.stale = no_byte_came and isinstance(link, Connection) and link.reused
        stream = self.stream
        if stream is not None and (stream.finished or stream.done) and self.status:
            self.on_complete()  # the answer is complete; how the connection ended does not matter
            return
        if stream is not None and stream.error is not None:
            failure = stream.error
        self._settle(failure)

    # Control

    def begin_relay(self, sink: Sink) -> None:
        """Hands over what was held back, and everything from now on."""
        held, self._parts = self.held, []
        self.sink = sink
        if held and not sink.send(held) and self.link is not None:
            self._pause()

    async def wait(self) -> None:
        """Until the stream has ended, or the sink has had enough (`paused`)."""
        if self.ended or self.paused:
            return
        self.finished = self._loop.create_future()
        await self.finished

    @property
    def connecting(self) -> bool:
        """Nothing carries it yet, and it has not failed either."""
        return self.link is None and not self.ready.done()

    @property
    def ended(self) -> bool:
        return self.link is None

    def resume(self) -> None:
        self.paused = False
        self._active = True
        if self.link is not None:
            self.link.resume()

    def abort(self) -> None:
        """The client left, or somebody else won: closes the socket now."""
        link, self.link = self.link, None
        self.on_done = None
        if link is not None:
            link.abort()

    def check_deadlines(self, now: float) -> None:
        """Called by the ticker; fails the exchange when one of its deadlines has passed."""
        if now >= self.total_deadline:
            self.fail(timed_out(usage_pb2.REASON_TOTAL_TIMEOUT, "no complete answer in time"))
        elif self.stream is None and not self._refused:
            return
        elif self.stream is None or self.first_event_at is None:
            if now >= self.first_token_deadline:
                self.fail(timed_out(usage_pb2.REASON_FIRST_TOKEN_TIMEOUT, "no first token in time"))
        elif self.stream.done and not self._active:
            # Everything was said; a provider that leaves the connection open keeps nobody waiting.
            link = self.link
            self.on_complete()
            if link is not None:
                link.abort()
        elif self._active or self.paused:
            self._active = False
            self._idle_deadline = now + self.idle_seconds
        elif now >= self._idle_deadline:
            self.fail(timed_out(usage_pb2.REASON_IDLE_TIMEOUT, "the stream stalled"))

    def _bound(self, more: int) -> None:
        self._size += more
        if self._size > MAX_ANSWER_BYTES:
            limit = f"the answer is larger than {MAX_ANSWER_BYTES // 2**20} MiB"
            self.fail(broken(usage_pb2.REASON_RESPONSE_TOO_LARGE, limit))

    def _pause(self) -> None:
        self.paused = True
        if self.link is not None:
            self.link.pause()
        self._wake()

    def fail(self, failure: AttemptFailed) -> None:
        """Ends it here, at the socket too."""
        link, self.link = self.link, None
        if link is not None:
            link.abort()
        self._settle(failure)

    def _settle(self, failure: AttemptFailed) -> None:
        self.failure = failure
        self._resolve()

    def _resolve(self) -> None:
        self.link = None
        if not self.ready.done():
            self.ready.set_result(None)
        self._wake()

    def _wake(self) -> None:
        if self.finished is not None and not self.finished.done():
            self.finished.set_result(None)
