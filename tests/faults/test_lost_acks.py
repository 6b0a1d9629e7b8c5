"""F7: the commit is done and its acknowledgement lost. Everything is sent again, and the totals are exact."""

from __future__ import annotations

from collections import Counter
from functools import partial
from uuid import UUID

import pytest

from tests.faults.reporter import Reporter, batch_of
from tests.faults.scale import points, times
from tests.faults.system import REPORTER, OwnProxy, System, wait_until
from tests.support.sockets import FaultProxy

LOST_ACKS = times(100, 1_000)
CUTS = times(12, 100)
RECORDS_PER_BATCH = 20


def test_totals_are_exact_when_acks_are_lost_after_the_commit(system: System) -> None:
    random = points("lost acks")
    reporter = Reporter(system.headgate.grpc, system.proxy_token(), f"{REPORTER}-acks")
    ids: list[UUID] = []
    try:
        for _ in range(LOST_ACKS):
            batch = batch_of(RECORDS_PER_BATCH)
            ids += batch
            records = list(batch.values())
            reporter.send(records)
            wait_until(partial(system.billed.has_any, batch))
            reporter.drop()  # unread, on its way or not
            random.shuffle(records)
            reporter.send(records)
            assert reporter.acked()
    finally:
        reporter.close()
    counts = Counter(row.id for row in system.billed.rows() if row.proxy == f"{REPORTER}-acks")
    assert counts == Counter(ids)
    assert system.billed.unlike_rollups() == []
    assert system.billed.quarantined() == []


@pytest.mark.parametrize("latency_seconds", [0.0, 0.02])
def test_a_proxy_whose_usage_stream_is_cut_again_and_again_loses_and_doubles_nothing(
    system: System, latency_seconds: float
) -> None:
    random = points(f"cut streams {latency_seconds}")
    name = f"cut-{latency_seconds * 1000:.0f}"
    with FaultProxy(system.grpc_port) as between, OwnProxy(system, name, between.port) as proxy:
        between.fault = type(between.fault)(latency_seconds=latency_seconds)
        with system.load(times(100, 200), proxy.base_url) as load:
            for _ in range(CUTS // 2):
                load.wait_begun(random.randrange(1, 40))
                between.reset_all()
        assert [seen for seen in load.seen if not seen.complete] == [], "the control plane is not on the path"
        system.check(proxy.state)
