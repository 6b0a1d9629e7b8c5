"""One run of one measure on one running system, as plain numbers in microseconds and megabytes.

Each function puts a known load on the system and reads the operating system's accounting before and after.
None decides about rounds, order or rendering. A run that met an error raises: figures of a failing system
are noise.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.perf import accounting, wire
from tests.perf.load import CONNECTIONS, run_load
from tests.perf.provider import Provider
from tests.perf.streams import StreamClient, Tally, open_streams
from tests.perf.systems import System, Target

STREAMS = 100
CHUNKS_PER_SECOND = 100
_SETTLE_SECONDS = 0.4  # after the streams were opened, before the first reading
_WINDOW_SECONDS = 2.0
_CHUNKS_PER_STREAM = int(CHUNKS_PER_SECOND * (_SETTLE_SECONDS + _WINDOW_SECONDS + 0.6))
_SLOW_STREAM_LIMIT_SECONDS = 120.0
_MEMORY_SETTLE_SECONDS = 1.0

# Millisecond timers are what most servers have, and what the figures of architecture.md were measured with.
BUNCHED = wire.StreamShape(_CHUNKS_PER_STREAM, CHUNKS_PER_SECOND, tick_ms=1)
EVEN = wire.StreamShape(_CHUNKS_PER_STREAM, CHUNKS_PER_SECOND, tick_ms=0)
MODELS = (BUNCHED.model, EVEN.model, wire.IDLE_MODEL)


class MeasureFailed(Exception):
    """The system answered wrongly or not at all while it was measured."""


@dataclass(frozen=True, slots=True)
class RequestCost:
    cpu_us: float
    beside_cpu_us: float
    requests_per_second: float
    upstream_calls_per_request: float


@dataclass(frozen=True, slots=True)
class IdleCost:
    rest: accounting.Memory
    rss_per_1000_streams_mb: float


def request_cost(system: System, provider: Provider, seconds: int, scratch: Path) -> RequestCost:
    """Closed loop over CONNECTIONS connections; CPU of the system divided by the requests it completed."""
    measured, beside = system.measured_pids(), system.beside_pids()
    served = provider.counts().requests
    before, before_beside = accounting.read_cpu(measured), accounting.read_cpu(beside)
    result = run_load(system.target(), seconds, scratch)
    spent = accounting.spent_us(before, accounting.read_cpu(measured))
    spent_beside = accounting.spent_us(before_beside, accounting.read_cpu(beside))
    calls = provider.counts().requests - served
    # The calls that were under way when the load stopped were served and not counted.
    surplus = max(0, calls - result.requests)
    calls -= min(surplus, CONNECTIONS)
    return RequestCost(
        cpu_us=spent / result.requests,
        beside_cpu_us=spent_beside / result.requests,
        requests_per_second=result.requests_per_second,
        upstream_calls_per_request=calls / result.requests,
    )


def chunk_cost_us(system: System, shape: wire.StreamShape, streams: int = STREAMS) -> float:
    """CPU per chunk while `streams` streams run; every stream is then checked to its end."""
    return uvloop.run(_chunk_cost_us(system, shape, streams))


async def _chunk_cost_us(system: System, shape: wire.StreamShape, streams: int) -> float:
    tally = Tally()
    clients = await open_streams(system.target(), shape.model, streams, tally, shape.chunks)
    try:
        await asyncio.sleep(_SETTLE_SECONDS)
        measured = system.measured_pids()
        before, chunks_before = accounting.read_cpu(measured), tally.chunks
        await asyncio.sleep(_WINDOW_SECONDS)
        after, chunks_after = accounting.read_cpu(measured), tally.chunks
        await _all_closed(clients)
    finally:
        _close(clients)
    if tally.faults or tally.done != streams:
        raise MeasureFailed(f"{tally.done} of {streams} streams were complete: {tally.faults[:3]}")
    return accounting.spent_us(before, after) / max(1, chunks_after - chunks_before)


def idle_cost(system: System, streams: int) -> IdleCost:
    """Memory at rest, and what `streams` open, silent streams add to it."""
    return uvloop.run(_idle_cost(system, streams))


async def _idle_cost(system: System, streams: int) -> IdleCost:
    # A few streams first, so that what is loaded once is not charged to the thousand.
    await _hold(system.target(), min(50, streams))
    await asyncio.sleep(_MEMORY_SETTLE_SECONDS)
    rest = accounting.memory(system.measured_pids())
    tally = Tally()
    clients = await open_streams(system.target(), wire.IDLE_MODEL, streams, tally, None)
    await asyncio.sleep(_MEMORY_SETTLE_SECONDS)
    held = accounting.memory(system.measured_pids())
    _close(clients)
    if tally.faults:
        raise MeasureFailed(f"an idle stream broke: {tally.faults[:3]}")
    return IdleCost(rest, (held.rss_mb - rest.rss_mb) * 1000 / streams)


async def _hold(target: Target, streams: int) -> None:
    tally = Tally()
    clients = await open_streams(target, wire.IDLE_MODEL, streams, tally, None)
    _close(clients)
    if tally.faults:
        raise MeasureFailed(f"an idle stream broke: {tally.faults[:3]}")


async def _all_closed(clients: list[StreamClient]) -> None:
    async with asyncio.timeout(_SLOW_STREAM_LIMIT_SECONDS):
        await asyncio.gather(*(client.closed for client in clients))


def _close(clients: list[StreamClient]) -> None:
    for client in clients:
        client.close()


def settled_memory(system: System) -> accounting.Memory:
    """Memory after a pause, in which caches of the last run may be given back."""
    time.sleep(_MEMORY_SETTLE_SECONDS)
    return accounting.memory(system.measured_pids())
