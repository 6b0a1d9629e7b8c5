"""Rollouts as tests begin and follow them, with a fleet of scripted proxies."""

from __future__ import annotations

import asyncio
from typing import Any

from headgate.v1 import resources_pb2, rollout_pb2
from tests.integration.control_plane.replica import Client, Replica, make
from tests.integration.control_plane.scripted_proxy import ScriptedProxy

BEFORE = [
    make("provider", name="p", type="openai", keys=["sk-fake"]),
    make("model", name="old", provider="p", price={"input": "1", "output": "1"}),
    make("model", name="new", provider="p", price={"input": "1", "output": "1"}),
    make("route", name="chat", policy="old"),
    make("key", name="app"),
]
AFTER = make("route", name="chat", policy="new")


class Fleet:
    """Two proxies in the canary pool and two that are not, which take what they are sent."""

    def __init__(self, replica: Replica, token: str) -> None:
        self.client = replica.client(token)
        self.proxies = [ScriptedProxy(replica.client(token), f"proxy-{number}") for number in range(4)]

    async def hello(self) -> None:
        for number, proxy in enumerate(self.proxies):
            await proxy.hello(labels={"pool": "canary" if number < 2 else "main"})

    async def comes_back(self, number: int) -> None:
        """With what it had."""
        before = self.proxies[number]
        after = self.proxies[number] = ScriptedProxy(self.client, before.name)
        after.version, after.entries = before.version, before.entries
        await after.hello(labels={"pool": "canary"})

    async def reach(self, revision: int) -> None:
        await asyncio.gather(*(proxy.reach(revision) for proxy in self.proxies))

    def policies(self) -> list[str]:
        return [proxy.entries["route", "default", "chat"].route.policy.model for proxy in self.proxies]


async def fleet(replica: Replica) -> tuple[Client, Fleet]:
    owner = await replica.owner()
    answer = await owner.apply(*BEFORE)
    found = Fleet(replica, await replica.proxy_token())
    await found.hello()
    await found.reach(answer.revision)
    return owner, found


async def start(
    owner: Client, *resources: resources_pb2.Resource, bake: int = 600, **group: Any
) -> rollout_pb2.StartRolloutResponse:
    request = rollout_pb2.StartRolloutRequest(
        resources=resources, **(group or {"labels": {"pool": "canary"}})
    )
    request.bake.FromSeconds(bake)
    answer: rollout_pb2.StartRolloutResponse = await owner.call("StartRollout", request)
    return answer


async def last(owner: Client) -> rollout_pb2.RolloutView:
    view: rollout_pb2.RolloutView = (await owner.call("ListRollouts")).rollouts[0]
    return view


async def ended(owner: Client, state: str) -> rollout_pb2.RolloutView:
    async with asyncio.timeout(10):
        while (view := await last(owner)).state == "canary":
            await asyncio.sleep(0.02)
    assert view.state == state, view.reason
    return view
