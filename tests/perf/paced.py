"""Open-loop load at a fixed rate, for latency: a request leaves when it is due, though others are still out.

Latency counts from the moment a request was due, so a stall is charged to every request it delayed.
Arrivals are a Poisson process from a fixed seed: every system sees the same ones. One thread over select(2)
with microsecond timeouts, because uvloop's and asyncio's timers are whole milliseconds.
"""

import contextlib
import gc
import itertools
import random
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, ready to be written, and what the last bytes of a good answer's body are ("" anything)."""

    request: bytes
    end: bytes = b""


@dataclass(frozen=True, slots=True)
class Paced:
    """What a paced load saw: latencies in µs by kind of request, ascending, and how many went wrong."""

    latencies_us: Sequence[Sequence[float]]
    errors: int

    @property
    def requests(self) -> int:
        return sum(map(len, self.latencies_us))


class _Connection:
    """One keep-alive connection with at most one request on it."""

    def __init__(self, target: Target) -> None:
        self.socket = socket.create_connection((target.host, target.port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due = 0.0
        self.kind = 0
        self.complete = False
        self._end = b""
        self._tail = b""
        self._parser = httptools.HttpResponseParser(self)

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, ask: Ask, kind: int, due: float) -> None:
        self.due, self.kind = due, kind
        self.complete = False
        self._end, self._tail = ask.end, b""
        if self.socket.send(ask.request) != len(ask.request):
            raise ConnectionError("the request did not fit into an empty socket buffer")

    def receive(self) -> bool:
        """Read what is there; True when the response is complete."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a keep-alive connection")
        self._parser.feed_data(data)
        return self.complete

    def is_good(self) -> bool:
        return self._parser.get_status_code() == 200 and self._tail.endswith(self._end)

    def on_body(self, body: bytes) -> None:
        if self._end:
            self._tail = (self._tail + body)[-len(self._end) :]

    def on_message_complete(self) -> None:
        self.complete = True


def measure_latency(target: Target, requests_per_second: float, seconds: float, seed: int) -> Latencies:
    """Send at `requests_per_second` for `seconds`; percentiles are nearest-rank, in microseconds."""
    found = run([Ask(target.request(wire.INSTANT_MODEL))], target, requests_per_second, seconds, seed)
    return Latencies(
        p50_us=percentile_us(found.latencies_us[0], 0.5),
        p99_us=percentile_us(found.latencies_us[0], 0.99),
        requests=found.requests,
        errors=found.errors,
    )


def percentile_us(ascending: Sequence[float], share: float) -> float:
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))]


def run(asks: Sequence[Ask], target: Target, requests_per_second: float, seconds: float, seed: int) -> Paced:
    """The asks in turn, at `requests_per_second` altogether. ConnectionError if nothing came back."""
    dice = random.Random(seed)
    with _precise_timers(), contextlib.ExitStack() as closing:
        idle = deque(_Connection(target) for _ in range(CONNECTIONS))
        for connection in idle:
            closing.callback(connection.socket.close)
        return _run(idle, itertools.cycle(enumerate(asks)), requests_per_second, seconds, dice)


def _run(
    idle: deque[_Connection],
    asks: Iterator[tuple[int, Ask]],
    requests_per_second: float,
    seconds: float,
    dice: random.Random,
) -> Paced:
    clock = time.perf_counter
    begin = clock() + 0.01
    end = begin + seconds
    due = begin + dice.expovariate(requests_per_second)
    waiting: deque[float] = deque()
    busy: set[_Connection] = set()
    latencies_us: dict[int, list[float]] = {}
    errors = 0
    while due < end or ((busy or waiting) and clock() < end + _DRAIN_SECONDS):
        now = clock()
        while due <= now and due < end:
            waiting.append(due)
            due += dice.expovariate(requests_per_second)
        while waiting and idle:
            # The connection that was used last: the others stay quiet, as in a real pool.
            connection = idle.pop()
            kind, ask = next(asks)
            connection.send(ask, kind, waiting.popleft())
            busy.add(connection)
        timeout = max(0.0, due - clock()) if due < end else _DRAIN_SECONDS
        readable, _, _ = select.select(list(busy), (), (), timeout)
        for connection in readable:
            if connection.receive():
                latencies_us.setdefault(connection.kind, []).append((clock() - connection.due) * 1e6)
                errors += not connection.is_good()
                busy.discard(connection)
                idle.append(connection)
    if not latencies_us:
        raise ConnectionError("no request came back")
    return Paced(
        [sorted(latencies_us[kind]) for kind in sorted(latencies_us)], errors + len(busy) + len(waiting)
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
