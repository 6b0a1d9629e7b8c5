"""`ANY /providers/NAME/…`: a provider's own API, for keys whose `passthrough` names it.

Nothing is translated and nothing read but the usage; bodies stream both ways. One attempt, no fallback:
what is not ours cannot be sent twice. The key, the record and the limits are those of any call.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote_plus

from headgate.policy.nodes import Fixed
from headgate.rules.money import Tokens
from headgate.v1 import usage_pb2
from proxy.attempts import Attempt, Attempts
from proxy.call import Call
from proxy.client_stream import ClientStream
from proxy.config.model import Key, Provider, Route, Snapshot, Target, Timeouts
from proxy.config.resolve import catalogue_price, provider_named
from proxy.dialects.asked import Asked
from proxy.dialects.bridge import Whole
from proxy.dialects.media import RawStream
from proxy.dialects.sniff import UsageSniffer
from proxy.dialects.sse import Stream
from proxy.errors import CallError, invalid_request, model_not_allowed, model_not_found, spool_is_full
from proxy.http.request import Request
from proxy.http.responses import Raw, Streamed, status_line
from proxy.metrics import Metrics
from proxy.settle import MAKING_NOTHING, PASSTHROUGH, Settlement
from proxy.upstream.connection import Connection
from proxy.upstream.failure import AttemptFailed

PREFIX = "/providers/"
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
MAX_TARGET_LENGTH = 4_096
# Nothing that could be another path to somebody else's parser, and nothing that names a credential.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*(%[0-9A-Fa-f]{2}[A-Za-z0-9._~!$&'()*+,;=:@/-]*)*")
_TRICKY = re.compile(r"//|/\.{1,2}(/|$)|%2f|%5c|%2e|%00", re.IGNORECASE)
_CREDENTIALS = frozenset({"key", "api_key", "api-key", "access_token", "token"})
# Answers that have no body, whatever their head says (RFC 9112, 6.3).
_BODILESS = (204, 304)
# What of the client's head goes upstream, and what of the provider's comes back (A5).
_REQUEST_HEADERS = frozenset(
    {
        *(b"accept", b"accept-language", b"content-type", b"content-encoding", b"range", b"if-none-match"),
        *(b"if-match", b"idempotency-key", b"anthropic-version", b"anthropic-beta", b"openai-beta"),
    }
)
_UPLOAD_HEADER = re.compile(rb"x-goog-upload-[a-z-]{1,40}")
_ANSWER_HEADERS = (
    b"content-type",
    b"content-length",
    b"content-disposition",
    b"content-encoding",
    b"content-range",
    b"etag",
    b"last-modified",
    b"retry-after",
)


class NativeBridge:
    """A Bridge whose answer is bytes; `body` is sent piece by piece beside it."""

    operation = PASSTHROUGH
    body = b""
    headers = b""

    def __init__(self, stream: NativeStream) -> None:
        self.left_out: list[str] = []
        self._stream = stream

    def stream(self) -> Stream | None:
        return self._stream

    def whole(self, body: bytes) -> Whole:
        return Whole(body)

    def tokens_of(self, usage: dict[str, Any]) -> tuple[Tokens, bool]:
        tokens: Tokens = usage["tokens"]
        return tokens, bool(usage["mended"])


class NativeStream(RawStream):
    """Every answer passes, also one that is an error; only a refusal of our own key does not.

    `makes`: the call makes something; else a usage in the answer is of what was made before.
    """

    def __init__(self, *, makes: bool) -> None:
        super().__init__()
        self._makes = makes
        self._sniffer: UsageSniffer | None = None

    def accepts(self, status: int, content_type: bytes) -> bool:
        if self._makes:
            self._sniffer = UsageSniffer(content_type)
        return status not in (401, 402)

    def feed(self, data: bytes) -> bytes:
        if self._sniffer is not None:
            self._sniffer.feed(data)
        return super().feed(data)

    def count(self) -> str:
        """Takes up the usage that the answer told so far; the model's name, where that says it."""
        found = self._sniffer.found() if self._sniffer is not None else None
        if found is None:
            return ""
        self.usage = {"tokens": found.tokens, "mended": found.mended}
        self.service_tier = found.service_tier
        return found.model


class PassthroughCalls:
    """`authenticate` and what a call needs, as in `Calls`."""

    def __init__(
        self,
        *,
        authenticate: Callable[[Request], tuple[Snapshot, Key]],
        attempts: Attempts,
        settlement: Settlement,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._authenticate = authenticate
        self._attempts = attempts
        self._settlement = settlement

    async def handle(self, request: Request, request_id: bytes) -> Raw | Streamed:
        """Raises CallError before anything was answered; ConnectionError where it broke off later."""
        self._metrics.inflight += 1
        try:
            return await self._handle(request, request_id)
        finally:
            self._metrics.inflight -= 1

    async def _handle(self, request: Request, request_id: bytes) -> Raw | Streamed:
        snapshot, key = self._authenticate(request)
        provider, path = permitted(snapshot, key, request)
        if not self._settlement.has_room():
            raise spool_is_full()
        stream = NativeStream(makes=request.method not in MAKING_NOTHING)
        target = Target("", provider, "", (), "", 0, disabled=False)
        call = _call(request, request_id, snapshot, key, target)
        try:
            attempt = await self._attempts.native(call, target, NativeBridge(stream), _head(request, path))
            return await self._relay(call, attempt, stream)
        except BaseException:
            for attempt in call.attempts:
                _price(attempt, stream)
            self._settlement.abandon(call)
            raise

    async def _relay(self, call: Call, attempt: Attempt, stream: NativeStream) -> Raw | Streamed:
        request, exchange = call.request, attempt.exchange
        connection = exchange.link
        if isinstance(connection, Connection) and request.body_stream is not None:
            try:
                async with asyncio.TaskGroup() as tasks:
                    upload = tasks.create_task(_upload(request, connection, chunked=_is_chunked(request)))
                    if not exchange.ready.done():
                        await exchange.ready
                    upload.cancel()  # an answer before the end of the body is an answer all the same
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from None
        elif not exchange.ready.done():
            await exchange.ready
        attempt.failure = exchange.failure
        if not exchange.streaming:
            self._settlement.close(call, 502)
            raise _failed(attempt)
        transport = request.connection.transport
        if transport is None:
            raise ConnectionResetError("the client left")
        known = b"content-length" in exchange.headers and exchange.status not in _BODILESS
        unread = request.body_stream is not None and not request.body_stream.consumed
        keep_alive = request.keep_alive and not unread and (known or not request.http_1_0)
        transport.write(_answer_head(call, attempt, keep_alive=keep_alive, known=known))
        request.response_begun = True
        client = ClientStream(request, plain=known or exchange.status in _BODILESS)
        exchange.begin_relay(client)
        while not exchange.ended:
            await exchange.wait()
            if exchange.paused and not exchange.ended:
                await client.drained()
                exchange.resume()
        attempt.failure = exchange.failure or _refusal(exchange.status)
        _price(attempt, stream)
        self._settlement.close(call, exchange.status)
        if exchange.failure is not None:
            raise ConnectionAbortedError("the answer broke off, and only the connection can say so")
        client.end()
        return Streamed(keep_alive=keep_alive)


def permitted(snapshot: Snapshot, key: Key, request: Request) -> tuple[Provider, str]:
    """The provider and the path below its root (with its query). Raises CallError: 400, 403, 404, 405."""
    name, slash, rest = request.path.removeprefix(PREFIX).partition("/")
    path = slash + rest
    if request.method not in METHODS:
        raise CallError(
            405,
            "method_not_allowed",
            f"{request.method} is not possible here.",
            headers={"allow": ", ".join(sorted(METHODS))},
            close=True,
        )
    if not _PLAIN_PATH.fullmatch(path) or _TRICKY.search(path) or len(request.path) > MAX_TARGET_LENGTH:
        raise invalid_request("The path must be a plain one: no '..', no empty parts, no encoded slashes.")
    for pair in request.query.split("&"):
        if unquote_plus(pair.partition("=")[0]).lower() in _CREDENTIALS:
            raise invalid_request("The query names a credential; the provider's key is Headgate's to add.")
    if len(request.query) > MAX_TARGET_LENGTH or not request.query.isprintable() or " " in request.query:
        raise invalid_request("The query is too long, or has characters that must be encoded.")
    provider = provider_named(snapshot, key.tenant, name)
    allowed = any(
        fnmatchcase(name, wanted) and method in ("*", request.method) and fnmatchcase(path, pattern)
        for wanted, method, pattern in key.passthrough
    )
    if not allowed:
        raise model_not_allowed(f"{name} {request.method} {path}")
    if provider is None or provider.disabled or not provider.base_url or provider.kind.name == "sandbox":
        raise model_not_found(name)
    if key.residency and provider.region not in key.residency:
        raise CallError(
            403,
            "model_not_allowed",
            f"Provider {name!r} is outside the regions in which the calls of tenant {key.tenant!r} stay.",
            kind="permission_error",
        )
    return provider, f"{path}?{request.query}" if request.query else path


def _call(request: Request, request_id: bytes, snapshot: Snapshot, key: Key, target: Target) -> Call:
    now = time.monotonic()
    route = Route(f"providers/{target.provider.name}", Fixed((target,)), timeouts=Timeouts())
    asked = Asked(PASSTHROUGH, b"", {}, "", False, False, "", None)
    return Call(
        request, request_id, now, snapshot, key, asked, route, None, now + route.timeouts.total_seconds
    )


def _head(request: Request, path: str) -> bytes:
    """Request line and the client's headers, as far as they travel. The rest is added by who sends it."""
    lines = [f"{request.method} {{prefix}}{path} HTTP/1.1".encode("latin-1")]
    for name, value in request.headers.items():
        if name in _REQUEST_HEADERS or _UPLOAD_HEADER.fullmatch(name):
            lines.append(b"%b: %b" % (name, value))
    length = request.headers.get(b"content-length")
    if length is not None:
        lines.append(b"content-length: " + length)
    elif _is_chunked(request):
        lines.append(b"transfer-encoding: chunked")
    elif request.method not in MAKING_NOTHING:
        lines.append(b"content-length: 0")
    return b"\r\n".join(lines) + b"\r\n"


def _is_chunked(request: Request) -> bool:
    return b"transfer-encoding" in request.headers


async def _upload(request: Request, connection: Connection, *, chunked: bool) -> None:
    """The client's body to the provider, no faster than it takes it."""
    body = request.body_stream
    if body is None:
        return
    connection.sending = True
    while data := await body.read():
        if not await connection.send(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data):
            return
    if chunked:
        await connection.send(b"0\r\n\r\n")
    connection.sending = False


def _answer_head(call: Call, attempt: Attempt, *, keep_alive: bool, known: bool) -> bytes:
    headers = attempt.exchange.headers
    lines = [
        b"%b: %b\r\n" % (name, headers[name])
        for name in _ANSWER_HEADERS
        if name in headers and (name != b"content-length" or known)
    ]
    if not known and attempt.exchange.status not in _BODILESS and not call.request.http_1_0:
        lines.append(b"transfer-encoding: chunked\r\n")
    if not keep_alive:
        lines.append(b"connection: close\r\n")
    own = f"x-request-id: {call.request_id.hex()}\r\nx-headgate-attempts: 1\r\n".encode()
    route = call.route.header
    return status_line(attempt.exchange.status) + b"".join(lines) + route + own + b"\r\n"


def _failed(attempt: Attempt) -> CallError:
    failure = attempt.failure
    name = attempt.target.provider.name
    if failure is not None and failure.key_rejected:
        return CallError(
            502,
            "provider_key_rejected",
            f"Provider {name!r} refused the key that Headgate holds for it ({failure.status}).",
            kind="upstream_error",
            headers={"x-should-retry": "false"},
            close=True,
        )
    timeout = failure is not None and failure.outcome == usage_pb2.OUTCOME_TIMEOUT
    said = failure.message if failure is not None else "no answer"
    return CallError(
        504 if timeout else 502,
        "upstream_timeout" if timeout else "upstream_error",
        f"{name}: {said}",
        kind="upstream_error",
        close=True,
    )


def _refusal(status: int) -> AttemptFailed | None:
    """An answer that passed and is an error, for the record."""
    if status < 400:
        return None
    if status == 429:
        return AttemptFailed(usage_pb2.REASON_RATE_LIMITED, status)
    if status >= 500:
        return AttemptFailed(usage_pb2.REASON_UPSTREAM_ERROR, status)
    return AttemptFailed(usage_pb2.REASON_INVALID_REQUEST, status)


def _price(attempt: Attempt, stream: NativeStream) -> None:
    """Usage and model are known only now, from as much of the answer as came: its price by the catalogue."""
    model = stream.count()
    attempt.usage = stream.usage
    provider = attempt.target.provider
    if model:
        prices, version = catalogue_price(provider.kind.name, provider.base_url, model)
        attempt.target = Target("", provider, model, prices, version, 0, disabled=False)
