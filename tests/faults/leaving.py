"""Clients of streams that leave before the end, each at a point of its own, by a close or by a reset."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from tests.support.loop_thread import LoopThread
from tests.support.sockets import reset

CALL_SECONDS = 60.0
CONTENT = b'"content":'


@dataclass(frozen=True, slots=True)
class Leaver:
    """Leaves once it has read so many events; `None`: so many seconds after it asked, whatever came."""

    number: int
    events: int | None
    seconds: float = 0.0
    by_reset: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """What it had seen. The time is CLOCK_MONOTONIC seconds."""

    who: Leaver
    at: float
    request_id: UUID | None
    contents: int
    whole: bool


def all_leave(base_url: str, api_key: str, model: str, leavers: Sequence[Leaver]) -> list[Left]:
    """All of them at once; returns when the last has left."""
    loop = LoopThread("leaving")
    loop.start()
    try:
        return loop.run(_all(base_url, api_key, model, leavers), 2 * CALL_SECONDS)
    finally:
        loop.stop()


async def _all(base_url: str, api_key: str, model: str, leavers: Sequence[Leaver]) -> list[Left]:
    return await asyncio.gather(*(_one(base_url, api_key, model, leaver) for leaver in leavers))


async def _one(base_url: str, api_key: str, model: str, leaver: Leaver) -> Left:
    url = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    messages = [{"role": "user", "content": f"client {leaver.number}"}]
    body = json.dumps({"model": model, "messages": messages, "stream": True}).encode()
    head = f"POST {url.path}/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {api_key}\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    heard = bytearray()
    try:
        seconds = CALL_SECONDS if leaver.events is not None else leaver.seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not _has_enough(heard, leaver) and (data := await reader.read(65536)):
                    heard += data
    finally:
        at = time.monotonic()
        if leaver.by_reset:
            reset(writer)
        else:
            writer.close()
    return Left(leaver, at, _request_id(heard), heard.count(CONTENT), b"[DONE]" in heard)


def _has_enough(heard: bytearray, leaver: Leaver) -> bool:
    return b"\r\n\r\n" in heard and leaver.events is not None and heard.count(b"data: ") >= leaver.events


def _request_id(heard: bytearray) -> UUID | None:
    for line in heard.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        name, _, value = line.partition(b": ")
        if name == b"x-request-id":
            return UUID(value.decode())
    return None
