"""Streams whose client left before their end: the provider is listened to for a moment more.

What it made until then is paid for, and its own count comes with the last event: a stream that was about to
end is recorded to the token, any other one is stopped after that moment and estimated as before. The
client's slot is free at once; so many streams are listened to at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from headgate.v1 import usage_pb2
from proxy.upstream.failure import AttemptFailed

if TYPE_CHECKING:
    from proxy.attempts import Attempt
    from proxy.call import Call

# Each holds a connection to a provider.
MAX_STREAMS = 1_000


class _Nobody:
    def send(self, data: bytes) -> bool:
        return True


class ReadOn:
    """`abandon`: stops a call's providers and records what they cost; `ended`: of its last attempt."""

    def __init__(
        self, seconds: float, abandon: Callable[[Call], None], ended: Callable[[Attempt], None]
    ) -> None:
        self._seconds = seconds
        self._abandon = abandon
        self._ended = ended
        self._timers: dict[Call, asyncio.TimerHandle] = {}

    def left(self, call: Call) -> None:
        """Its client left, or we failed."""
        if not self._listens(call):
            self._end(call)

    def end_all(self) -> None:
        """Records all that are still listened to."""
        for call in [*self._timers]:
            self._stop(call)

    def _listens(self, call: Call) -> bool:
        """Whether it is listened to from now on."""
        attempt = call.attempts[-1] if call.attempts else None
        if attempt is None or attempt.settled or not self._seconds or len(self._timers) >= MAX_STREAMS:
            return False
        exchange, stream = attempt.exchange, attempt.exchange.stream
        if stream is None or not exchange.streaming or exchange.ended or exchange.paused:
            return False  # nothing to come, or held back because its client was slow
        # Anthropic and Gemini tell a usage from the first event on: it is complete with the finish.
        if (stream.finished and stream.usage is not None) or stream.error is not None:
            return False  # it was counted already, or never will be
        loop = asyncio.get_running_loop()
        exchange.on_done = None  # it is not the client's any more
        exchange.sink = _Nobody()
        exchange.finished = loop.create_future()
        exchange.finished.add_done_callback(lambda _: loop.call_soon(self._stop, call))
        self._timers[call] = loop.call_later(self._seconds, self._stop, call)
        return True

    def _stop(self, call: Call) -> None:
        timer = self._timers.pop(call, None)
        if timer is None:
            return
        timer.cancel()
        attempt = call.attempts[-1]
        attempt.exchange.finished = None  # its callback holds the call, which holds the exchange
        attempt.failure = AttemptFailed(usage_pb2.REASON_CLIENT_LEFT, outcome=usage_pb2.OUTCOME_CANCELLED)
        self._end(call)

    def _end(self, call: Call) -> None:
        self._abandon(call)
        for attempt in call.attempts[-1:]:
            self._ended(attempt)
