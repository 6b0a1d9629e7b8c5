"""The client: one call with its moments, and a steady load of calls that does not wait for answers.

Moments are CLOCK_MONOTONIC seconds, comparable with the ledger of the fake provider on the same machine. A
call is good only if its answer came to its proper end without an error; everything else is a `problem`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

CALL_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One call as its client saw it."""

    number: int
    begun_at: float
    # When the first content came; of a whole answer, all of it.
    first_at: float
    ended_at: float
    # The one that answered, and how many upstream calls it took.
    model: str
    attempts: int
    problem: str = ""

    @property
    def seconds(self) -> float:
        return self.ended_at - self.begun_at


class Client:
    """`ask` makes one call. Connections are kept, as an SDK keeps them."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._url = f"{base_url}/chat/completions"

    async def ask(self, route: str, number: int, *, stream: bool) -> Seen:
        question = [{"role": "user", "content": f"call {number}"}]
        body = json.dumps({"model": route, "messages": question, "stream": stream})
        begun_at = time.monotonic()
        first_at = 0.0
        model, attempts, problem, received = "", 0, "", b""
        try:
            async with self._session.post(self._url, data=body) as answer:
                model = answer.headers.get("x-headgate-model", "").partition("/")[0]
                attempts = int(answer.headers.get("x-headgate-attempts", "0"))
                async for part in answer.content.iter_any():
                    received += part
                    if stream and not first_at and b'"content":"' in received:
                        first_at = time.monotonic()
                problem = _problem(answer.status, stream, received)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            problem = type(error).__name__
        ended_at = time.monotonic()
        return Seen(number, begun_at, first_at or ended_at, ended_at, model, attempts, problem)


def _problem(status: int, stream: bool, body: bytes) -> str:
    if status != 200:
        return f"status {status}"
    if not stream:
        return "" if b'"choices"' in body else "no answer"
    if b'"error":' in body:
        return "error event"
    return "" if body.rstrip().endswith(b"data: [DONE]") else "cut"


@asynccontextmanager
async def client(base_url: str, api_key: str) -> AsyncIterator[Client]:
    timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_SECONDS)
    headers = {"authorization": f"Bearer {api_key}", "content-type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
        yield Client(session, base_url)


class Load:
    """`async with Load(client, route, rate):` – calls at that rate until the block ends; `seen` grows.

    `streams` is the share of streams, evenly mixed in. Leaving the block waits for the calls under way.
    """

    def __init__(self, client: Client, route: str, calls_per_second: float, *, streams: float = 0.5) -> None:
        self.seen: list[Seen] = []
        self.begun = 0
        self._client = client
        self._route = route
        self._interval = 1 / calls_per_second
        self._streams = streams
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Load:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._stopping = True
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as calls:
            next_at = time.monotonic()
            while not self._stopping:
                number, self.begun = self.begun, self.begun + 1
                calls.create_task(self._one(number))
                # A late timer does not become a burst.
                next_at = max(next_at + self._interval, time.monotonic() - 0.05)
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    async def _one(self, number: int) -> None:
        stream = int((number + 1) * self._streams) > int(number * self._streams)
        self.seen.append(await self._client.ask(self._route, number, stream=stream))

    def since(self, moment: float) -> list[Seen]:
        """The calls that began then or later and are over, in the order in which they began."""
        return sorted((call for call in self.seen if call.begun_at >= moment), key=lambda call: call.begun_at)
