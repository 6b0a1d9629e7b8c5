"""A steady load of calls, every second one a stream, that remembers what each client saw.

Owns one event loop in a thread, so that a synchronous test can kill things meanwhile. A call is
`complete` only if its answer came to its proper end (`[DONE]`, or the whole body) without an error.
The ids are those of the proxy (`x-request-id`): the ledgers are compared by them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from uuid import UUID

import aiohttp

from tests.support.loop_thread import LoopThread

# Calls under way at once; beyond it the load falls behind its rate instead of drowning the machine.
MAX_UNDER_WAY = 400
CALL_TIMEOUT_SECONDS = 60.0
DEFAULT_CALLS_PER_SECOND = 100.0


@dataclass(frozen=True, slots=True)
class CallSeen:
    """One call as its client saw it. Times are CLOCK_MONOTONIC seconds."""

    number: int
    stream: bool
    begun_at: float
    ended_at: float
    # None: no head came.
    request_id: UUID | None
    status: int
    complete: bool
    # Why it is not complete: an exception's name, or `status 502`, `error event`, `cut`.
    problem: str = ""
    # Whom it called.
    base_url: str = ""


class Load:
    """`with Load(url, key, ["chat"]) as load:` … `load.stop()` gives what was seen, all calls ended.

    `base_url` may be asked anew for each call, from the load's own thread: a client that knows several.
    """

    def __init__(
        self,
        base_url: str | Callable[[], str],
        api_key: str,
        models: Sequence[str],
        calls_per_second: float = DEFAULT_CALLS_PER_SECOND,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._headers = {"authorization": f"Bearer {api_key}", **(headers or {})}
        self._base_url = base_url
        self._models = models
        self._interval = 1 / calls_per_second
        self._loop = LoopThread("load")
        self._stopping = False
        self._running: Future[None] | None = None
        self.seen: list[CallSeen] = []
        self.begun = 0
        # Calls without a head yet, by base URL.
        self.waiting: Counter[str] = Counter()

    def __enter__(self) -> Load:
        self._loop.start()
        self._running = self._loop.submit(self._run())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception):
            self.stop()
        self._loop.stop()

    def stop(self) -> list[CallSeen]:
        """No more calls; waits for those under way."""
        self._stopping = True
        if self._running is not None:
            self._running.result(CALL_TIMEOUT_SECONDS + 10)
            self._running = None
        return self.seen

    def wait_begun(self, more: int, timeout_seconds: float = 30.0) -> None:
        """Until so many further calls have begun."""
        self._wait(lambda: self.begun, more, timeout_seconds)

    def wait_complete(self, more: int, timeout_seconds: float = 30.0) -> None:
        """Until so many further calls have ended well: whatever was killed is back."""
        self._wait(lambda: sum(call.complete for call in list(self.seen)), more, timeout_seconds)

    def _wait(self, count: Callable[[], int], more: int, timeout_seconds: float) -> None:
        goal, deadline = count() + more, time.monotonic() + timeout_seconds
        while count() < goal:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{goal - count()} calls short after {timeout_seconds} s: {self.seen[-2:]}"
                )
            time.sleep(0.01)

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_SECONDS)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers) as session,
            asyncio.TaskGroup() as tasks,
        ):
            room = asyncio.Semaphore(MAX_UNDER_WAY)
            next_at = time.monotonic()
            while not self._stopping:
                await room.acquire()
                number, self.begun = self.begun, self.begun + 1
                task = tasks.create_task(self._call(session, number))
                task.add_done_callback(lambda _: room.release())
                next_at = max(next_at + self._interval, time.monotonic() - 0.05)
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    async def _call(self, session: aiohttp.ClientSession, number: int) -> None:
        stream = number % 2 == 1
        document = {
            "model": self._models[number // 2 % len(self._models)],
            "messages": [{"role": "user", "content": f"call {number}"}],
            "stream": stream,
        }
        # Before anybody is chosen: who is taken out of the choice later than this may still be called.
        begun_at = time.monotonic()
        base_url = self._base_url if isinstance(self._base_url, str) else self._base_url()
        request_id: UUID | None = None
        status = 0
        self.waiting[base_url] += 1
        try:
            async with session.post(f"{base_url}/chat/completions", json=document) as answer:
                self.waiting[base_url] -= 1
                status = answer.status
                request_id = UUID(answer.headers["x-request-id"])
                problem = _problem(status, stream, await answer.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.waiting[base_url] -= not status
            problem = type(error).__name__
        ended_at = time.monotonic()
        complete = not problem
        self.seen.append(
            CallSeen(number, stream, begun_at, ended_at, request_id, status, complete, problem, base_url)
        )


def _problem(status: int, stream: bool, body: bytes) -> str:
    if status != 200:
        return f"status {status}"
    if not stream:
        return "" if "choices" in json.loads(body) else "no answer"
    if b'"error"' in body:
        return "error event"
    return "" if body.rstrip().endswith(b"data: [DONE]") else "cut"
