"""kill -9 of every process in turn under load: provider, spool and PostgreSQL agree afterwards."""

from __future__ import annotations

import pytest

from tests.faults.scale import points, times
from tests.faults.system import WORKER, System
from tests.support.child_process import kill_by_pid
from tests.support.load import CallSeen

ROUNDS = times(1, 4)
CALLS_PER_SECOND = times(100, 200)


def strike(system: System, victim: str) -> None:
    if victim == "provider":
        kill_by_pid(system.provider.process.pid)
        system.provider.stop()
        system.restart_provider()
    elif victim == "worker":
        old = system.headgate.process.descendants_running(WORKER)[0]
        kill_by_pid(old)
    elif victim == "proxy":
        system.headgate.wait_for_new("proxy", system.headgate.kill("proxy"))
    elif victim == "control_plane":
        system.headgate.wait_for_new("control_plane", system.headgate.kill("control_plane"))
    else:
        system.headgate.wait_for_new("postgres", system.headgate.kill("postgres"))


def failed(calls: list[CallSeen]) -> list[CallSeen]:
    return [call for call in calls if not call.complete]


@pytest.mark.parametrize("victim", ["worker", "proxy", "control_plane", "postgres", "provider"])
def test_the_ledgers_agree_after_a_process_is_killed_under_load(system: System, victim: str) -> None:
    random = points(victim)
    for _ in range(ROUNDS):
        with system.load(CALLS_PER_SECOND) as load:
            load.wait_complete(20 + random.randrange(40))
            strike(system, victim)
            load.wait_complete(60)
        if victim in ("control_plane", "postgres"):
            assert failed(load.seen) == [], "neither is on the path of a call"
        system.check(system.headgate.state)


def test_a_dead_worker_costs_only_the_calls_that_it_had(system: System) -> None:
    """The supervisor and the other worker live on."""
    (proxy,) = system.headgate.pids("proxy")
    before = system.headgate.process.descendants_running(WORKER)
    with system.load(CALLS_PER_SECOND) as load:
        load.wait_complete(30)
        kill_by_pid(before[0])
        load.wait_complete(80)
    assert system.headgate.pids("proxy") == [proxy]
    after = system.headgate.process.descendants_running(WORKER)
    assert before[1] in after
    assert len(after) == 2
    assert len(failed(load.seen)) < len(load.seen) / 2
    system.check(system.headgate.state)
