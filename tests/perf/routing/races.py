"""Races: how soon the loser's socket is closed, and what a race adds to its quickest answer.

One call at a time, so that each upstream call belongs to the call during which it came in. Which of the
two models is the quick one changes at random. What the provider itself measured is the base of both figures:
the moment it had handed over what decides (a whole answer; of a stream, its first event) stands for the
decision, a little early, and its own time from request to answer for "the upstream's latency".
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.perf.routing.asking import Client, Seen
from tests.perf.routing.asking import client as connected
from tests.perf.routing.verdicts import Verdict, milliseconds, percentile
from tests.perf.routing.world import World
from tests.support.fake_provider import Attempt, Behaviour

CLOSE_LIMIT_SECONDS = 0.050
ADDED_LIMIT_SECONDS = 0.010
QUICK_SECONDS = (0.02, 0.08)
SLOW_SECONDS = (0.1, 0.3)
# One in ten of the slow ones is slower still.
VERY_SLOW_SECONDS = (1.0, 3.0)
VERY_SLOW_SHARE = 0.1
WARM_CALLS = 5
SETTLE_SECONDS = 2.0
_MODELS = ("left", "right")
ALONE = "alone"

NOTES = (
    "races: one call at a time; the quick model takes 20 to 80 ms, the other 100 to 300 ms (one in ten: "
    "1 to 3 s), roles change at random; the decision is put at the moment when the provider had sent the "
    "winner's answer (a stream: its first event), so the proxy's own way to the decision is counted in",
)


@dataclass(slots=True)
class Found:
    """Of one kind of calls; seconds."""

    close: list[float]
    added: list[float]
    wrong_winners: int = 0
    not_stopped: int = 0
    problems: int = 0


async def measure(world: World, client: Client, calls: int) -> list[Verdict]:
    verdicts = []
    for stream in (False, True):
        kind = "streamed" if stream else "whole"
        verdicts += _verdicts(kind, calls, await _races(world, client, calls, stream))
        verdicts.append(
            Verdict(
                f"· without Headgate, {kind}: the client's and the machine's own part in it",
                milliseconds(await _alone(world, calls, stream), highest=True),
            )
        )
    return verdicts


async def _alone(world: World, calls: int, stream: bool) -> list[float]:
    """What is added where the client asks the quick model itself: on a busy machine that is not nothing."""
    provider = world.staying
    await asyncio.to_thread(provider.reset)
    await asyncio.to_thread(provider.always, ALONE, *(_behaviour(world, quick=True) for _ in range(calls)))
    seen = []
    async with connected(provider.base_url, "pk") as directly:
        for number in range(calls):
            seen.append(await directly.ask(ALONE, number, stream=stream))
            await asyncio.sleep(0.01)
    attempts = await asyncio.to_thread(provider.attempts)
    return [
        call.first_at - call.begun_at - (decided_at - attempt.received_at_seconds)
        for call, attempt in zip(seen, attempts, strict=True)
        if (decided_at := _decided_at(attempt, stream)) is not None
    ]


def _decided_at(attempt: Attempt, stream: bool) -> float | None:
    return attempt.first_event_at_seconds if stream else attempt.finished_at_seconds


async def _races(world: World, client: Client, calls: int, stream: bool) -> Found:
    provider = world.staying
    for number in range(WARM_CALLS):
        await client.ask("race", number, stream=stream)
    await asyncio.to_thread(provider.reset)
    quick = [world.random.choice(_MODELS) for _ in range(calls)]
    for model in _MODELS:
        await asyncio.to_thread(provider.script, model, *(_behaviour(world, model == one) for one in quick))
    seen = []
    for number in range(calls):
        seen.append(await client.ask("race", number, stream=stream))
        await asyncio.sleep(0.01)
    await asyncio.sleep(SETTLE_SECONDS)
    attempts = await asyncio.to_thread(provider.attempts)
    found = Found([], [])
    for call, model in zip(seen, quick, strict=True):
        ends = call.ended_at + 0.005
        pair = {a.model: a for a in attempts if call.begun_at <= a.received_at_seconds <= ends}
        _judge(call, model, pair, stream, found)
    return found


def _behaviour(world: World, quick: bool) -> Behaviour:
    bounds = QUICK_SECONDS if quick else SLOW_SECONDS
    if not quick and world.random.random() < VERY_SLOW_SHARE:
        bounds = VERY_SLOW_SECONDS
    return Behaviour(headers_delay_seconds=world.random.uniform(*bounds))


def _judge(call: Seen, quick: str, pair: dict[str, Attempt], stream: bool, found: Found) -> None:
    if call.problem or set(pair) != set(_MODELS):
        found.problems += 1
        return
    winner = pair[quick]
    loser = next(attempt for model, attempt in pair.items() if model != quick)
    decided_at = _decided_at(winner, stream)
    if call.model != quick or decided_at is None:
        found.wrong_winners += 1
        return
    if loser.client_left_at_seconds is None:
        found.not_stopped += 1
    else:
        found.close.append(loser.client_left_at_seconds - decided_at)
    found.added.append(call.first_at - call.begun_at - (decided_at - winner.received_at_seconds))


def _verdicts(kind: str, calls: int, found: Found) -> list[Verdict]:
    bad = found.problems + found.wrong_winners + found.not_stopped
    complete = len(found.close) == calls
    return [
        Verdict(
            f"race, {kind}: failed calls, wrong winners, losers that were not stopped (of {calls})",
            f"{found.problems}, {found.wrong_winners}, {found.not_stopped}",
            "0, 0, 0",
            not bad,
        ),
        Verdict(
            f"race, {kind}: from the decision to the loser's closed socket",
            milliseconds(found.close, highest=True),
            f"max ≤ {CLOSE_LIMIT_SECONDS * 1000:.0f} ms",
            complete and max(found.close) <= CLOSE_LIMIT_SECONDS,
        ),
        Verdict(
            f"race, {kind}: client's latency less the fastest upstream's own",
            milliseconds(found.added, highest=True),
            f"p99 ≤ {ADDED_LIMIT_SECONDS * 1000:.0f} ms",
            percentile(found.added, 0.99) <= ADDED_LIMIT_SECONDS,
        ),
    ]
