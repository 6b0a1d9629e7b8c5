"""How many usage records per second the control plane brings into PostgreSQL, and on how much CPU.

This file owns the clock and the accounting; what a batch looks like on the wire is in `usage_report`.
The sender's own work is not counted, and its batches are encoded before the clock starts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.perf import accounting

Report: TypeAlias = Callable[[int, int], int]
"""(records, records per batch) -> records acknowledged, all of them after COMMIT."""

RECORDS = 100_000
BATCH_RECORDS = 1_000


@dataclass(frozen=True, slots=True)
class IngestRate:
    """`per_second` is by wall time with all on this machine, `per_core_second` by the control plane's CPU."""

    per_second: float
    per_core_second: float
    postgres_us_per_record: float


class IngestFailed(Exception):
    """Fewer records were acknowledged than sent."""


def measure_ingest(
    report: Report,
    control_plane_pids: list[int],
    postgres_pids: list[int],
    records: int = RECORDS,
    batch_records: int = BATCH_RECORDS,
) -> IngestRate:
    """Send `records` once and account for it. The sender runs in the calling process and is not counted."""
    before, before_postgres = accounting.read_cpu(control_plane_pids), accounting.read_cpu(postgres_pids)
    begin = time.monotonic()
    acknowledged = report(records, batch_records)
    seconds = time.monotonic() - begin
    spent_us = accounting.spent_us(before, accounting.read_cpu(control_plane_pids))
    postgres_us = accounting.spent_us(before_postgres, accounting.read_cpu(postgres_pids))
    if acknowledged != records:
        raise IngestFailed(f"{acknowledged} of {records} records were acknowledged")
    return IngestRate(
        per_second=records / seconds,
        per_core_second=records / (spent_us / 1e6) if spent_us else 0.0,
        postgres_us_per_record=postgres_us / records,
    )
