"""F8 and F10: a proxy dies with usage that nobody has acknowledged, at any moment, in whatever state."""

from __future__ import annotations

import contextlib
from uuid import UUID

import pytest

from tests.faults.scale import points, times
from tests.faults.system import OwnProxy, System, heard_done
from tests.support.ledgers import OK, UNKNOWN, read_spool
from tests.support.provider.behaviour import Behaviour, Cut
from tests.support.sockets import Fault, FaultProxy

POINTS = times(5, 50)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_record_is_lost_or_doubled_when_a_proxy_is_killed_with_unacknowledged_usage(
    system: System, workers: int
) -> None:
    random = points(f"proxy killed {workers}")
    with (
        FaultProxy(system.grpc_port) as between,
        OwnProxy(system, f"killed-{workers}", between.port, workers) as proxy,
    ):
        for point in range(POINTS):
            # Nothing gets through for a while (a black hole), or only now and then (latency).
            between.fault = Fault(black_hole=True) if point % 2 == 0 else Fault(latency_seconds=0.03)
            with system.load(times(100, 200), proxy.base_url) as load:
                load.wait_begun(random.randrange(15, 60))
                if workers > 1 and point % 2 == 1:
                    proxy.kill_worker()
                    load.wait_complete(10)
                else:
                    proxy.kill()
                    every_attempt_is_on_record(system, proxy)
                    proxy.start()
                    load.wait_complete(10)
            between.fault = Fault()
        ledgers = system.check(proxy.state)
    rows = [row for row in ledgers.rows if row.proxy == proxy.name]
    assert any(row.outcome == UNKNOWN for row in rows), "no attempt was under way at any kill"
    assert all(row.final for row in rows if row.outcome == UNKNOWN)


def every_attempt_is_on_record(system: System, proxy: OwnProxy) -> None:
    """At the moment of death every attempt that the provider has seen is on the disk, or billed."""
    # In the order in which things become true backwards: workers live on for a moment, and make more.
    served = {UUID(attempt.client_request_id) for attempt in system.provider.recorded()}
    spooled = read_spool(proxy.state)
    billed = {row.id for row in system.billed.rows()}
    assert served - spooled.intents - spooled.finals - billed == set()


def test_a_damaged_spool_is_delivered_but_for_the_damage(system: System) -> None:
    """The first record of the first segment is hit: all the others follow it."""
    with FaultProxy(system.grpc_port) as between, OwnProxy(system, "damaged", between.port) as proxy:
        between.fault = Fault(black_hole=True)
        with system.load(100, proxy.base_url, ("quick",)) as load:
            load.wait_complete(40)
        proxy.kill()
        before = read_spool(proxy.state)
        assert len(before.finals) >= 40
        victim = min(proxy.state.glob("spool/*/*.seg"))
        data = bytearray(victim.read_bytes())
        data[60] ^= 0x10  # inside an intent; its final is whole
        victim.write_bytes(data)
        between.fault = Fault()
        proxy.start()
        ledgers = system.check(proxy.state)
        assert any(proxy.state.glob("spool/*/*.damaged"))
    assert before.finals <= {row.id for row in ledgers.rows}


def test_what_a_client_saw_complete_is_final_though_its_provider_has_not_hung_up(system: System) -> None:
    """The record comes before `[DONE]`, not when the upstream connection is done."""
    system.provider.always("broken", Behaviour(cut=Cut("end", how="stall")))
    with OwnProxy(system, "last-byte") as proxy:
        with contextlib.ExitStack() as clients:
            for _ in range(3):
                clients.enter_context(heard_done(proxy.base_url, system.headgate.api_key, "broken"))
            proxy.kill()  # before a client that hangs up ends its call in another way
        finals = read_spool(proxy.state).finals | {row.id for row in system.billed.rows()}
        proxy.start()
        ledgers = system.check(proxy.state)
    rows = [row for row in ledgers.rows if row.proxy == "last-byte"]
    assert len(rows) == 3
    assert all(row.outcome == OK and row.id in finals for row in rows)
