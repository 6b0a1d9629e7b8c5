"""What waits to be written has a bound in bytes, whatever the number of its senders."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from control_plane.usage import ingest
from control_plane.usage.ingest import Ingest
from control_plane.usage.model import Batch, Outcome
from headgate.rules.credentials import Secret


def test_a_batch_waits_until_there_is_room_for_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MAX_WAITING_BYTES", 100)

    async def check() -> None:
        waiting = Ingest(Secret(""), 30, lambda: datetime.now(UTC))
        first = await waiting.submit(Batch("p", [b"x" * 60]))
        second = asyncio.create_task(waiting.submit(Batch("p", [b"x" * 30], [b"x" * 20])))
        third = asyncio.create_task(waiting.submit(Batch("p", [b"x" * 30])))
        await asyncio.sleep(0.01)
        assert (second.done(), third.done()) == (False, True)
        first.set_result(Outcome())
        await asyncio.wait_for(second, 5)
        assert waiting.waiting_batches == 3

    asyncio.run(check())


def test_one_that_is_larger_than_all_the_room_is_let_in_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MAX_WAITING_BYTES", 10)

    async def check() -> None:
        waiting = Ingest(Secret(""), 30, lambda: datetime.now(UTC))
        await asyncio.wait_for(waiting.submit(Batch("p", [b"x" * 60])), 5)

    asyncio.run(check())


def test_a_batch_whose_stream_ends_while_it_waits_for_a_place_gives_its_bytes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest, "MAX_WAITING_BYTES", 100)
    monkeypatch.setattr(ingest, "MAX_WAITING_BATCHES", 1)

    async def check() -> None:
        waiting = Ingest(Secret(""), 30, lambda: datetime.now(UTC))
        first = await waiting.submit(Batch("p", [b"x" * 10]))
        for _ in range(3):
            gone = asyncio.create_task(waiting.submit(Batch("p", [b"x" * 80])))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.wait([gone])
            assert gone.cancelled()
        assert (await waiting._take())[0].done is first
        await asyncio.wait_for(waiting.submit(Batch("p", [b"x" * 80])), 5)
        assert waiting.waiting_batches == 1

    asyncio.run(check())
