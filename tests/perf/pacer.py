"""A clock for many slow streams in one process, finer than uvloop's timers.

libuv counts in whole milliseconds, which would send the chunks of 100 streams in bunches of ten and make
every proxy look cheaper than it is. One timerfd, armed for the next chunk that is due, wakes the loop
within some microseconds instead. Linux only, as is the accounting of the whole bench.
"""

import asyncio
import ctypes
import heapq
import math
import os
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from tests.perf.wire import StreamShape

# Python 3.11 has no timerfd of its own; these are the kernel's numbers (timerfd_create(2)).
_CLOCK_MONOTONIC: Final = 1
_TFD_TIMER_ABSTIME: Final = 1
_TFD_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC
_GOLDEN: Final = 0.6180339887498949

LATE_SECONDS: Final = (
    0.005  # half a period at 100 chunks/s: later than this, the load was not what it claims to be
)


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_ = [("interval", _Timespec), ("value", _Timespec)]


class _Entry(NamedTuple):
    """The next chunk of one stream. Ordered by `leaves`, then by the stream's number, which is unique."""

    leaves: float
    number: int
    due: float
    period_seconds: float
    tick_seconds: float
    emit: Callable[[], bool]


def _entry(
    number: int, due: float, period_seconds: float, tick_seconds: float, emit: Callable[[], bool]
) -> _Entry:
    leaves = math.ceil(due / tick_seconds) * tick_seconds if tick_seconds else due
    return _Entry(leaves, number, due, period_seconds, tick_seconds, emit)


class Pacer:
    """Calls `emit` of every stream at its rate until it answers False.

    The phases of successive streams follow the golden ratio, so that any number of streams is spread evenly.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer_fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_FLAGS)
        if self._timer_fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._streams = 0
        self._due: list[_Entry] = []
        self.late_chunks = 0
        loop.add_reader(self._timer_fd, self._tick)

    def add(self, shape: StreamShape, emit: Callable[[], bool]) -> None:
        self._streams += 1
        period_seconds = 1.0 / shape.chunks_per_second
        phase = (self._streams * _GOLDEN) % 1.0
        # Phases are counted from the clock's zero, so that streams opened at different moments stay spread.
        first = (int(time.monotonic() / period_seconds) + 1 + phase) * period_seconds
        heapq.heappush(self._due, _entry(self._streams, first, period_seconds, shape.tick_ms / 1000, emit))
        self._arm()

    def _tick(self) -> None:
        try:
            os.read(self._timer_fd, 8)
        except BlockingIOError:
            return
        # Not loop.time(): libuv caches it for the whole turn of the loop and rounds it to milliseconds.
        now = time.monotonic()
        while self._due and self._due[0].leaves <= now:
            entry = self._due[0]
            if now - entry.leaves > LATE_SECONDS:
                self.late_chunks += 1
            if entry.emit():
                _, number, due, period_seconds, tick_seconds, emit = entry
                following = _entry(number, due + period_seconds, period_seconds, tick_seconds, emit)
                heapq.heapreplace(self._due, following)
            else:
                heapq.heappop(self._due)
        self._arm()

    def _arm(self) -> None:
        if not self._due:
            return
        # A time in the past fires at once; zero would disarm the timer.
        leaves = self._due[0].leaves
        spec = _Itimerspec(_Timespec(0, 0), _Timespec(int(leaves), int((leaves % 1.0) * 1e9)))
        self._libc.timerfd_settime(self._timer_fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None)
