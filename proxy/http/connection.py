"""One client connection: bytes in, requests to the handler in order, answers out.

The parser is httptools (llhttp in strict mode, as uvicorn runs it): it refuses conflicting lengths,
folded headers and stray control characters; what it leaves open is refused here. One task per
connection serves its requests one after the other, so a request costs no task of its own. Measured
in bare forwarding: 33 µs a call, against 72 with aiohttp's low-level server in front.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from proxy.errors import CallError, body_too_large
from proxy.http.body import MIN_PROGRESS_BYTES, BodyStream
from proxy.http.refused import Refused, refusal_of
from proxy.http.request import Request
from proxy.settings import MAX_BODY_BYTES, MAX_STREAMED_BODY_BYTES

if TYPE_CHECKING:
    from proxy.http.server import Server

# Request line and headers, bytes; SDKs send 1 to 2 KiB.
MAX_HEAD_BYTES = 32 * 2**10
MAX_HEADERS = 100
# Pieces of a body before they are put together: chunks of two bytes each would hold 28 times their size (A2).
MAX_BODY_PARTS = 1024
# So many bytes in pieces are put together too: they lie on the heap, which does not give them back.
MAX_BODY_PARTS_BYTES = 1 * 2**20
# Requests that wait on one connection while it answers another; then nothing more is read from it.
MAX_PIPELINED = 8
# Bodies above this are not taken from strangers: the credential is checked before they are read.
EARLY_CHECK_BYTES = 64 * 2**10


class Response(Protocol):
    """What a handler gives back. `write` sends what is still to be sent."""

    keep_alive: bool

    def write(self, request: Request) -> None: ...


Handler = Callable[[Request], Awaitable[Response]]


class ClientConnection(asyncio.Protocol):
    __slots__ = (
        "_answered",
        "_body_bytes",
        "_body_parts",
        "_drain_waiter",
        "_fields",
        "_head_bytes",
        "_loose_bytes",
        "_parser",
        "_progress_bytes",
        "_queue",
        "_reading_paused",
        "_request",
        "_resumed",
        "_server",
        "_task",
        "_url",
        "_waiter",
        "busy",
        "closing",
        "on_header",
        "paused_at",
        "since",
        "transport",
        "unsent",
        "writing_paused",
    )

    def __init__(self, server: Server) -> None:
        self._server = server
        self.transport: asyncio.Transport | None = None
        # The parser hands headers straight to a dictionary, in C: a Python callback per header costs
        # 0.5 µs and SDKs send fifteen. Of two equal names the last counts; the parser itself refuses
        # two lengths, and no other header decides anything beyond this proxy.
        self._fields: dict[bytes, bytes] = {}
        self.on_header = self._fields.__setitem__
        self._parser = HttpRequestParser(self)
        self._queue: deque[Request] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._drain_waiter: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._request: Request | None = None
        # Its body comes after an `Upgrade` that we do not follow; see `_resume`.
        self._resumed: Request | None = None
        self._url = b""
        self._body_parts: list[bytes | bytearray] = []
        self._body_bytes = 0
        self._head_bytes = 0
        # Read since the last byte of a body: chunk extensions and trailers, which the parser keeps or skips.
        self._loose_bytes = 0
        self._progress_bytes = 0
        self._reading_paused = False
        self.writing_paused = False
        # Bytes that the client has not taken, and the loop time since when they are so many.
        self.unsent, self.paused_at = 0, 0.0
        # A request is being answered.
        self.busy = False
        self._answered = False
        # No further request is taken.
        self.closing = False
        # Loop time of the last progress of a request that is coming in, or of the last answer.
        self.since = 0.0

    @property
    def receiving(self) -> bool:
        """A request has begun to come in, or nothing ever has."""
        return self._request is not None or not self._answered

    @property
    def remote(self) -> str:
        """The peer's address, for throttling; forwarding headers are not believed."""
        peer = self.transport.get_extra_info("peername") if self.transport is not None else None
        return str(peer[0]) if isinstance(peer, tuple) else "local"

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        server = self._server
        self.since = server.now()
        if not server.admit(self):
            self.abort()
            return
        self._task = server.loop.create_task(self._serve())

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.closing = True
        self._server.forget(self)
        waiter, self._drain_waiter = self._drain_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(ConnectionResetError("the client left"))
        if self._task is not None:
            self._task.cancel()
        # The collector of cycles hardly ever runs (proxy/main.py): whatever holds this connection and is held
        # by it (a task by its cancellation's traceback) would stay, with a body of up to 32 MiB.
        self._task = self._waiter = self._request = self._resumed = None
        self._queue.clear()
        del self._parser

    def data_received(self, data: bytes) -> None:
        if self.closing and (self._request is None or self._request.body_stream is None):
            return  # but what is being uploaded is taken to its end
        if self._request is None:
            head = data.find(b"\r\n\r\n") if len(data) > MAX_HEAD_BYTES else 0
            self._head_bytes = len(data) if head < 0 else head
        elif not self._request.method:
            self._head_bytes += len(data)
        else:
            self._head_bytes = self._loose_bytes
            self._loose_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(CallError(431, "headers_too_large", f"The head exceeds {MAX_HEAD_BYTES} bytes."))
            return
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            # We stay with HTTP/1.1: what follows is the request's body, if it has one, or the next request.
            self._parser = HttpRequestParser(self)
            self._resume()
            rest = data[int(upgrade.args[0]) :] if upgrade.args else b""
            if rest:
                self.data_received(rest)
        except (HttpParserError, Refused) as error:
            self._refuse(refusal_of(error))

    def eof_received(self) -> bool:
        # A client that has sent all it wants may still be waiting for its answer (RFC 9112, 9.6) …
        # and a client that left looks the same. SDKs that close do so entirely: take it as leaving.
        return False

    def pause_writing(self) -> None:
        self.writing_paused = True

    def resume_writing(self) -> None:
        self.writing_paused = False
        waiter, self._drain_waiter = self._drain_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def drained(self) -> None:
        """Until the client has taken what was written. Raises ConnectionError when it left."""
        if self.transport is None:
            raise ConnectionResetError("the client left")
        if self.writing_paused:
            self._drain_waiter = self._server.loop.create_future()
            await self._drain_waiter

    # httptools

    def on_message_begin(self) -> None:
        if self._resumed is not None:
            return
        self._request = Request(self)
        self._url = b""
        self._body_bytes = self._loose_bytes = self._progress_bytes = 0
        self._fields.clear()
        self.since = self._server.now()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_headers_complete(self) -> None:
        request = self._request
        parser = self._parser
        if self._resumed is not None:
            self._request, self._resumed = self._resumed, None
            return
        if request is None:
            return
        request.method = parser.get_method().decode("latin-1")
        version = parser.get_http_version()
        request.http_1_0 = version == "1.0"
        request.keep_alive = parser.should_keep_alive()
        path, _, query = self._url.partition(b"?")
        request.path = path.decode("latin-1")
        request.query = query.decode("latin-1")
        headers = request.headers
        for name, value in self._fields.items():
            name = name.lower()
            headers[name] = value
            if name[:11] == b"x-headgate-":
                request.has_options = True
        if len(headers) > MAX_HEADERS:
            raise Refused(CallError(431, "headers_too_large", f"More than {MAX_HEADERS} headers."))
        if version != "1.1" and not request.http_1_0:
            raise Refused(CallError(400, "invalid_request_error", "Only HTTP/1.1 and 1.0 are spoken here."))
        if b"host" not in headers and not request.http_1_0:
            raise Refused(CallError(400, "invalid_request_error", "The header 'host' is missing."))
        length = headers.get(b"content-length")
        size = int(length) if length is not None else 0
        if parser.should_upgrade() and (size or b"transfer-encoding" in headers):
            self._resumed = request
        if self._server.streams(request):
            self._begin_streamed(request, size)
            return
        if size > MAX_BODY_BYTES:
            raise Refused(body_too_large(MAX_BODY_BYTES))
        if size > EARLY_CHECK_BYTES or b"transfer-encoding" in headers or b"expect" in headers:
            self._before_body(request)

    def _begin_streamed(self, request: Request, size: int) -> None:
        """The handler gets the request now and its body as it comes."""
        if size > MAX_STREAMED_BODY_BYTES:
            raise Refused(body_too_large(MAX_STREAMED_BODY_BYTES))
        expect = request.headers.get(b"expect", b"").lower() == b"100-continue"
        request.body_stream = BodyStream(self, expects_continue=expect)
        self._enqueue(request)

    def say_continue(self) -> None:
        if self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def pause_body(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_body(self) -> None:
        if self.transport is not None and not self._reading_paused:
            self.transport.resume_reading()

    def _resume(self) -> None:
        """Puts a new parser where the old one stood: before the body of a request that asked to upgrade.

        httptools takes what follows such a head for another protocol, but Java's HttpClient sends
        `Upgrade: h2c` with its POSTs by default, and RFC 9110, 7.8 lets a server ignore it.
        """
        request = self._resumed
        if request is None:
            return
        length = request.headers.get(b"content-length")
        framing = b"transfer-encoding: chunked" if length is None else b"content-length: " + length
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)

    def _before_body(self, request: Request) -> None:
        """Large and open-ended bodies: who sends them is checked first."""
        refusal = self._server.check_early(request)
        if refusal is not None:
            refusal.close = True
            raise Refused(refusal)
        expect = request.headers.get(b"expect")
        # Not into the midst of another answer; a client that is told nothing sends the body all the same.
        alone = not self.busy and not self._queue
        if expect is not None and expect.lower() == b"100-continue" and alone and self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        self._loose_bytes = 0
        stream = self._request.body_stream if self._request is not None else None
        if stream is not None:
            if self._body_bytes > MAX_STREAMED_BODY_BYTES:
                self.abort()  # its answer may have begun
                return
            stream.feed(data)
            return
        if self._body_bytes > MAX_BODY_BYTES:
            raise Refused(body_too_large(MAX_BODY_BYTES))
        parts = self._body_parts
        parts.append(data)
        if len(parts) > MAX_BODY_PARTS or self._body_bytes - len(parts[0]) > MAX_BODY_PARTS_BYTES:
            front = parts[0] if isinstance(parts[0], bytearray) else bytearray(parts[0])
            front += b"".join(parts[1:])
            parts[:] = [front]
        self._progress_bytes += len(data)
        if self._progress_bytes >= MIN_PROGRESS_BYTES:
            self._progress_bytes = 0
            self.since = self._server.now()

    def on_message_complete(self) -> None:
        request, self._request = self._request, None
        if request is None or request is self._resumed:
            return
        if request.body_stream is not None:
            request.body_stream.end()
            return
        parts = self._body_parts
        if parts:
            first = parts[0]
            request.body = first if len(parts) == 1 and isinstance(first, bytes) else b"".join(parts)
            self._body_parts = []
        self._enqueue(request)

    def _enqueue(self, request: Request) -> None:
        self._queue.append(request)
        if len(self._queue) > MAX_PIPELINED and self.transport is not None:
            self._reading_paused = True
            self.transport.pause_reading()
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            waiter.set_result(None)

    # Serving

    async def _serve(self) -> None:
        """Answers the connection's requests in order; cancelled when the client leaves."""
        server = self._server
        queue = self._queue
        while True:
            if not queue:
                self._waiter = server.loop.create_future()
                await self._waiter
            self.busy = True
            request = queue.popleft()
            try:
                response = await server.handler(request)
            except ConnectionError:
                self.abort()
                return
            if self.transport is None:
                return
            response.write(request)
            if self.writing_paused:
                await self.drained()
            self.busy = False
            self._answered = True
            self.since = server.now()
            unread = request.body_stream is not None and not request.body_stream.consumed
            if not response.keep_alive or self.closing or unread:
                self.close()
                return
            del request, response  # an idle connection holds no body
            if self._reading_paused and len(queue) <= MAX_PIPELINED // 2:
                self._reading_paused = False
                self.transport.resume_reading()

    def _refuse(self, error: CallError) -> None:
        """Answers what never became a request, after the answers before it, and closes."""
        request = self._request or Request(self)
        request.path = request.path or self._url.partition(b"?")[0].decode("latin-1")
        self._request = None
        self._body_parts = []
        self.closing = True
        if not self.busy and not self._queue and self.transport is not None:
            self._server.error_response(error, request).write(request)
            self._server.linger(self)

    def close(self) -> None:
        """No further request; what was written still goes out."""
        self.closing = True
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        self.closing = True
        if self.transport is not None:
            self.transport.abort()
