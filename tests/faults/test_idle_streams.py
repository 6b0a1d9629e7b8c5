"""F17: thousands of streams that say nothing cost little, and calls beside them are as fast as ever."""

from __future__ import annotations

import time

import psutil  # type: ignore[import-untyped]

from tests.faults.idle import IdleStreams
from tests.faults.scale import FULL, times
from tests.faults.system import WORKER, OwnProxy, System, metric, wait_until
from tests.support.ledgers import INPUT_PICOUSD, OUTPUT_PICOUSD
from tests.support.load import CallSeen
from tests.support.provider import presets

STREAMS, WORKERS = times(300, 8_000), 2
CALLS_PER_SECOND = 20.0
CALLS = times(10, 400)
IDLE_SECONDS = times(0, 20)
MEMORY_BYTES = 2**30
CORE_SHARE = 0.20
SLOWER_SECONDS = 0.05
# The role and three words; then nothing until the client leaves.
SAID = presets.stall_after_events(4)


def test_idle_streams_cost_little_and_calls_beside_them_are_answered(system: System) -> None:
    provider = psutil.Process(system.provider.process.pid)
    _, most = provider.rlimit(psutil.RLIMIT_NOFILE)
    provider.rlimit(psutil.RLIMIT_NOFILE, (most, most))
    system.provider.always("still", SAID)
    with OwnProxy(system, "idle", workers=WORKERS) as proxy:
        before = p99_seconds(calls_beside(system, proxy))
        pids = [proxy.process.pid, *proxy.process.descendants_running(WORKER)]
        processes = [psutil.Process(pid) for pid in pids]
        descriptors = [process.num_fds() for process in processes]
        with IdleStreams(proxy.base_url, system.api_key, "patient", STREAMS) as streams:
            assert metric(proxy.ops, "headgate_inflight") == STREAMS
            more = [process.num_fds() - old for process, old in zip(processes, descriptors, strict=True)]
            assert min(more[1:]) > STREAMS / 10, f"one worker has them all: {more}"
            share = cpu_share(processes)
            memory = sum(process.memory_info().rss for process in processes)
            during = p99_seconds(calls_beside(system, proxy))
            print(f"{STREAMS} idle streams: {memory / 2**20:.0f} MiB, {share:.1%} of a core")
            print(f"99 % of calls within {before * 1000:.0f} ms before, {during * 1000:.0f} ms beside them")
            assert streams.ended() == 0
            if FULL:
                assert memory <= MEMORY_BYTES
                assert share <= CORE_SHARE
                assert during <= before + SLOWER_SECONDS
        wait_until(lambda: metric(proxy.ops, "headgate_inflight") == 0, 60)
        ledgers = system.ledgers(proxy.state, timeout_seconds=60)
        ledgers.check()
    left = [row for row in ledgers.rows if row.proxy == "idle" and row.client_status != 200]
    assert len(left) == STREAMS
    assert all(row.output_tokens and row.final for row in left)
    assert all(
        row.cost_picousd == row.input_tokens * INPUT_PICOUSD + row.output_tokens * OUTPUT_PICOUSD
        for row in left
    )


def calls_beside(system: System, proxy: OwnProxy) -> list[CallSeen]:
    with system.load(CALLS_PER_SECOND, proxy.base_url, models=("quick",)) as load:
        load.wait_begun(CALLS)
    assert [call for call in load.seen if not call.complete] == []
    return load.seen


def p99_seconds(calls: list[CallSeen]) -> float:
    took = sorted(call.ended_at - call.begun_at for call in calls)
    return took[len(took) * 99 // 100]


def cpu_share(processes: list[psutil.Process]) -> float:
    """Of one core, while nothing happens."""

    def used() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    began, at = used(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return (used() - began) / max(time.monotonic() - at, 1e-9)
