"""A flood of wrong tokens: a known one does not queue behind them, and only so many of them wait."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from typing import Any

import grpc
import pytest
from sqlmodel import Session

from control_plane.tokens import store
from control_plane.tokens.authenticator import BELIEVED_SECONDS, MAX_WAITING
from headgate.rules.credentials import Secret
from tests.integration.control_plane.replica import Replica

GUESSES = MAX_WAITING + 100
LOOK_UP_SECONDS = 0.05


async def guess(channel: grpc.aio.Channel) -> str:
    call: Any = channel.unary_unary("/headgate.v1.AdminService/GetStatus")
    try:
        await call(b"", metadata=(("authorization", f"Bearer hgt-{os.urandom(8).hex()}"),), timeout=30)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def test_guesses_stand_in_nobodys_way(database: Secret, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = store.find_principal

    def slow(session: Session, sha256: bytes, now: Any) -> Any:
        time.sleep(LOOK_UP_SECONDS)
        return look_up(session, sha256, now)

    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.call("GetStatus")
        await asyncio.sleep(BELIEVED_SECONDS + 0.1)  # it has to be looked up again
        monkeypatch.setattr(store, "find_principal", slow)
        options = [("grpc.use_local_subchannel_pool", 1)]
        # The server takes 64 calls of one connection.
        channels = [grpc.aio.insecure_channel(replica.address, options) for _ in range(GUESSES // 50 + 1)]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        flood = [asyncio.create_task(guess(channels[n % len(channels)])) for n in range(GUESSES)]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await owner.call("GetStatus")
        waited = time.monotonic() - began
        assert sum(not one.done() for one in flood) > MAX_WAITING / 2, "most of them still wait"
        codes = Counter(await asyncio.gather(*flood))
        assert codes["RESOURCE_EXHAUSTED"] >= GUESSES - MAX_WAITING - 30
        assert set(codes) == {"RESOURCE_EXHAUSTED", "UNAUTHENTICATED"}
        await asyncio.gather(*(channel.close() for channel in channels))
        assert waited < MAX_WAITING * LOOK_UP_SECONDS / 4 / 2
