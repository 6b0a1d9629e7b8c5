"""One ticker for the deadlines of all exchanges: none is lost, and none is kept for ever."""

from __future__ import annotations

import asyncio
import time

from headgate.v1 import usage_pb2
from proxy.dialects.chat.watch import ChatWatch
from proxy.upstream.deadlines import TICK_SECONDS, Deadlines
from proxy.upstream.exchange import Exchange


class Link:
    """Carries nothing."""

    def __init__(self) -> None:
        self.aborted = False

    def pause(self) -> None: ...
    def resume(self) -> None: ...

    def abort(self) -> None:
        self.aborted = True


def exchange(first_token_seconds: float) -> Exchange:
    return Exchange(
        asyncio.get_running_loop(),
        ChatWatch(hide_usage=False),
        total_deadline=time.monotonic() + 60,
        first_token_seconds=first_token_seconds,
        idle_seconds=60,
    )


async def silent(connects_in_seconds: float) -> tuple[Exchange, Link, Deadlines]:
    """A provider that takes its time to connect, and then says nothing."""
    deadlines, waiting, link = Deadlines(), exchange(3 * TICK_SECONDS), Link()
    ticking = asyncio.create_task(deadlines.run())
    try:
        deadlines.add(waiting)
        await asyncio.sleep(connects_in_seconds)
        assert not waiting.ready.done()
        waiting.link = link
        async with asyncio.timeout(10):
            await waiting.ready
        await asyncio.sleep(2 * TICK_SECONDS)
    finally:
        ticking.cancel()
    return waiting, link, deadlines


def test_a_deadline_holds_also_where_connecting_took_longer_than_a_tick() -> None:
    for connects_in_seconds in (0.0, 2 * TICK_SECONDS):
        waiting, link, deadlines = asyncio.run(silent(connects_in_seconds))
        assert waiting.failure is not None
        assert waiting.failure.reason == usage_pb2.REASON_FIRST_TOKEN_TIMEOUT
        assert link.aborted
        assert len(deadlines) == 0, "what is over is not watched"
