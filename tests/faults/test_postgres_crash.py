"""F6: PostgreSQL crashes while batches commit. What was acknowledged is there, once, and in the sums."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from uuid import UUID

from tests.faults.reporter import Reporter, batch_of
from tests.faults.scale import points, times
from tests.faults.system import REPORTER, System

CRASHES = times(5, 50)
WRITERS = 3
RECORDS_PER_BATCH = 200


class Writer(threading.Thread):
    """Batch after batch, as fast as they are acknowledged; every fifth record goes again with the next."""

    def __init__(self, system: System, number: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.acked: set[UUID] = set()
        self.sent: set[UUID] = set()
        self._reporter = Reporter(system.headgate.grpc, system.proxy_token(), f"{REPORTER}-{number}")
        self._stop_event = stop

    def run(self) -> None:
        again: dict[UUID, bytes] = {}
        while not self._stop_event.is_set():
            batch = batch_of(RECORDS_PER_BATCH) | again
            self.sent |= batch.keys()
            if self._reporter.deliver(list(batch.values()), self._stop_event):
                self.acked |= batch.keys()
                again = dict(list(batch.items())[:: RECORDS_PER_BATCH // 40])
        self._reporter.close()


def acknowledged(writers: list[Writer]) -> int:
    return sum(len(writer.acked) for writer in writers)


def test_no_acknowledged_record_is_missing_or_doubled_after_crashes_mid_commit(system: System) -> None:
    random = points("postgres crash")
    stop = threading.Event()
    writers = [Writer(system, number, stop) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        for crash in range(CRASHES):
            goal = acknowledged(writers) + 2_000
            while acknowledged(writers) < goal:
                time.sleep(0.01)
            time.sleep(random.uniform(0.0, 0.05))
            postmaster = system.headgate.pids("postgres")[0]
            # What `pg_ctl stop -m immediate` sends, or what a machine does.
            os.kill(postmaster, signal.SIGQUIT if crash % 2 == 0 else signal.SIGKILL)
            system.headgate.wait_for_new("postgres", postmaster)
    finally:
        stop.set()
        for writer in writers:
            writer.join(30)
    acked = set().union(*(writer.acked for writer in writers))
    sent = set().union(*(writer.sent for writer in writers))
    counts = Counter(row.id for row in system.billed.rows() if row.proxy.startswith(REPORTER))
    assert len(acked) > 2_000 * CRASHES
    assert acked - counts.keys() == set(), "acknowledged and missing"
    assert not [one for one in acked | sent if counts[one] > 1], "there twice"
    assert system.billed.unlike_rollups() == []
    assert system.billed.quarantined() == []
    system.check(system.headgate.state)
