"""F2: without control plane and PostgreSQL proxies serve on, also after a restart, and keep all usage."""

from __future__ import annotations

import time

from tests.faults.scale import FULL, times
from tests.faults.system import OwnProxy, System

OUTAGE_SECONDS = times(1, 300)
READY_SECONDS = 3.0
DRAINED_SECONDS = 60.0


def test_no_call_fails_without_control_plane_and_postgres_and_a_restart_in_between(system: System) -> None:
    with OwnProxy(system, "static-1") as first, OwnProxy(system, "static-2") as second:
        with system.load(times(60, 100), first.base_url) as load:
            load.wait_complete(20)
            with system.load(20, second.base_url) as at_second:
                at_second.wait_complete(10)
            system.headgate.kill_all()
            before = system.headgate.pids("postgres")
            assert before == []
            second.kill()
            second.start()
            with system.load(times(60, 100), second.base_url) as restarted:
                restarted.wait_complete(40)
                time.sleep(OUTAGE_SECONDS)
            load.wait_complete(20)
            system.headgate.restart()
            returned = time.monotonic()
            load.wait_complete(20)
        assert [call for call in (*load.seen, *at_second.seen, *restarted.seen) if not call.complete] == []
        for proxy in (first, second):
            system.check(proxy.state)
        if FULL:
            assert second.ready_seconds <= READY_SECONDS
            assert time.monotonic() - returned <= DRAINED_SECONDS
