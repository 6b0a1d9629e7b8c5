"""One of two targets is out under a steady load: who notices, how often it is asked, when it is used again.

All kinds of outage run at the same time, each on a route `fallback: [dead-…, alive-…]` with models and
providers of its own. How many upstream calls a call took is read from its answer's header, so attempts
at a dead target are counted even where nothing listened.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.perf.routing.asking import Client, Load, Seen
from tests.perf.routing.verdicts import Verdict, percentile
from tests.perf.routing.world import FIRST_TOKEN_SECONDS, OUTAGES, World
from tests.support.fake_provider import Behaviour
from tests.support.provider.presets import silence

CALLS_PER_SECOND = 20.0
LATENCY_SECONDS = 0.05
BEFORE_SECONDS = 8.0
BLIP_SECONDS = 2.0
# How long each attempt of a blip takes to fail: as much as a loaded provider does.
BLIP_ATTEMPT_SECONDS = 0.5
BLIP_BACK_LIMIT_SECONDS = 8.0
BACK_LIMIT_SECONDS = 30.0
BACK_CALLS = 10
GIVE_UP_SECONDS = 45.0
TRIES_PER_TARGET = 2
# Deadlines are looked at four times a second.
TICK_SECONDS = 0.25
_FAILING_SECONDS = {"failing": 0.0, "refused": 0.0, "silent": FIRST_TOKEN_SECONDS + TICK_SECONDS}
_TITLES = {
    "failing": "503",
    "refused": "connections reset, then refused",
    "silent": f"silence (first_token {FIRST_TOKEN_SECONDS * 1000:.0f} ms, streams)",
    "blip": f"503 after {BLIP_ATTEMPT_SECONDS * 1000:.0f} ms",
}

NOTES = (
    "outages: 20 calls/s, every second one a stream (silence: all), answers take 50 ms; two tries per target "
    "(the default), circuits as they are by default (3 failures)",
    "attempts at a dead target are bounded by two tries each of three failing calls, of those that are under "
    "way until then (silence: 15), and of the probes (6, and one more per 10 s of the outage)",
)


@dataclass(frozen=True, slots=True)
class Outage:
    kind: str
    seconds: float
    begun_at: float
    recovered_at: float
    calls: Sequence[Seen]

    @property
    def title(self) -> str:
        return f"outage of {self.seconds:.0f} s, {_TITLES[self.kind]}"

    def during(self) -> list[Seen]:
        return [call for call in self.calls if self.begun_at <= call.begun_at < self.recovered_at]

    def before(self) -> list[Seen]:
        return [call for call in self.calls if call.ended_at < self.begun_at]

    @property
    def back_after_seconds(self) -> float | None:
        """From the recovery to the first of BACK_CALLS calls in a row that the target answered."""
        return back_after(self.calls, f"dead-{self.kind}", self.recovered_at)

    @property
    def attempts_at_dead(self) -> int:
        """All but the one that answered; calls that the target itself still answered are not in it."""
        return sum(call.attempts - 1 for call in self.during() if call.model == f"alive-{self.kind}")

    @property
    def attempts_bound(self) -> int:
        under_way = CALLS_PER_SECOND * _FAILING_SECONDS[self.kind] * TRIES_PER_TARGET
        probes = 6 + self.seconds / 10
        return int(TRIES_PER_TARGET * (3 + probes) + under_way)


async def measure(world: World, client: Client, seconds: float) -> list[Verdict]:
    found = await asyncio.gather(
        *(_outage(world, client, kind, BLIP_SECONDS if kind == "blip" else seconds) for kind in OUTAGES)
    )
    return list(itertools.chain.from_iterable(map(_verdicts, found)))


async def _outage(world: World, client: Client, kind: str, seconds: float) -> Outage:
    dead, alive = f"dead-{kind}", f"alive-{kind}"
    for model in (dead, alive):
        await asyncio.to_thread(world.takes, model, LATENCY_SECONDS)
    streams = 1.0 if kind == "silent" else 0.5
    async with Load(client, f"outage-{kind}", CALLS_PER_SECOND, streams=streams) as load:
        await asyncio.sleep(BEFORE_SECONDS)
        begun_at = time.monotonic()
        await asyncio.to_thread(_break, world, kind)
        await asyncio.sleep(begun_at + seconds - time.monotonic())
        await asyncio.to_thread(_mend, world, kind)
        recovered_at = time.monotonic()
        while back_after(load.since(recovered_at), dead, recovered_at) is None:
            if time.monotonic() - recovered_at > GIVE_UP_SECONDS:
                break
            await asyncio.sleep(0.1)
    return Outage(kind, seconds, begun_at, recovered_at, load.since(0.0))


def _break(world: World, kind: str) -> None:
    model = f"dead-{kind}"
    if kind == "refused":
        world.kill_provider()
    elif kind == "silent":
        world.provider_of(model).always(model, silence())
    else:
        delay = BLIP_ATTEMPT_SECONDS if kind == "blip" else 0.0
        world.provider_of(model).always(model, Behaviour(status=503, headers_delay_seconds=delay))


def _mend(world: World, kind: str) -> None:
    if kind == "refused":
        world.revive_provider()
    world.takes(f"dead-{kind}", LATENCY_SECONDS)


def back_after(calls: Sequence[Seen], model: str, recovered_at: float) -> float | None:
    run_begun_at, run = 0.0, 0
    for call in calls:
        if call.begun_at < recovered_at or call.model != model:
            run = 0
            continue
        run_begun_at = run_begun_at if run else call.begun_at
        run += 1
        if run == BACK_CALLS:
            return run_begun_at - recovered_at
    return None


def _verdicts(outage: Outage) -> list[Verdict]:
    during = outage.during()
    failed = [call for call in outage.calls if call.problem]
    back = outage.back_after_seconds
    limit = BLIP_BACK_LIMIT_SECONDS if outage.kind == "blip" else BACK_LIMIT_SECONDS
    before_p99, during_p99 = (
        percentile([call.seconds for call in calls], 0.99) * 1000 for calls in (outage.before(), during)
    )
    verdicts = [
        Verdict(
            f"{outage.title}: failed calls (of {len(outage.calls)})",
            f"{len(failed)} {sorted({call.problem for call in failed}) if failed else ''}".strip(),
            "0",
            not failed,
        ),
        Verdict("· p99 before, during", f"{before_p99:.0f}, {during_p99:.0f} ms"),
        Verdict(
            "· back on it after its recovery",
            f"{back:.1f} s" if back is not None else f"not within {GIVE_UP_SECONDS:.0f} s",
            f"≤ {limit:.0f} s",
            back is not None and back <= limit,
        ),
    ]
    if outage.kind != "blip":
        attempts = outage.attempts_at_dead
        bound = outage.attempts_bound
        verdicts.insert(
            1,
            Verdict(
                f"· attempts at the dead target, in {len(during)} calls",
                str(attempts),
                f"≤ {bound}",
                attempts <= bound,
            ),
        )
    return verdicts
