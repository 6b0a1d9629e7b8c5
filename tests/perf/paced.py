"""Open-loop load at a fixed rate, for latency: a request leaves when it is due, though others are still out.

Latency counts from the moment a request was due, so a stall is charged to every request it delayed.
Arrivals are a Poisson process from a fixed seed: every system sees the same ones. One thread over select(2)
with microsecond timeouts, because uvloop's and asyncio's timers are whole milliseconds.
"""

import contextlib
import gc
import random
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httptools

from tests.perf import wire
from tests.perf.systems import Target

CONNECTIONS = 16
_TIMER_SLACK_NANOSECONDS = 1_000  # the kernel's default of 50 µs would be half of what is measured
_DRAIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Latencies:
    p50_us: float
    p99_us: float
    requests: int
    errors: int


class _Connection:
    """One keep-alive connection with at most one request on it."""

    def __init__(self, target: Target) -> None:
        self.socket = socket.create_connection((target.host, target.port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due = 0.0
        self.complete = False
        self._parser = httptools.HttpResponseParser(self)

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self.complete = False
        if self.socket.send(request) != len(request):
            raise ConnectionError("the request did not fit into an empty socket buffer")

    def receive(self) -> bool:
        """Read what is there; True when the response is complete."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a keep-alive connection")
        self._parser.feed_data(data)
        return self.complete

    def status(self) -> int:
        return self._parser.get_status_code()

    def on_message_complete(self) -> None:
        self.complete = True


def measure_latency(target: Target, requests_per_second: float, seconds: float, seed: int) -> Latencies:
    """Send at `requests_per_second` for `seconds`; percentiles are nearest-rank, in microseconds."""
    request = target.request(wire.INSTANT_MODEL)
    dice = random.Random(seed)
    with _precise_timers(), contextlib.ExitStack() as closing:
        idle = deque(_Connection(target) for _ in range(CONNECTIONS))
        for connection in idle:
            closing.callback(connection.socket.close)
        return _run(idle, request, requests_per_second, seconds, dice)


def _run(
    idle: deque[_Connection], request: bytes, requests_per_second: float, seconds: float, dice: random.Random
) -> Latencies:
    clock = time.perf_counter
    begin = clock() + 0.01
    end = begin + seconds
    due = begin + dice.expovariate(requests_per_second)
    waiting: deque[float] = deque()
    busy: set[_Connection] = set()
    latencies_us: list[float] = []
    errors = 0
    while due < end or ((busy or waiting) and clock() < end + _DRAIN_SECONDS):
        now = clock()
        while due <= now and due < end:
            waiting.append(due)
            due += dice.expovariate(requests_per_second)
        while waiting and idle:
            # The connection that was used last: the others stay quiet, as in a real pool.
            connection = idle.pop()
            connection.send(request, waiting.popleft())
            busy.add(connection)
        timeout = max(0.0, due - clock()) if due < end else _DRAIN_SECONDS
        readable, _, _ = select.select(list(busy), (), (), timeout)
        for connection in readable:
            if connection.receive():
                latencies_us.append((clock() - connection.due) * 1e6)
                errors += connection.status() != 200
                busy.discard(connection)
                idle.append(connection)
    latencies_us.sort()
    if not latencies_us:
        raise ConnectionError("no request came back")
    return Latencies(
        p50_us=latencies_us[len(latencies_us) // 2],
        p99_us=latencies_us[min(len(latencies_us) - 1, int(len(latencies_us) * 0.99))],
        requests=len(latencies_us),
        errors=errors + len(busy) + len(waiting),
    )


@contextlib.contextmanager
def _precise_timers() -> Iterator[None]:
    slack = Path("/proc/self/timerslack_ns")
    with contextlib.suppress(OSError):
        slack.write_text(str(_TIMER_SLACK_NANOSECONDS))
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        with contextlib.suppress(OSError):
            slack.write_text("0")  # 0 is the process's default again
