"""F11: wall clocks an hour off, set back, frozen. Every attempt is billed once, in the hour of its id."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from uuid import UUID

from headgate.v1 import usage_pb2
from tests.faults.control_planes import OwnControlPlane
from tests.faults.reporter import Reporter
from tests.faults.scale import points, times
from tests.faults.skewed import set_clock
from tests.faults.system import SLOW, OwnProxy, System, manifest, metric, wait_until
from tests.integration.control_plane.records import make_id, make_record
from tests.integration.control_plane.replica import make
from tests.support.ledgers import Ledgers
from tests.support.load import Load
from tests.support.processes import start_fake_provider

HOUR_SECONDS = 3_600
HOUR_MS = HOUR_SECONDS * 1_000
ROUNDS = times(1, 10)
CALLS_PER_CLOCK = times(4, 100)
CALLS_PER_SECOND = times(60, 100)
BATCHES = times(10, 300)
RECORDS_PER_BATCH = 50


def clocks() -> list[str]:
    """Ahead, back by two hours, frozen, then right again: two steps back, two forward."""
    hours = [HOUR_SECONDS, -HOUR_SECONDS]
    return [*(f"offset {hour}" for hour in hours), f"at {time.time():.3f}", "offset -5", "offset 0"]


def test_every_attempt_is_billed_once_whatever_the_clocks_say(system: System, tmp_path: Path) -> None:
    """The clocks of two proxies and of their control plane, each by itself, under load."""
    chance = points("clocks")
    names = ("control_plane", "first", "second")
    of = {name: tmp_path / f"{name}.clock" for name in names}
    for clock in of.values():
        set_clock(clock, "offset 0")
    with (
        start_fake_provider(tmp_path) as provider,
        OwnControlPlane(system, "clocks", clock=of["control_plane"]) as control_plane,
    ):
        provider.always("slow", SLOW)
        base = manifest(provider.base_url)
        fake = {("type" if name == "kind" else name): value for name, value in base["providers"][0].items()}
        wanted = [make("provider", **fake), *(make("model", **one) for one in base["models"])]
        answer = control_plane.apply(*wanted, make("key", name="app", allow=["*"]))
        control_plane.api_key = answer.minted[0].secret
        with (
            OwnProxy(control_plane, "first", clock=of["first"]) as first,
            OwnProxy(control_plane, "second", clock=of["second"]) as second,
            Load(first.base_url, control_plane.api_key, ("quick", "slow"), CALLS_PER_SECOND) as at_first,
            Load(second.base_url, control_plane.api_key, ("quick", "slow"), CALLS_PER_SECOND) as at_second,
        ):
            for _ in range(ROUNDS):
                for name in chance.sample(names, len(names)):
                    for text in clocks():
                        set_clock(of[name], text)
                        at_first.wait_complete(CALLS_PER_CLOCK)
                        at_second.wait_complete(CALLS_PER_CLOCK)
                        assert metric(first.ops, "headgate_usage_lag_seconds") >= 0
            # One dies with its clock set back, and is started again.
            set_clock(of["second"], f"offset {-HOUR_SECONDS}")
            at_second.wait_complete(CALLS_PER_CLOCK)
            seen = [*at_first.stop(), *at_second.stop()]
            assert [call for call in seen if not call.complete] == []
            second.kill()
            second.start()
            for proxy in (first, second):
                Ledgers.of(provider.recorded, control_plane.billed, seen, proxy.state).check()
            fleet = control_plane.proxies()
            assert all(fleet[name].staleness_seconds >= 0 for name in ("first", "second"))
            wait_until(lambda: metric(second.ops, "headgate_usage_lag_seconds") == 0)
            ms = [row.id.int >> 80 for row in control_plane.billed.rows()]
            assert max(ms) - min(ms) > 1.9 * HOUR_MS, "the clocks were believed"
            assert max(Counter(ms).values()) >= CALLS_PER_CLOCK, "and stood still"


def test_totals_are_exact_when_the_times_of_records_jump(system: System) -> None:
    """Two hours wide, backwards, and many in the same millisecond; every batch twice."""
    chance = points("times of records")
    sent: dict[UUID, usage_pb2.UsageRecord] = {}
    with OwnControlPlane(system, "jumps") as control_plane:
        reporter = Reporter(control_plane.grpc, control_plane.proxy_token())
        now_ms = int(time.time() * 1_000)
        at_ms = now_ms
        for number in range(BATCHES):
            raws = []
            for at in range(RECORDS_PER_BATCH):
                if number % 3:  # else the clock stands still
                    at_ms = now_ms + chance.randint(-HOUR_MS, HOUR_MS)
                raw = make_record(id=make_id(at_ms), key=f"k{at % 3}", cost_picousd=number * 1_000 + at)
                record = usage_pb2.UsageRecord.FromString(raw)
                sent[UUID(bytes=record.id)] = record
                raws.append(raw)
            reporter.send(raws)
            chance.shuffle(raws)
            reporter.send(raws)
            told = [(ack.inserted, ack.repeated_records, ack.quarantined) for ack in reporter.acks(2)]
            assert sorted(told) == [(0, RECORDS_PER_BATCH, 0), (RECORDS_PER_BATCH, 0, 0)]
        reporter.close()
        rows = control_plane.billed.rows()
        assert Counter(row.id for row in rows) == Counter(list(sent))
        assert sum(row.cost_picousd or 0 for row in rows) == sum(one.cost_picousd for one in sent.values())
        assert control_plane.billed.unlike_rollups() == []
        assert control_plane.billed.quarantined() == []
