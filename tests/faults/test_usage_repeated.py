"""F12: batches come again, out of order, on two streams at once, from eight writers. The totals are exact.

To two replicas, because two transactions of one seldom meet.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from uuid import UUID

import pytest

from headgate.v1 import usage_pb2
from tests.faults.control_planes import OwnControlPlane
from tests.faults.reporter import Reporter
from tests.faults.scale import points, times
from tests.faults.system import System, metric
from tests.integration.control_plane.records import make_id, make_record

WRITERS = 8
BATCHES_PER_WRITER = times(6, 60)
RECORDS_PER_BATCH = times(40, 200)
# All writers send these first: the same new rows in many transactions.
COMMON_BATCHES = times(4, 20)
COMMON_RECORDS = 800
MOST_REPEATS = 8
# Batches under way on a stream; the control plane reads no more.
UNDER_WAY = 8


@pytest.fixture
def replicas(system: System) -> Iterator[list[OwnControlPlane]]:
    with (
        OwnControlPlane(system, "repeated") as one,
        OwnControlPlane(system, "repeated_too", replica_of=one) as other,
    ):
        yield [one, other]


Batches = Sequence[Sequence[bytes]]


class Writer(threading.Thread):
    """Sends its batches one to eight times each, shuffled, over a stream to each replica."""

    def __init__(
        self, replicas: Sequence[OwnControlPlane], number: int, batches: Batches, common: Batches
    ) -> None:
        super().__init__(daemon=True)
        self._random = points(f"writer {number}")
        self._batches, self._common = batches, common
        self._streams = [Reporter(one.grpc, one.proxy_token(), f"writer-{number}") for one in replicas]
        self.acks: list[usage_pb2.ReportResponse] = []
        self.sent_records = 0

    def run(self) -> None:
        due = [batch for batch in self._batches for _ in range(self._random.randint(1, MOST_REPEATS))]
        self._random.shuffle(due)
        due = [*self._common, *due]
        try:
            for first in range(0, len(due), UNDER_WAY):
                for batch in due[first : first + UNDER_WAY]:
                    for stream in self._streams:
                        records = list(batch)
                        self._random.shuffle(records)
                        stream.send(records)
                        self.sent_records += len(records)
                for stream in self._streams:
                    self.acks += stream.acks(len(due[first : first + UNDER_WAY]))
        finally:
            for reporter in self._streams:
                reporter.close()


def batch_of(number: int, size: int) -> list[bytes]:
    """Of groups that all batches share, so that writers meet in the same roll-ups."""
    return [
        make_record(
            id=make_id(),
            key=f"k{at % 7}",
            model=f"m{at % 5}",
            region=f"r{at % 3}",
            cost_picousd=number * 1_000 + at,
            input_tokens=at,
            output_tokens=number,
        )
        for at in range(size)
    ]


def test_totals_are_exact_whatever_is_repeated_reordered_and_sent_twice_at_once(
    replicas: list[OwnControlPlane],
) -> None:
    own = [
        [batch_of(number * 100 + batch, RECORDS_PER_BATCH) for batch in range(BATCHES_PER_WRITER)]
        for number in range(WRITERS)
    ]
    common = [batch_of(10_000 + batch, COMMON_RECORDS) for batch in range(COMMON_BATCHES)]
    writers = [Writer(replicas, number, mine, common) for number, mine in enumerate(own)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(times(60, 1_200))
    assert not [writer for writer in writers if writer.is_alive()], "a writer hangs"
    sent_once = [*common, *(batch for batches in own for batch in batches)]
    records = [usage_pb2.UsageRecord.FromString(raw) for batch in sent_once for raw in batch]
    billed = replicas[0].billed
    rows = billed.rows()
    assert Counter(row.id for row in rows) == Counter(UUID(bytes=record.id) for record in records)
    assert sum(row.cost_picousd or 0 for row in rows) == sum(record.cost_picousd for record in records)
    assert sum(row.input_tokens for row in rows) == sum(record.input_tokens for record in records)
    assert billed.unlike_rollups() == []
    assert billed.quarantined() == []
    acks = [ack for writer in writers for ack in writer.acks]
    assert sum(ack.inserted for ack in acks) == len(records), "each record was new exactly once"
    sent = sum(writer.sent_records for writer in writers)
    assert sum(ack.inserted + ack.repeated_records for ack in acks) == sent
    assert sum(metric(one.ops, "headgate_control_plane_usage_records") for one in replicas) == sent
    for one in replicas:
        one.kill()
    assert replicas[0].deadlocks() == 0
