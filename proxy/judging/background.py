"""The queue of what is done about a call after its client has its answer: bounded, and dropped when full.

A few run at a time, and none begins while the process is busy. What does not fit is counted and forgotten:
experiments can do without some of the scores, and calls can do neither without their memory nor without
their time.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.dialects.varied import CONVERSATIONS
from proxy.logs import Log
from proxy.metrics import Metrics

if TYPE_CHECKING:
    from proxy.call import Call
    from proxy.judging.judging import Judging

MAX_WAITING = 500
# Requests and answers that are kept, those under way included; in memory they are three times as large.
MAX_KEPT_BYTES = 32 * 2**20
# Errands under way at once; most of the time they wait for models.
RUNNERS = 24
# Python computes on one core. From this share of it on, what is left is for calls: where a fifth of all
# calls are judged, a proxy without this answers a third fewer of them when it is loaded to its limit.
BUSY_SHARE = 0.7
LOOK_SECONDS = 0.1
# A bound on all that is done about one call.
MAX_JOB_SECONDS = 300.0


@dataclass(slots=True)
class Job:
    call: Call
    # As its client got it; None: it was not answered, through no fault of the client's.
    body: bytes | None
    streamed: bool = False

    @property
    def size(self) -> int:
        return len(self.call.asked.body) + len(self.body or b"")


class SpareTime:
    """Whether the process has had time to spare lately. `clock`, `cpu`: seconds."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._cpu = cpu
        self._looked_at = clock()
        self._used = cpu()
        self._is_there = True

    def is_there(self) -> bool:
        """Of the time since the last look, which is LOOK_SECONDS ago or longer."""
        now = self._clock()
        passed = now - self._looked_at
        if passed >= LOOK_SECONDS:
            used = self._cpu()
            self._is_there = used - self._used < BUSY_SHARE * passed
            self._looked_at, self._used = now, used
        return self._is_there


class Background:
    def __init__(self, judging: Callable[[], Judging], metrics: Metrics, log: Log) -> None:
        """`judging` is called for the first job: what it needs is 2 MB that most proxies never use."""
        self._make_judging = judging
        self._judging: Judging | None = None
        self._metrics = metrics
        self._log = log
        self._waiting: deque[Job] = deque()
        self._bytes = 0
        self._under_way = 0
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()
        self._spare = SpareTime()
        self._closing = False

    def answered(self, call: Call, body: bytes | None, *, streamed: bool) -> None:
        """A call of an experiment has its answer; `body` None: it was too long to be kept."""
        if body is not None:
            self._offer(Job(call, body, streamed))

    def not_answered(self, call: Call) -> None:
        """A call of an experiment failed, through no fault of its client's."""
        self._offer(Job(call, None))

    def _offer(self, job: Job) -> None:
        facts = job.call.facts
        if facts is None or facts.experiment is None or job.call.asked.operation not in CONVERSATIONS:
            return
        if not facts.judged and not facts.experiment.copied_to(facts):
            return
        if self._closing or len(self._waiting) >= MAX_WAITING or self._bytes + job.size > MAX_KEPT_BYTES:
            self._metrics.in_background("job", "dropped")
            return
        self._bytes += job.size
        self._waiting.append(job)
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(RUNNERS):
                tasks.create_task(self._run_forever())

    async def _run_forever(self) -> None:
        while True:
            job = await self._next()
            self._under_way += 1
            try:
                async with asyncio.timeout(MAX_JOB_SECONDS):
                    self._judging = self._judging or self._make_judging()
                    await self._judging.judge(job)
            except TimeoutError:
                self._metrics.in_background("job", "timeout")
            except Exception as error:
                self._metrics.in_background("job", "error")
                self._log.event("background_error", error=type(error).__name__)
            finally:
                self._under_way -= 1
                self._bytes -= job.size

    async def _next(self) -> Job:
        """The job that waits longest, once there is one and time for it."""
        async with self._turn:  # one runner looks whether there is time, the others wait for it
            while not self._waiting or not self._spare.is_there():
                if self._waiting:
                    await asyncio.sleep(LOOK_SECONDS)
                else:
                    self._wanted.clear()
                    await self._wanted.wait()
            return self._waiting.popleft()

    async def drain(self, seconds: float) -> None:
        """Takes nothing more; lets what runs come to its end."""
        self._closing = True
        while self._waiting:
            self._bytes -= self._waiting.popleft().size
            self._metrics.in_background("job", "dropped")
        end = asyncio.get_running_loop().time() + seconds
        while self._under_way and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.05)
