"""A proxy that lies about usage (A17): what cannot be is clamped and flagged, and costs nobody a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from headgate.rules.credentials import Secret
from headgate.rules.money import MAX_PICOUSD, MAX_TOKENS
from headgate.v1 import admin_pb2, usage_pb2
from tests.abuse.scale import times
from tests.integration.control_plane.records import make_record
from tests.integration.control_plane.replica import Replica, query
from tests.integration.control_plane.test_cp_ingest import reporter, totals

FIELDS = usage_pb2.UsageRecord.DESCRIPTOR.fields
COUNTS = [field.name for field in FIELDS if field.name.endswith("_tokens")]
# On the wire a negative count is one of these.
HUGE = (MAX_TOKENS + 1, 2**31, 2**63, 2**64 - 1)
LARGEST = {
    FieldDescriptor.TYPE_UINT32: (2**31, 2**32 - 1),
    FieldDescriptor.TYPE_ENUM: (-1, 999, -(2**31), 2**31 - 1),
}
TEXTS = ("\0", "a\tb\\N\nc", "\\.", "x" * 3_000, "'; DROP TABLE usage_record; --", "\u2028\U0001f680", "NULL")


def lies() -> Iterator[bytes]:
    """Records in which a count is impossible."""
    for name in COUNTS:
        for value in HUGE:
            yield make_record(**{name: value})
    for cost in (-1, -(2**63)):
        yield make_record(cost_picousd=cost)
    yield make_record(**dict.fromkeys(COUNTS, 2**64 - 1))


def oddities() -> Iterator[bytes]:
    """Records in which everything else is as large, negative, odd or missing as it can be."""
    for field in FIELDS:
        # What has a purpose is no client's call, and is summed up apart.
        for value in LARGEST.get(field.type, ()) if field.name != "purpose" else (-1, -(2**31)):
            yield make_record(**{field.name: value})
        if field.type == FieldDescriptor.TYPE_STRING:
            for text in TEXTS:
                yield make_record(**{field.name: text})
        if field.name not in ("id", "request_id", "metadata"):
            bare = usage_pb2.UsageRecord.FromString(make_record())
            bare.ClearField(field.name)
            yield bare.SerializeToString()
    yield make_record(metadata={text: text for text in TEXTS})
    # Twice: one sum of them is beyond 64 bits.
    yield from (make_record(cost_picousd=MAX_PICOUSD) for _ in range(2))


async def test_impossible_counts_are_clamped_and_flagged_in_every_field(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        lying = list(lies())
        assert await stream.report(lying) == (len(lying), 0, 0)
        columns = ", ".join(COUNTS)
        bounds = f"min(least({columns})), max(greatest({columns})), min(cost_picousd)"
        assert query(database, f"SELECT {bounds} FROM usage_record") == [(0, MAX_TOKENS, 330_000_000)]
        assert query(database, "SELECT count(*) FROM usage_record WHERE NOT estimated") == [(0,)]
        assert query(database, "SELECT count(*) FROM usage_record WHERE cost_picousd IS NULL") == [(2,)]
        totals(database)


async def test_whatever_else_is_odd_is_taken_and_can_be_asked_for(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        odd = list(oddities())
        assert await stream.report(odd) == (len(odd), 0, 0)
        assert query(database, "SELECT count(*) FROM usage_quarantine") == [(0,)]
        totals(database)
        owner = await replica.owner()
        purposes = [make_record(purpose=value) for value in (999, 2**31 - 1)]
        assert await stream.report(purposes) == (2, 0, 0)
        rows = (await owner.call("QueryUsage", admin_pb2.QueryUsageRequest(by=["model"]))).rows
        assert sum(row.attempts for row in rows) == len(odd) + 2
        assert not [row for row in rows if row.cost_usd.startswith("-")]
        calls = (await owner.call("ListCalls", admin_pb2.ListCallsRequest(page_size=1_000))).calls
        assert calls
        for call in calls:
            await owner.call("GetCall", admin_pb2.GetCallRequest(request_id=call.request_id))


async def test_names_in_records_are_no_labels_of_metrics(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        names = ("tenant", "key", "route", "model", "provider", "user", "session", "task", "region")
        count = times(1_500, 10_000)
        invented: list[dict[str, Any]] = [
            {name: f"{name}-{number}" for name in names} for number in range(count)
        ]
        for begin in range(0, count, 500):
            records = [make_record(**fields) for fields in invented[begin : begin + 500]]
            assert await stream.report(records) == (len(records), 0, 0)
        text = replica.control_plane.metrics.text().decode()
        samples = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert f"headgate_control_plane_usage_records {float(count)}" in samples
        assert len(samples) < 100
        assert not [line for line in samples if "-1" in line]
