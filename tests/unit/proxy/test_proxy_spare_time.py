"""The background takes what the calls leave: time, and memory."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from proxy.judging.background import MAX_KEPT_BYTES, Background, SpareTime


class Clocks:
    def __init__(self) -> None:
        self.now = 0.0
        self.used = 0.0

    def pass_(self, seconds: float, share: float) -> None:
        self.now += seconds
        self.used += seconds * share


def test_there_is_time_as_long_as_the_process_is_not_busy() -> None:
    clocks = Clocks()
    spare = SpareTime(lambda: clocks.now, lambda: clocks.used)
    clocks.pass_(0.2, 0.5)
    assert spare.is_there()
    clocks.pass_(0.2, 0.9)
    assert not spare.is_there()
    clocks.pass_(0.2, 0.5)
    assert spare.is_there()


def test_a_moment_decides_nothing() -> None:
    clocks = Clocks()
    spare = SpareTime(lambda: clocks.now, lambda: clocks.used)
    clocks.pass_(0.05, 1.0)
    assert spare.is_there()


def call(body: bytes) -> Any:
    asked = SimpleNamespace(body=body, operation="chat.completions")
    facts = SimpleNamespace(experiment=SimpleNamespace(shadows=()), judged=True)
    return SimpleNamespace(asked=asked, facts=facts)


def test_what_is_under_way_still_counts_as_kept() -> None:
    asyncio.run(_keep_too_much())


async def _keep_too_much() -> None:
    counted: list[tuple[str, str]] = []
    let_go = asyncio.Event()
    judged: list[Any] = []

    async def judge(job: Any) -> None:
        judged.append(job)
        await let_go.wait()

    background = Background(
        lambda: cast(Any, SimpleNamespace(judge=judge)),
        cast(Any, SimpleNamespace(in_background=lambda *names: counted.append(names))),
        cast(Any, None),
    )
    running = asyncio.create_task(background.run())
    large = call(bytes(MAX_KEPT_BYTES - 10))
    background.answered(large, b"", streamed=False)
    while not judged:
        await asyncio.sleep(0.01)
    background.answered(call(bytes(20)), b"", streamed=False)
    assert counted == [("job", "dropped")]
    let_go.set()
    await asyncio.sleep(0.01)
    background.answered(call(bytes(20)), b"", streamed=False)
    assert counted == [("job", "dropped")]
    running.cancel()
