"""Server-sent events as they pass, one network chunk at a time, whatever they say.

Chunks are handed on up to the last complete event, so no client ever sees half an event that is then
withdrawn; before the first real event nothing is, so that the attempt can still fail over.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import orjson

from headgate.v1 import usage_pb2
from proxy.settings import MAX_EVENT_BYTES, MAX_PRELUDE_BYTES
from proxy.upstream.failure import AttemptFailed, broken

# The end of an event: a blank line, in either line ending.
_END = re.compile(rb"\r?\n\r?\n")
DONE = b"[DONE]"


class Stream(Protocol):
    """What an exchange and a relay need to know of an answer that comes as events."""

    started: bool
    finished: bool
    done: bool
    hold_end: bool
    usage: dict[str, Any] | None
    error: AttemptFailed | None
    service_tier: str
    events: int
    tail: list[bytes]
    # Not events but bytes: no error can be told in it.
    raw: bool

    def accepts(self, status: int, content_type: bytes) -> bool:
        """Whether an answer with this head is one; else it is read whole."""
        ...

    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...

    def error_event(self, error: dict[str, object]) -> bytes: ...


class EventStream:
    """`feed` takes network chunks and gives back what the client is to get now.

    Until `started` (the first real event: content, tool or reasoning delta, or a finish) it gives back
    nothing. `hold_end`: keep everything from the finish on until `end`. Subclasses read the events.
    """

    __slots__ = (
        "_carry",
        "_held",
        "_held_bytes",
        "done",
        "error",
        "events",
        "finished",
        "hold_end",
        "service_tier",
        "started",
        "tail",
        "usage",
    )

    raw = False

    def __init__(self, *, hold_end: bool = False) -> None:
        self.hold_end = hold_end
        self.started = False
        # A finish event came: the answer is complete, whatever follows.
        self.finished = False
        # The last event of its dialect came.
        self.done = False
        self.usage: dict[str, Any] | None = None
        self.error: AttemptFailed | None = None
        self.service_tier = ""
        # Events with something in them, for estimates.
        self.events = 0
        # Held back events from the finish on.
        self.tail: list[bytes] = []
        # The event that is still incomplete.
        self._carry = bytearray()
        self._held: list[bytes] = []
        self._held_bytes = 0

    def accepts(self, status: int, content_type: bytes) -> bool:
        return status == 200 and content_type.startswith(b"text/event-stream")

    def feed(self, data: bytes) -> bytes:
        """Raises AttemptFailed when the stream cannot be read or is an error before it started."""
        buffer = self._carry
        # Searched once, but for an end that the cut went through: a 2 MB image in network-sized pieces took
        # 17 s when every piece searched the whole again.
        searched = max(0, len(buffer) - 3)
        buffer += data
        out: list[bytes] = []
        position = 0
        for match in _END.finditer(buffer, searched):
            self._event(bytes(buffer[position : match.end()]), out)
            position = match.end()
        del buffer[:position]
        if len(buffer) > MAX_EVENT_BYTES:
            raise broken(usage_pb2.REASON_PROTOCOL_ERROR, f"an event is larger than {MAX_EVENT_BYTES} bytes")
        return self._released(out)

    def end(self) -> bytes:
        """The stream is over: what is still to be forwarded of it."""
        out: list[bytes] = []
        if self._carry.strip():
            # No blank line at the end: some servers stop after `data: [DONE]\n`.
            self._event(bytes(self._carry), out)
        self._carry.clear()
        self._at_end(out)
        return self._released(out)

    def _event(self, event: bytes, out: list[bytes]) -> None:
        raise NotImplementedError

    def _at_end(self, out: list[bytes]) -> None: ...

    def _released(self, out: list[bytes]) -> bytes:
        if self.started:
            if self._held:
                out = self._held + out
                self._held = []
            return b"".join(out)
        self._held += out
        self._held_bytes += sum(map(len, out))
        if self._held_bytes > MAX_PRELUDE_BYTES:
            raise broken(usage_pb2.REASON_PROTOCOL_ERROR, "the stream never began")
        return b""

    def _emit(self, event: bytes, out: list[bytes]) -> None:
        if self.hold_end and self.finished:
            self.tail.append(event)
        else:
            out.append(event)

    def _fail(self, error: AttemptFailed, *, had_started: bool) -> None:
        """An error event came: raised while another target can still answer, else remembered."""
        self.error = error
        if not had_started:
            self.started = False
            raise error


def data_of(event: bytes) -> bytes | None:
    """The data of an event, its lines joined; None if it has none."""
    if b"\r" not in event:
        if event.startswith(b"data:") and event.count(b"\n") <= 2:
            return event[5:].strip()
        if event.startswith(b"event:") and event.count(b"\n") <= 3:  # a name, then one line of data
            start = event.find(b"\ndata:")
            return event[start + 6 :].strip() if start >= 0 else None
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines).strip() if lines else None


def document_of(payload: bytes) -> dict[str, Any]:
    """Raises AttemptFailed where an event is not a JSON object."""
    try:
        document = orjson.loads(payload)
    except (orjson.JSONDecodeError, RecursionError):
        raise broken(usage_pb2.REASON_PROTOCOL_ERROR, "an event of the stream is not JSON") from None
    if not isinstance(document, dict):
        raise broken(usage_pb2.REASON_PROTOCOL_ERROR, "an event of the stream is not an object")
    return document


def event_of(document: dict[str, Any]) -> bytes:
    """`data: …` alone, as OpenAI's chat streams are written."""
    return b"data: " + orjson.dumps(document) + b"\n\n"


def named_event_of(document: dict[str, Any]) -> bytes:
    """With its type as the event's name, as Anthropic's and the Responses API's streams are written."""
    return b"event: %b\ndata: %b\n\n" % (document["type"].encode(), orjson.dumps(document))
