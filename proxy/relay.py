"""The answer on its way to the client: heads, whole bodies, and streams written as they come.

Streamed bytes go straight to the client's transport in the pass of the loop in which they came
(20 µs a chunk against 30 through aiohttp's writer). A slow reader pauses its provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from headgate.v1 import usage_pb2
from proxy.client_stream import ClientStream
from proxy.dialects.sse import Stream
from proxy.http.responses import STATUS_LINES, Raw, Streamed, speaks_anthropic
from proxy.http.values import header_value
from proxy.overheard import Overheard
from proxy.receipts import document
from proxy.resume import AfterCut, pump, remembered, resumed
from proxy.upstream.failure import reason_text

# Characters of `x-headgate-left-out`: SDKs and proxies take heads of 8 KiB and more.
MAX_LEFT_OUT_LENGTH = 1_000

if TYPE_CHECKING:
    from proxy.attempts import Attempt
    from proxy.call import Call
    from proxy.settle import Settlement


def whole_answer(call: Call, attempt: Attempt, settlement: Settlement) -> Raw:
    """Records the attempt and gives back the answer as the provider sent it."""
    exchange = attempt.exchange
    settlement.close(call, exchange.status)
    whole = attempt.whole
    body = exchange.body
    content_type = exchange.headers.get(b"content-type", b"application/json")
    if whole is not None:
        body = whole.body
        content_type = whole.content_type or content_type
    if call.inline_receipt and b"json" in content_type:
        body = _with_receipt(body, _receipt(call))
    head = b"%bcontent-type: %b\r\n%b" % (
        STATUS_LINES[exchange.status],
        content_type,
        _headers(call, attempt, settlement, cost=settlement.cost_text(call)),
    )
    return Raw(exchange.status, head, body)


async def relay_stream(call: Call, attempt: Attempt, settlement: Settlement, after_cut: AfterCut) -> Streamed:
    """Relays a begun stream to its end; what ends badly ends in an error event, never cleanly."""
    request = call.request
    exchange = attempt.exchange
    stream = exchange.stream
    transport = request.connection.transport
    if transport is None:
        raise ConnectionResetError("the client left")
    keep_alive = request.keep_alive and not request.http_1_0
    framing = b"transfer-encoding: chunked\r\n" if not request.http_1_0 else b""
    content_type = b"text/event-stream; charset=utf-8\r\ncache-control: no-cache"
    if stream is not None and stream.raw:
        content_type = exchange.headers.get(b"content-type", b"application/octet-stream")
    head = b"%bcontent-type: %b\r\n%b%b%b\r\n" % (
        STATUS_LINES[200],
        content_type,
        framing,
        b"" if keep_alive else b"connection: close\r\n",
        _headers(call, attempt, settlement, cost=None),
    )
    transport.write(head)
    request.response_begun = True
    client = ClientStream(request)
    if call.facts is not None and call.facts.judged:
        client = call.heard = Overheard(request)
    delivered = remembered(call, client)
    if stream is not None and not stream.hold_end:
        # Recorded before the client hears [DONE], so that nothing it saw complete is unrecorded.
        begun = attempt
        exchange.on_done = lambda: _close_at_done(call, begun, stream, settlement, delivered is not None)
        if stream.done:
            exchange.on_done()
    await pump(exchange, delivered or client, client)
    exchange.on_done = None  # it holds the call, which holds the exchange
    attempt.failure = exchange.failure
    if delivered is not None and attempt.failure is not None:
        attempt = await resumed(call, attempt, client, delivered, settlement, after_cut)
    settlement.close(call, 200)
    last = attempt.exchange.stream
    if last is not None and last.tail and (attempt.failure is None or delivered is None):
        client.send(_tail_with_receipt(last.tail, _receipt(call)))
    if attempt.failure is not None and stream is not None:
        if stream.raw:
            raise ConnectionAbortedError("the answer broke off, and only the connection can say so")
        if delivered is not None and not delivered.withheld:
            client.send(delivered.error(stream.error_event(_cut_error(call, attempt))))
        elif delivered is not None:
            client.send(delivered.withheld)
        elif stream.error is None:
            client.send(stream.error_event(_cut_error(call, attempt)))
    client.end()
    return Streamed(keep_alive=keep_alive)


def _close_at_done(
    call: Call, attempt: Attempt, stream: Stream, settlement: Settlement, may_go_on: bool
) -> None:
    if stream.error is not None and may_go_on:
        return  # OpenRouter says [DONE] after an error too; it may not be the call's last attempt
    attempt.failure = stream.error
    settlement.close(call, 200)


def _headers(call: Call, attempt: Attempt, settlement: Settlement, *, cost: str | None) -> bytes:
    overhead_ms = settlement.overhead_seconds(call) * 1000
    own = f"x-request-id: {call.request_id.hex()}\r\nx-headgate-attempts: {len(call.attempts)}\r\n"
    if cost is not None:
        own += f"x-headgate-cost-usd: {cost}\r\n"
    own += f"x-headgate-cache: off\r\nx-headgate-overhead-ms: {overhead_ms:.2f}\r\n"
    if call.facts is not None and call.facts.assignments:
        own += f"x-headgate-experiment: {call.facts.assignments[0].label}\r\n"
    if attempt.bridge.left_out:
        own += f"x-headgate-left-out: {left_out_text(attempt.bridge.left_out)}\r\n"
    if speaks_anthropic(call.request):
        own += f"request-id: {call.request_id.hex()}\r\n"
    return call.route.header + attempt.target.header + own.encode()


def left_out_text(fields: list[str]) -> str:
    """Each once, on one line; the client's own names may hold anything."""
    text = ", ".join(dict.fromkeys(fields))
    return header_value(text if len(text) <= MAX_LEFT_OUT_LENGTH else text[:MAX_LEFT_OUT_LENGTH] + " …")


def _cut_error(call: Call, attempt: Attempt) -> dict[str, object]:
    failure = attempt.failure
    timeout = failure is not None and failure.outcome == usage_pb2.OUTCOME_TIMEOUT
    message = failure.message if failure is not None else "the stream broke off"
    return {
        "message": f"{attempt.target.label}: {message}",
        "type": "upstream_error",
        "code": "upstream_timeout" if timeout else "upstream_error",
        "param": None,
        "attempts": [
            {"model": tried.target.label, "reason": reason_text(tried.failure.reason)}
            for tried in call.attempts
            if tried.failure is not None
        ],
        "request_id": call.request_id.hex(),
    }


def _receipt(call: Call) -> dict[str, Any]:
    return document([usage_pb2.UsageRecord.FromString(record) for record in call.records], call.excluded)


def _with_receipt(body: bytes, receipt: dict[str, Any]) -> bytes:
    """The JSON object with one more member, `headgate`, at its end."""
    end = body.rstrip()
    separator = b"" if end[:-1].rstrip().endswith(b"{") else b","
    return end[:-1] + separator + b'"headgate":' + orjson.dumps(receipt) + b"}"


def _tail_with_receipt(tail: list[bytes], receipt: dict[str, Any]) -> bytes:
    """The last events with the receipt in the usage event, or without one in the finish event."""
    documents = [index for index, event in enumerate(tail) if b"{" in event]
    chosen = next((i for i in reversed(documents) if b'"usage"' in tail[i]), None)
    chosen = chosen if chosen is not None else next(iter(documents), None)
    if chosen is None:
        return b"".join(tail)
    event = tail[chosen].rstrip()
    patched = _with_receipt(event, receipt) + b"\n\n"
    return b"".join([*tail[:chosen], patched, *tail[chosen + 1 :]])
