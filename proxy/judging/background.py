"""The queue of what is done about a call after its client has its answer: bounded, and dropped when full.

A few run at a time. What does not fit is counted and forgotten: experiments can do without some of the
scores, and calls cannot do without their memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.dialects.varied import CONVERSATIONS
from proxy.logs import Log
from proxy.metrics import Metrics

if TYPE_CHECKING:
    from proxy.call import Call
    from proxy.judging.judging import Judging

MAX_WAITING = 500
MAX_WAITING_BYTES = 32 * 2**20
# Errands under way at once; most of the time they wait for models.
RUNNERS = 24
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


class Background:
    def __init__(self, judging: Judging, metrics: Metrics, log: Log) -> None:
        self._judging = judging
        self._metrics = metrics
        self._log = log
        self._waiting: deque[Job] = deque()
        self._bytes = 0
        self._under_way = 0
        self._wanted = asyncio.Event()
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
        if not facts.judged and not facts.experiment.shadows:
            return
        if self._closing or len(self._waiting) >= MAX_WAITING or self._bytes + job.size > MAX_WAITING_BYTES:
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
            while not self._waiting:
                self._wanted.clear()
                await self._wanted.wait()
            job = self._waiting.popleft()
            self._bytes -= job.size
            self._under_way += 1
            try:
                async with asyncio.timeout(MAX_JOB_SECONDS):
                    await self._judging.judge(job)
            except TimeoutError:
                self._metrics.in_background("job", "timeout")
            except Exception as error:
                self._metrics.in_background("job", "error")
                self._log.event("background_error", error=type(error).__name__)
            finally:
                self._under_way -= 1

    async def drain(self, seconds: float) -> None:
        """Takes nothing more; lets what runs come to its end."""
        self._closing = True
        for _ in range(len(self._waiting)):
            self._metrics.in_background("job", "dropped")
        self._waiting.clear()
        end = asyncio.get_running_loop().time() + seconds
        while self._under_way and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.05)
