"""Five programs under one fault after the other: two control planes on one database, three proxies.

`Five` knows who is up, who is down until when, and who is on its way; `Changes` changes the config meanwhile
through whichever control plane is up, each change until it is answered. Both live in the test's thread:
`tick` is called again and again and never waits.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc

from headgate.v1 import admin_pb2
from tests.faults.control_planes import OwnControlPlane
from tests.faults.system import OwnProxy
from tests.integration.control_plane.replica import make
from tests.support.load import CallSeen, Load

TICK_SECONDS = 0.02
# Down for a moment, or for so long that others go down meanwhile.
MAX_DOWN_SECONDS = 2.0
CHANGE_SECONDS = 0.25
# The key that may call the newest change's model, and no other.
MARKER = "marker"


@dataclass(frozen=True, slots=True)
class Strike:
    name: str
    how: Literal["kill", "terminate"]
    # CLOCK_MONOTONIC: nobody was sent there any more.
    at: float
    base_url: str = ""

    def excuses(self, call: CallSeen) -> bool:
        """It was under way when its proxy was killed. One that is asked to end lets calls end first."""
        return (
            self.how == "kill"
            and self.base_url == call.base_url
            and call.begun_at <= self.at <= call.ended_at
        )


@dataclass(slots=True)
class Member:
    program: OwnControlPlane | OwnProxy
    state: Literal["up", "down", "starting"] = "up"
    back_at: float = 0.0

    @property
    def name(self) -> str:
        return self.program.name

    def tick(self, now: float) -> None:
        if self.state == "down" and now >= self.back_at:
            self.program.launch()
            self.state = "starting"
        elif self.state == "starting":
            if self.program.process.exit_code is not None:
                tail = self.program.process.log_tail()
                raise RuntimeError(f"{self.name} ended by itself before it was ready:\n{tail}")
            if self.program.is_announced:
                self.state = "up"


@dataclass(slots=True)
class Changes:
    """One at a time; the same request again, to whoever is up, until there is an answer."""

    chance: random.Random
    number: int = 0
    revision: int = 0
    # Secrets of the keys that the first change minted, by name.
    minted: dict[str, str] = field(default_factory=dict)
    answered: int = 0
    repeated: int = 0
    # Whose answer is awaited.
    _waiting: Any = None
    _request: admin_pb2.ApplyResourcesRequest | None = None
    _next_at: float = 0.0

    def tick(self, now: float, up: Sequence[OwnControlPlane]) -> None:
        if self._waiting is not None:
            if self._waiting.done():
                self._hear(now)
        elif up and now >= self._next_at:
            if self._request is None:
                self.number += 1
                self._request = change(self.number)
            self._waiting = self.chance.choice(up).begin("ApplyResources", self._request)

    @property
    def is_quiet(self) -> bool:
        """Nothing that was asked for is unanswered."""
        return self._request is None

    def _hear(self, now: float) -> None:
        waiting, self._waiting = self._waiting, None
        self._next_at = now + CHANGE_SECONDS
        try:
            answer: admin_pb2.ApplyResourcesResponse = waiting.result()
        except (grpc.RpcError, grpc.FutureCancelledError):
            self.repeated += 1
            return
        assert answer.revision > self.revision, "a change took the config backwards"
        self.revision = answer.revision
        self.minted |= {one.name: one.secret for one in answer.minted}
        self.answered += 1
        self._request = None


def change(number: int) -> admin_pb2.ApplyResourcesRequest:
    name = f"v{number}"
    return admin_pb2.ApplyResourcesRequest(
        resources=[make("model", name=name, provider="fake"), make("key", name=MARKER, allow=[name])],
        source="change",
        prune=True,
        request_id=f"change-{number}",
    )


class Five:
    def __init__(
        self,
        control_planes: Sequence[OwnControlPlane],
        proxies: Sequence[OwnProxy],
        changes: Changes,
        chance: random.Random,
    ) -> None:
        self.control_planes, self.proxies, self.changes = control_planes, proxies, changes
        self._chance = chance
        programs: list[OwnControlPlane | OwnProxy] = [*control_planes, *proxies]
        self._members = {one.name: Member(one) for one in programs}
        self.strikes: list[Strike] = []
        self._open = tuple(proxy.base_url for proxy in proxies)
        self._turn = 0

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def base_url(self) -> str:
        """A proxy that is up; asked by the load, from its own thread."""
        self._turn += 1
        return self._open[self._turn % len(self._open)]

    def tick(self) -> None:
        now = time.monotonic()
        for member in self._members.values():
            member.tick(now)
        self._open = tuple(self._up(self.proxies))
        up = [one for one in self.control_planes if self._members[one.name].state == "up"]
        self.changes.tick(now, up)

    def _up(self, proxies: Sequence[OwnProxy]) -> list[str]:
        return [one.base_url for one in proxies if self._members[one.name].state == "up"]

    def may_be_struck(self, name: str) -> bool:
        """It is up, and calls have somewhere else to go."""
        others = [one for one in self.proxies if one.name != name]
        return self._members[name].state == "up" and bool(self._up(others))

    def strike(self, name: str, how: Literal["kill", "terminate"], load: Load) -> None:
        """Down for a while. Who is asked to end has no call before its head: those are not lost either."""
        member = self._members[name]
        member.state, member.back_at = "down", math.inf
        program = member.program
        base_url = program.base_url if isinstance(program, OwnProxy) else ""
        self._open = tuple(self._up(self.proxies))
        self.strikes.append(Strike(name, how, time.monotonic(), base_url))
        if how == "kill":
            program.kill()
        else:
            self.wait(lambda: load.waiting[base_url] <= 0)
            code, _ = program.terminate()
            assert code == 0, f"{name} ended with {code} when it was asked to:\n{program.process.log_tail()}"
        member.back_at = time.monotonic() + self._chance.uniform(0.0, MAX_DOWN_SECONDS)

    def wait(self, what: Any, timeout_seconds: float = 60.0) -> None:
        """Until it holds, while all else goes on."""
        deadline = time.monotonic() + timeout_seconds
        while not what():
            if time.monotonic() > deadline:
                states = {name: member.state for name, member in self._members.items()}
                raise TimeoutError(f"it did not come about: {states}, {self.changes}")
            self.tick()
            time.sleep(TICK_SECONDS)

    @property
    def all_up(self) -> bool:
        return all(member.state == "up" for member in self._members.values())
