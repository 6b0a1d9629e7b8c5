"""Reads an OpenAI-dialect event stream as it passes, one network chunk at a time.

A chunk of whole events in which nothing must be read goes through untouched: five byte searches, no
parsing. Chunks are forwarded up to the last complete event, so no client ever sees half an event that
is then withdrawn. Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from headgate.v1 import usage_pb2
from proxy.dialects.openai_errors import failure_in_answer
from proxy.settings import MAX_EVENT_BYTES, MAX_PRELUDE_BYTES
from proxy.upstream.failure import AttemptFailed, broken

# The end of an event: a blank line, in either line ending.
_END = re.compile(rb"\r?\n\r?\n")
_DONE = b"[DONE]"


class OpenAIStream:
    """`feed` takes network chunks and gives back what the client is to get now.

    Until `started` (the first real event: content, tool or reasoning delta, or a finish) it gives back
    nothing, so that the attempt can still fail over. `hide_usage`: the client did not ask for the usage
    chunk that we asked the provider for. `hold_end`: keep everything from the finish on until `end`.
    """

    __slots__ = (
        "_carry",
        "_held",
        "_held_bytes",
        "done",
        "error",
        "events",
        "finished",
        "hide_usage",
        "hold_end",
        "service_tier",
        "started",
        "tail",
        "usage",
    )

    def __init__(self, *, hide_usage: bool, hold_end: bool = False) -> None:
        self.hide_usage = hide_usage
        self.hold_end = hold_end
        self.started = False
        # A finish event came: the answer is complete, whatever follows.
        self.finished = False
        # `[DONE]` came.
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

    def feed(self, data: bytes) -> bytes:
        """Raises AttemptFailed when the stream cannot be read or is an error before it started."""
        if (
            self.started
            and not self._carry
            and (data.endswith((b"\n\n", b"\n\r\n")))
            and b'"usage":{' not in data
            and b'"finish_reason":"' not in data
            and b'"error"' not in data
            and b"[DONE]" not in data
            and b'": ' not in data  # written with spaces: take the slow way
            and not self.tail
        ):
            self.events += data.count(b"\ndata:") + 1  # a busy network joins several events in one chunk
            return data
        return self._feed_slowly(data)

    def _feed_slowly(self, data: bytes) -> bytes:
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
        return self._released(out)

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

    def _event(self, event: bytes, out: list[bytes]) -> None:
        payload = _data_of(event)
        if payload is None:
            self._emit(event, out)  # a comment (heartbeat), or an event without data
            return
        if payload == _DONE:
            self.done = True
            self._emit(event, out)
            return
        try:
            document = orjson.loads(payload)
        except (orjson.JSONDecodeError, RecursionError):
            raise broken(usage_pb2.REASON_PROTOCOL_ERROR, "an event of the stream is not JSON") from None
        if not isinstance(document, dict):
            raise broken(usage_pb2.REASON_PROTOCOL_ERROR, "an event of the stream is not an object")
        failed_before = self.error is not None
        if self._read(document):
            self._emit(event, out)
        if self.error is not None and not failed_before and not document.get("error"):
            # OpenRouter puts it into a choice, where no SDK looks: the stream would end as if all were well.
            self._emit(error_event(self.error.error), out)

    def _emit(self, event: bytes, out: list[bytes]) -> None:
        if self.hold_end and self.finished:
            self.tail.append(event)
        else:
            out.append(event)

    def _read(self, document: dict[str, Any]) -> bool:
        """Takes what matters from one event; False if the client must not see it."""
        had_started = self.started
        choices = document.get("choices")
        error = document.get("error")
        usage = document.get("usage")
        if not usage and isinstance(document.get("x_groq"), dict):
            usage = document["x_groq"].get("usage")
        if isinstance(usage, dict):
            self.usage = usage
        tier = document.get("service_tier")
        if isinstance(tier, str):
            self.service_tier = tier
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            error = error or choice.get("error")
            if choice.get("finish_reason"):
                self.finished = self.started = True
            delta = choice.get("delta")
            if choice.get("text") or (
                isinstance(delta, dict) and any(value for name, value in delta.items() if name != "role")
            ):
                self.started = True
                self.events += 1
        if error:
            self.error = failure_in_answer(error)
            if not had_started:
                self.started = False
                raise self.error
        return not (self.hide_usage and not choices and isinstance(usage, dict) and not error)


def _data_of(event: bytes) -> bytes | None:
    """The data of an event, its lines joined; None if it has none."""
    if event.startswith(b"data:") and event.count(b"\n") <= 2 and b"\r" not in event:
        return event[5:].strip()
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines).strip() if lines else None


def error_event(error: dict[str, object]) -> bytes:
    """An error inside a stream that has begun: the SDKs raise on a truthy `error`."""
    return b"data: " + orjson.dumps({"error": error}) + b"\n\n"
