"""`resume: exact`: after a cut the next target gets the same request.

If its answer begins with exactly what was delivered, the stream goes on without a seam; until then nothing of
it reaches the client. What was delivered is kept in memory, bounded, and only where the route asks for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from headgate.v1 import usage_pb2
from proxy.client_stream import ClientStream
from proxy.dialects.spoken import END, ERROR, FRAME, TEXT, Spoken, events_in, is_done, spoken_in
from proxy.upstream.failure import AttemptFailed

if TYPE_CHECKING:
    from proxy.attempts import Attempt
    from proxy.call import Call
    from proxy.settle import Settlement
    from proxy.upstream.exchange import Exchange, Sink

# Text kept of one stream; a longer answer is not put together again.
MAX_DELIVERED_CHARACTERS = 1_000_000
# Kept from an error in a stream on; providers say little more than that it is over.
MAX_AFTER_ERROR_BYTES = 64 * 2**10


# The next attempt that answers, of what is left of a call's plan.
AfterCut = Callable[["Call"], Awaitable["Attempt | None"]]


async def pump(exchange: Exchange, sink: Sink, client: ClientStream) -> None:
    """From a begun stream to its sink, until it has ended; no faster than the client reads."""
    exchange.begin_relay(sink)
    while not exchange.ended:
        await exchange.wait()
        if exchange.paused and not exchange.ended:
            await client.drained()
            exchange.resume()


def remembered(call: Call, client: ClientStream) -> Delivered | None:
    """The sink of a stream that may have to be put together; None where the route does not ask for it."""
    if not call.route.resume_exact:
        return None
    spoken = spoken_in(call.asked.operation)
    return Delivered(client, spoken) if spoken is not None else None


async def resumed(
    call: Call,
    cut: Attempt,
    client: ClientStream,
    delivered: Delivered,
    settlement: Settlement,
    after_cut: AfterCut,
) -> Attempt:
    """The attempt with which the stream came to its end; the last that failed, where none did."""
    last = cut
    while last.failure is not None and delivered.resumable:
        following = await after_cut(call)
        if following is None:
            return last
        last = following
        exchange = last.exchange
        if not exchange.streaming or exchange.stream is None:
            last.failure = _other_answer("it did not stream")
            continue
        seam = Seam(delivered, exchange, lambda: settlement.close(call, 200))
        await pump(exchange, seam, client)
        seam.end()
        last.failure = exchange.failure
    return last


def _other_answer(message: str) -> AttemptFailed:
    return AttemptFailed(usage_pb2.REASON_OTHER_ANSWER, message=message)


class Delivered:
    """Passes a stream on and remembers what it said. An error in it is withheld: the stream may go on."""

    def __init__(self, client: ClientStream, spoken: Spoken) -> None:
        self._client = client
        self.spoken = spoken
        self._text: list[str] = []
        self._size = 0
        # Nothing but one run of text was delivered, and not its end.
        self.resumable = True
        self._withheld: list[bytes] = []
        self._after_error_bytes = 0

    @property
    def text(self) -> str:
        """Of a stream that is resumable; nothing is kept of others."""
        return "".join(self._text)

    @property
    def withheld(self) -> bytes:
        return b"".join(self._withheld)

    def send(self, data: bytes) -> bool:
        passed = []
        read = [
            (event, document, self.spoken.kind(document) if document is not None else (FRAME, ""))
            for event, document in events_in(data)
        ]
        # What closes the answer just before its error belongs to the error.
        broken = any(kind == ERROR for _, _, (kind, _) in read)
        for event, document, (kind, text) in read:
            if self._withheld or (broken and kind in (END, ERROR)):
                if self._after_error_bytes < MAX_AFTER_ERROR_BYTES:
                    self._withheld.append(event)
                if kind == ERROR or self._after_error_bytes:
                    self._after_error_bytes += len(event)
                continue
            if document is not None:
                if kind == TEXT:
                    self._keep(text)
                    self.resumable = self.resumable and not self.spoken.ends(document)
                elif kind != FRAME:
                    self.resumable = False
                self.spoken.delivered(document)
            passed.append(event)
        return self._client.send(b"".join(passed)) if passed else True

    def _keep(self, text: str) -> None:
        self._size += len(text)
        self.resumable = self.resumable and self._size <= MAX_DELIVERED_CHARACTERS
        if self.resumable:
            self._text.append(text)
        else:
            self._text.clear()

    def error(self, events: bytes) -> bytes:
        """Events that end the stream badly, under the names that the client knows."""
        read = ((event, document) for event, document in events_in(events))
        return b"".join(
            event if document is None else self.spoken.as_continued(document, None)
            for event, document in read
        )

    def continued(self, data: bytes, text: str) -> bool:
        """What another answer adds; it may be cut as well."""
        self._keep(text)
        return self._client.send(data)


class Seam:
    """The sink of an answer that is to go on where another broke off.

    `record`: writes the attempt's record; called before the client hears that the stream is complete.
    """

    def __init__(self, delivered: Delivered, exchange: Exchange, record: Callable[[], None]) -> None:
        self._exchange = exchange
        self._record = record
        self._delivered = delivered
        self._spoken = delivered.spoken
        # What was delivered and this answer has not said yet.
        self._left = delivered.text

    @property
    def joined(self) -> bool:
        return not self._left

    def send(self, data: bytes) -> bool:
        if self._exchange.failure is not None:
            return True
        passed: list[bytes] = []
        added = ""
        stream = self._exchange.stream
        for event, document in events_in(data):
            if document is None:
                if is_done(event) and stream is not None and stream.error is not None:
                    continue  # OpenRouter says [DONE] after an error too
                if self.joined:
                    passed.append(event)
                elif is_done(event):
                    return self._fail()
                continue
            kind, text = self._spoken.kind(document)
            if kind == ERROR:
                continue  # the exchange knows; the client is told when nobody is left
            if self.joined:
                if kind != FRAME or document.get("usage"):
                    passed.append(self._spoken.as_continued(document, None))
                    added += text
                self._delivered.resumable = self._delivered.resumable and kind in (FRAME, TEXT)
            elif kind == TEXT:
                common = min(len(text), len(self._left))
                if text[:common] != self._left[:common]:
                    return self._fail()
                self._left = self._left[common:]
                # Some say the last piece and that it was the last in one.
                if text[common:] or (self.joined and self._spoken.ends(document)):
                    passed.append(self._spoken.as_continued(document, text[common:]))
                    added += text[common:]
            elif kind != FRAME:
                return self._fail()  # it ends sooner, or does something else first
        if stream is not None and stream.done and stream.error is None:
            self._record()
        return self._delivered.continued(b"".join(passed), added) if passed else True

    def end(self) -> None:
        """The stream is over: what it held back for the receipt goes on from what was delivered, too."""
        stream = self._exchange.stream
        if stream is None or self._exchange.failure is not None:
            return
        if self._left:
            self._fail()
        stream.tail = [
            event if document is None else self._spoken.as_continued(document, None)
            for held in stream.tail
            for event, document in events_in(held)
        ]

    def _fail(self) -> bool:
        self._exchange.fail(_other_answer("its answer does not begin with what was delivered"))
        return True
