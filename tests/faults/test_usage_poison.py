"""F13: what is no record, or contradicts one, is set aside with an alarm, and costs no other anything."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import pytest

from headgate.v1 import usage_pb2
from proxy.usage.record import Recorder
from proxy.usage.spool import FINAL, Spool
from tests.faults.control_planes import OwnControlPlane
from tests.faults.reporter import Reporter
from tests.faults.scale import FULL, points, times
from tests.faults.spools import account, final_of, kill_writer
from tests.faults.system import OwnProxy, System, call, metric, wait_until
from tests.integration.control_plane.records import make_id, make_record
from tests.support.ledgers import read_spool

BATCH = 500
ROUNDS = times(1, 20)
QUIET_SECONDS = 10.0 if FULL else 0.5
DAY_MS = 86_400_000
SPOOL_BYTES = 1 << 20

QUARANTINED = "headgate_control_plane_usage_quarantined"
TAKEN = "headgate_control_plane_usage_records"
CONTRADICTION = "known under this id with other content"

now_ms = int(time.time() * 1000)
# What it is, and why it is set aside.
POISON = {
    "garbage": (b"\xff not a record", "not a UsageRecord"),
    "nothing": (b"", "id is not a UUIDv7"),
    "a random id": (make_record(id=b"\x40" * 16), "id is not a UUIDv7"),
    "half a request id": (make_record(request_id=b"12345678"), "request_id is not 16 bytes"),
    "from the future": (make_record(id=make_id(now_ms + 8 * DAY_MS)), "from the future"),
    "out of the past": (
        make_record(id=make_id(now_ms - 400 * DAY_MS)),
        "older than what is kept: it may have been billed before",
    ),
    "a huge one": (make_record(user="u" * 70_000), "larger than 65536 bytes"),
}


@pytest.fixture(scope="module")
def control_plane(system: System) -> Iterator[OwnControlPlane]:
    with OwnControlPlane(system, "poison") as running:
        running.furnish()
        yield running


@pytest.fixture
def reporter(control_plane: OwnControlPlane) -> Iterator[Reporter]:
    reporter = Reporter(control_plane.grpc, control_plane.proxy_token(), "reporter")
    yield reporter
    reporter.close()


def told(reporter: Reporter, records: list[bytes]) -> tuple[int, int, int]:
    """(inserted, repeated, set aside) of a batch."""
    reporter.send(records)
    (ack,) = reporter.acks(1)
    return ack.inserted, ack.repeated_records, ack.quarantined


def fresh(count: int) -> list[bytes]:
    return [make_record(key=f"k{number % 7}") for number in range(count)]


@pytest.mark.parametrize("name", POISON)
def test_one_poison_record_in_five_hundred_costs_only_itself(
    control_plane: OwnControlPlane, reporter: Reporter, name: str
) -> None:
    random = points(f"poison {name}")
    poison, why = POISON[name]
    before = len(control_plane.billed.rows())
    alarm = metric(control_plane.ops, QUARANTINED)
    for _ in range(ROUNDS):
        records = fresh(BATCH - 1)
        records.insert(random.randrange(BATCH), poison)
        assert told(reporter, records) == (BATCH - 1, 0, 1)
        assert told(reporter, records) == (0, BATCH - 1, 1), "a proxy that missed the ack sends it again"
    assert len(control_plane.billed.rows()) - before == ROUNDS * (BATCH - 1)
    assert control_plane.billed.unlike_rollups() == []
    assert why in control_plane.billed.quarantined()
    assert metric(control_plane.ops, QUARANTINED) - alarm == 2 * ROUNDS
    assert control_plane.call("GetStatus").quarantined_records == len(control_plane.billed.quarantined())


def test_another_content_under_a_known_id_is_set_aside_and_changes_no_sum(
    control_plane: OwnControlPlane, reporter: Reporter
) -> None:
    random = points("contradictions")
    alarm = metric(control_plane.ops, QUARANTINED)
    known = Counter(control_plane.billed.quarantined())[CONTRADICTION]
    for _ in range(ROUNDS):
        ids = [make_id() for _ in range(BATCH)]
        records = [make_record(id=one, cost_picousd=1) for one in ids]
        assert told(reporter, records) == (BATCH, 0, 0)
        liar = random.randrange(BATCH)
        records[liar] = make_record(id=ids[liar], cost_picousd=10**12)
        assert told(reporter, records) == (0, BATCH - 1, 1)
        # In one batch the first of two counts.
        twice = make_id()
        both = [make_record(id=twice, cost_picousd=1), make_record(id=twice, cost_picousd=10**12)]
        assert told(reporter, [*fresh(BATCH - 2), *both]) == (BATCH - 1, 0, 1)
    assert Counter(control_plane.billed.quarantined())[CONTRADICTION] - known == 2 * ROUNDS
    assert metric(control_plane.ops, QUARANTINED) - alarm == 2 * ROUNDS
    assert max(row.cost_picousd or 0 for row in control_plane.billed.rows()) < 10**12
    assert control_plane.billed.unlike_rollups() == []


def test_a_proxy_with_poison_in_its_spool_delivers_the_rest_once_and_goes_on(
    control_plane: OwnControlPlane,
) -> None:
    """A contradiction too; and nothing is sent over and over."""
    state = control_plane.folder / "poisoned"
    good = [make_id() for _ in range(BATCH - 2)]
    taken = make_id()
    reporter = Reporter(control_plane.grpc, control_plane.proxy_token(), "reporter")
    assert told(reporter, [make_record(id=taken)]) == (1, 0, 0)
    reporter.close()
    spool = Spool(state / "spool" / "1-1", SPOOL_BYTES, SPOOL_BYTES)
    broken = b"\x40" * 16
    for number, identity in enumerate([*good[:200], broken, *good[200:400], taken, *good[400:]]):
        intent = Recorder(spool).intent(identity, make_id(), account(20))
        spool.append(FINAL, final_of(intent, number))
    kill_writer(spool)
    alarm, before = metric(control_plane.ops, QUARANTINED), metric(control_plane.ops, TAKEN)
    with OwnProxy(control_plane, "poisoned") as proxy:
        wait_until(lambda: not read_spool(state).finals)
        ids = {row.id for row in control_plane.billed.rows()}
        assert {UUID(bytes=one) for one in (*good, taken)} <= ids
        assert UUID(bytes=broken) not in ids
        assert metric(control_plane.ops, QUARANTINED) - alarm == 2
        assert call(proxy.base_url, control_plane.api_key, "slow")[0] == 200
        wait_until(lambda: metric(control_plane.ops, TAKEN) - before >= BATCH + 1)
        time.sleep(QUIET_SECONDS)
        assert metric(control_plane.ops, TAKEN) - before == BATCH + 1, "and not again"
        assert metric(proxy.ops, "headgate_usage_lag_seconds") == 0
    assert control_plane.billed.unlike_rollups() == []
    alarms = [line for line in control_plane.log_lines() if line.get("proxy") == "poisoned"]
    assert [line["why"] for line in alarms if "why" in line] == ["id is not a UUIDv7", CONTRADICTION]


def test_a_bad_score_costs_only_itself(control_plane: OwnControlPlane, reporter: Reporter) -> None:
    """Scores and records travel together."""
    records = fresh(BATCH)
    reporter.send(records, scores=[b"\xff not a score"])
    (ack,) = reporter.acks(1)
    assert (ack.inserted, ack.repeated_records, ack.quarantined) == (BATCH, 0, 1)
    ids = {row.id for row in control_plane.billed.rows()}
    assert {UUID(bytes=usage_pb2.UsageRecord.FromString(raw).id) for raw in records} <= ids
