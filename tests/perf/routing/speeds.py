"""`fastest` under a steady load: a leader that slows, its recovery, outliers, a slow first call, equal twins.

Each case is a pair of models `…-a` and `…-b` with a route and providers of its own; all cases run at the
same time, each with its own load. Who was chosen is read from the answers, in the order in which calls
began; a call under way when a speed changes was chosen before.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Sequence

from tests.perf.routing.asking import Client, Load, Seen
from tests.perf.routing.verdicts import Verdict
from tests.perf.routing.world import World
from tests.support.fake_provider import Behaviour

CALLS_PER_SECOND = 30.0
JITTER = 0.1
TWIN_JITTER = 0.2
# b takes so much longer than a.
DISTANCE = 1.4
SLOWER = 5.0
RECOVERED = 1 / 1.5
STEADY_SECONDS = 10.0
MOVED_SHARE = 0.95
GRACE_CALLS = 30
JUDGED_CALLS = 100
TWIN_CALLS = 500
# So many calls in a row to another model are a new leader; fewer are explorations.
LEADER_CALLS = 3
BACK_CALLS = 30
BACK_LIMIT_SECONDS = 120.0
# Seconds until the first token of the faster one.
BASES = {"brisk": 0.08, "leisurely": 0.4}
# Cases in which a single call must not count for much are hard where calls are few.
FEW_PER_SECOND = 2.0
OUTLIERS = 4
OUTLIER_CALLS = 30
OUTLIER_AWAY_CALLS = 3
TWIN_CHANGES = 2

NOTES = (
    "fastest: 30 calls/s, every second one a stream, one worker; speeds vary by ± 10 % (twins ± 20 %); "
    "calls are counted from the change on, those under way when it came are not in it; outliers and slow "
    "first calls at 2 calls/s, where nothing else is under way that would show them as such",
    "fastest, leisurely: at 2 s an answer and 30 calls/s, 60 calls are under way before the first slow one "
    "is complete, and only answers teach: there the promise is for calls that begin after it",
)


async def measure(world: World, client: Client) -> list[Verdict]:
    cases = (
        _slowed(world, client, "brisk"),
        _slowed(world, client, "leisurely"),
        _cold(world, client),
        _outlier(world, client),
        _twins(world, client),
    )
    return list(itertools.chain.from_iterable(await asyncio.gather(*cases)))


async def _slowed(world: World, client: Client, pair: str) -> list[Verdict]:
    a, b = f"{pair}-a", f"{pair}-b"
    base = BASES[pair]
    await _set(world, a, base)
    await _set(world, b, base * DISTANCE)
    async with Load(client, pair, CALLS_PER_SECOND) as load:
        await asyncio.sleep(STEADY_SECONDS)
        settled_at = time.monotonic() - 3.0
        led = _share(load.since(settled_at), a)
        await _set(world, a, base * SLOWER)
        slowed_at = time.monotonic()
        await asyncio.sleep((GRACE_CALLS + JUDGED_CALLS * 2) / CALLS_PER_SECOND + base * SLOWER * 2)
        moved = load.since(slowed_at)
        await asyncio.sleep(STEADY_SECONDS)
        await _set(world, a, base * DISTANCE * RECOVERED)
        recovered_at = time.monotonic()
        while _settled(load.since(recovered_at), a, BACK_CALLS) is None:
            if time.monotonic() - recovered_at > BACK_LIMIT_SECONDS:
                break
            await asyncio.sleep(0.2)
        back = load.since(recovered_at)
    problems = sum(bool(call.problem) for call in load.seen)
    return [
        *_moved(pair, led, moved, a, b),
        *_back(pair, base, back, a, recovered_at),
        Verdict(f"fastest, {pair}: failed calls (of {len(load.seen)})", str(problems), "0", not problems),
    ]


def _moved(pair: str, led: float, calls: Sequence[Seen], a: str, b: str) -> list[Verdict]:
    base = BASES[pair]
    needed = _settled(calls, b, JUDGED_CALLS)
    known_at = min((call.first_at for call in calls if call.model == a), default=math.inf)
    knowing = [call for call in calls if call.begun_at > known_at]
    of_thirty, of_hundred, share = _to_slow(calls, a)
    of_thirty_knowing, of_hundred_knowing, share_knowing = _to_slow(knowing, a)
    slow = f"{base * 1000:.0f} → {base * SLOWER * 1000:.0f} ms, the other {base * DISTANCE * 1000:.0f} ms"
    promise = f"after {GRACE_CALLS} calls ≥ {MOVED_SHARE:.0%} to the other"
    # Where more calls are under way than are granted, no chooser could know in time.
    in_time = base * SLOWER * CALLS_PER_SECOND < GRACE_CALLS
    return [
        Verdict(
            f"fastest, {pair} ({slow}): calls to the slow one of the {GRACE_CALLS} after the change; of the "
            f"next {JUDGED_CALLS}",
            f"{of_thirty}; {of_hundred} (it had {led:.0%} before)",
            promise if in_time else "",
            share >= MOVED_SHARE and led >= MOVED_SHARE - 0.05 if in_time else None,
        ),
        Verdict(
            f"fastest, {pair}: the same, counted from its first slow answer on",
            f"{of_thirty_knowing}; {of_hundred_knowing}",
            promise,
            share_knowing >= MOVED_SHARE,
        ),
        Verdict(
            f"fastest, {pair}: calls until the traffic had moved",
            str(needed) if needed is not None else f"not in {len(calls)}",
        ),
    ]


def _to_slow(calls: Sequence[Seen], slow: str) -> tuple[int, int, float]:
    """Calls to it of the first GRACE_CALLS, of the next JUDGED_CALLS, and the share of the other in these."""
    first, then = calls[:GRACE_CALLS], calls[GRACE_CALLS : GRACE_CALLS + JUDGED_CALLS]
    hits = sum(call.model == slow for call in then)
    share = 1 - hits / JUDGED_CALLS if len(then) == JUDGED_CALLS else 0.0
    return sum(call.model == slow for call in first), hits, share


def _back(pair: str, base: float, calls: Sequence[Seen], a: str, recovered_at: float) -> list[Verdict]:
    needed = _settled(calls, a, BACK_CALLS)
    speed = f"{base * DISTANCE * RECOVERED * 1000:.0f} ms"
    what = f"fastest, {pair}: until the traffic is back, once it is faster by half ({speed})"
    if needed is None:
        return [Verdict(what, f"not within {BACK_LIMIT_SECONDS:.0f} s")]
    return [Verdict(what, f"{calls[needed].begun_at - recovered_at:.1f} s, {needed} calls")]


async def _cold(world: World, client: Client) -> list[Verdict]:
    """The very first call of the faster one is slow, as where a name is resolved and TLS begins."""
    base = BASES["brisk"]
    await _set(world, "cold-a", base)
    await _set(world, "cold-b", base * DISTANCE)
    slow = Behaviour(headers_delay_seconds=base * SLOWER)
    await asyncio.to_thread(world.staying.script, "cold-a", slow)
    async with Load(client, "cold", FEW_PER_SECOND) as load:
        begun_at = time.monotonic()
        while _settled(load.since(begun_at), "cold-a", BACK_CALLS) is None:
            if time.monotonic() - begun_at > BACK_LIMIT_SECONDS:
                break
            await asyncio.sleep(0.2)
        calls = load.since(begun_at)
    needed = _settled(calls, "cold-a", BACK_CALLS)
    figure = (
        f"not within {BACK_LIMIT_SECONDS:.0f} s"
        if needed is None
        else f"{calls[needed].begun_at - begun_at:.1f} s, {needed} calls"
    )
    return [
        Verdict("fastest, cold: the faster one's first call is 5 × slower; until it has the traffic", figure)
    ]


async def _outlier(world: World, client: Client) -> list[Verdict]:
    """One call of the leader takes ten times as long, now and then."""
    base = BASES["brisk"]
    await _set(world, "outlier-a", base)
    await _set(world, "outlier-b", base * DISTANCE)
    away = []
    async with Load(client, "outlier", FEW_PER_SECOND) as load:
        await asyncio.sleep(STEADY_SECONDS)
        for _ in range(OUTLIERS):
            slow = Behaviour(headers_delay_seconds=base * 10)
            await asyncio.to_thread(world.staying.script, "outlier-a", slow)
            scripted_at = time.monotonic()
            await asyncio.sleep((OUTLIER_CALLS + 2) / FEW_PER_SECOND)
            judged = load.since(scripted_at)[:OUTLIER_CALLS]
            away.append(sum(call.model == "outlier-b" for call in judged))
    return [
        Verdict(
            f"fastest, outlier: one call of the leader takes 10 × as long ({OUTLIERS} times); of the next "
            f"{OUTLIER_CALLS} calls go to the other",
            ", ".join(map(str, away)),
            f"≤ {OUTLIER_AWAY_CALLS}",
            max(away) <= OUTLIER_AWAY_CALLS,
        )
    ]


async def _twins(world: World, client: Client) -> list[Verdict]:
    for side in ("a", "b"):
        await _set(world, f"twin-{side}", BASES["brisk"], TWIN_JITTER)
    async with Load(client, "twin", CALLS_PER_SECOND) as load:
        await asyncio.sleep((TWIN_CALLS + GRACE_CALLS) / CALLS_PER_SECOND + 2.0)
    calls = sorted(load.seen, key=lambda call: call.begun_at)[GRACE_CALLS:][:TWIN_CALLS]
    changes = leader_changes([call.model for call in calls])
    what = f"fastest, twins: changes of the leader in {TWIN_CALLS} calls"
    return [Verdict(what, str(changes), f"≤ {TWIN_CHANGES}", changes <= TWIN_CHANGES)]


def leader_changes(models: Sequence[str]) -> int:
    """How often another model got LEADER_CALLS in a row."""
    leader, changes = "", 0
    for model, run in itertools.groupby(models):
        if model != leader and len(list(run)) >= LEADER_CALLS:
            changes += bool(leader)
            leader = model
    return changes


def _share(calls: Sequence[Seen], model: str) -> float:
    return sum(call.model == model for call in calls) / len(calls) if calls else 0.0


def _settled(calls: Sequence[Seen], model: str, window: int) -> int | None:
    """After how many calls MOVED_SHARE of the next `window` goes to `model`; None: never."""
    hits = list(itertools.accumulate((call.model == model for call in calls), initial=0))
    for start in range(len(calls) - window + 1):
        enough = hits[start + window] - hits[start] >= MOVED_SHARE * window
        if enough and calls[start].model == model:
            return start
    return None


async def _set(world: World, model: str, seconds: float, jitter: float = JITTER) -> None:
    await asyncio.to_thread(world.takes, model, seconds, jitter)
