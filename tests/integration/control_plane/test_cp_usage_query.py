"""Reports and calls over gRPC."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from control_plane.rpc import pages
from control_plane.usage import tail as tail_module
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, usage_pb2
from tests.integration.control_plane.records import make_id, make_record
from tests.integration.control_plane.replica import Client, Replica, make, query, refused
from tests.integration.control_plane.test_cp_ingest import reporter

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW_MS = int(time.time() * 1000)


def at(unix_ms: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMilliseconds(unix_ms)
    return stamp


async def usage(client: Client, *by: str, since_ms: int = 0, until_ms: int = 0, **more: Any) -> Any:
    request = admin_pb2.QueryUsageRequest(by=by, **more)
    if since_ms:
        getattr(request, "from").CopyFrom(at(since_ms))
    if until_ms:
        request.to.CopyFrom(at(until_ms))
    return (await client.call("QueryUsage", request)).rows


async def test_records_and_roll_ups_give_the_same_report(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        records = [
            make_record(
                id=make_id(NOW_MS - i * HOUR_MS // 3),
                key=f"k{i % 4}",
                request_latency_ms=100 + i,
                client_status=200 if i % 10 else 502,
                cost_picousd=10**9 + i,
            )
            for i in range(200)
        ]
        await stream.report(records)
        owner = await replica.owner()
        # Both edges lie inside an hour. One window is over a day; it is made of two that are under a day.
        start, middle, end = NOW_MS - 40 * HOUR_MS - 1_234_567, NOW_MS - 20 * HOUR_MS, NOW_MS + 1
        rolled = await usage(owner, "key", since_ms=start, until_ms=end)
        parts = [
            row
            for window in ((start, middle), (middle, end))
            for row in await usage(owner, "key", since_ms=window[0], until_ms=window[1])
        ]
        assert [row.group[0] for row in rolled] != []
        for row in rolled:
            same = [part for part in parts if part.group == row.group]
            for name in ("calls", "attempts", "errors", "input_tokens", "output_tokens", "cache_read_tokens"):
                assert getattr(row, name) == sum(getattr(part, name) for part in same), name
            cost = sum(int(float(part.cost_usd) * 1e12 + 0.5) for part in same)
            assert int(float(row.cost_usd) * 1e12 + 0.5) == cost
            low, high = min(part.p50_ms for part in same), max(part.p50_ms for part in same)
            assert low / 1.25 <= row.p50_ms <= high * 1.25


async def test_a_call_that_nobody_saw_end_is_counted_and_has_no_latency(database: Secret) -> None:
    """Its proxy died under way: the record is made of the intent, and knows no more."""
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        ended = [make_record(request_latency_ms=1000) for _ in range(10)]
        unknown = [
            make_record(
                outcome=usage_pb2.OUTCOME_UNKNOWN,
                reason=usage_pb2.REASON_PROXY_RESTART,
                client_status=0,
                latency_ms=0,
                first_token_ms=None,
                request_latency_ms=0,
            )
            for _ in range(30)
        ]
        await stream.report(ended + unknown)
        owner = await replica.owner()
        for since_ms in (0, NOW_MS - 50 * HOUR_MS):  # from the records, from the roll-ups
            (row,) = await usage(owner, since_ms=since_ms)
            assert (row.calls, row.errors) == (40, 30)
            assert 800 < row.p50_ms < 1250


async def test_money_is_exact_and_unpriced_is_not_zero(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        no_cost = usage_pb2.UsageRecord.FromString(make_record(model="unpriced"))
        no_cost.ClearField("cost_picousd")
        records = [make_record(cost_picousd=1), make_record(cost_picousd=2), no_cost.SerializeToString()]
        await stream.report(records)
        owner = await replica.owner()
        rows = {row.group[0]: row for row in await usage(owner, "model")}
        assert rows["gpt-4o-mini"].cost_usd == "0.000000000003"
        assert not rows["unpriced"].HasField("cost_usd")
        assert rows["unpriced"].unpriced_attempts == 1
        (total,) = await usage(owner)
        assert (total.cost_usd, total.unpriced_attempts) == ("0.000000000003", 1)
        (total,) = await usage(owner, since_ms=NOW_MS - 50 * HOUR_MS)
        assert (total.cost_usd, total.unpriced_attempts) == ("0.000000000003", 1)


async def test_a_call_is_its_final_attempt_and_its_cost_the_sum_of_all(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        request_id = make_id()
        failed = make_record(
            request_id=request_id,
            model="first",
            outcome=usage_pb2.OUTCOME_ERROR,
            reason=usage_pb2.REASON_OVERLOADED,
            status=529,
            final=False,
            client_status=0,
            cost_picousd=5,
        )
        answered = make_record(
            request_id=request_id, model="second", attempt_number=2, started_ms=300, cost_picousd=7
        )
        await stream.report([failed, answered])
        owner = await replica.owner()
        (row,) = await usage(owner)
        assert (row.calls, row.attempts, row.errors, row.cost_usd) == (1, 2, 0, "0.000000000012")
        (call,) = (await owner.call("ListCalls")).calls
        assert (call.model, call.status, call.attempts) == ("second", 200, 2)
        assert (call.cost_usd, call.input_tokens, call.first_token_ms) == ("0.000000000012", 2_000, 420)
        assert call.request_id == request_id.hex()
        for text in (request_id.hex(), str(UUID(bytes=request_id))):
            shown = (await owner.call("GetCall", admin_pb2.GetCallRequest(request_id=text))).call
            assert [attempt.model for attempt in shown.attempt_list] == ["first", "second"]
            assert shown.attempt_list[0].reason == usage_pb2.REASON_OVERLOADED
        for text in ("nonsense", make_id().hex()):
            request = admin_pb2.GetCallRequest(request_id=text)
            assert (await refused(owner.call("GetCall", request)))[0] == "NOT_FOUND"


async def test_grouping_by_user_metadata_and_time(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        hostile = "x'; DROP TABLE usage_record; --"
        await stream.report(
            [make_record(user="u1", metadata={"team": "a", hostile: "1"}), make_record(user="u2")]
        )
        owner = await replica.owner()
        rows = await usage(owner, "user", "metadata.team", f"metadata.{hostile}")
        assert sorted(tuple(row.group) for row in rows) == [("u1", "a", "1"), ("u2", "", "")]
        (row,) = await usage(owner, "day", "hour")
        assert row.group[1].startswith(row.group[0] + "T")
        assert row.group[1].endswith(":00:00Z")
        (row,) = await usage(owner, "day", since_ms=NOW_MS - 50 * HOUR_MS)
        assert row.attempts == 2
        for bad in ("nothing", "tenant; --", "metadata.", "user_name"):
            request = admin_pb2.QueryUsageRequest(by=[bad])
            assert (await refused(owner.call("QueryUsage", request)))[0] == "INVALID_ARGUMENT"


async def test_reports_and_calls_come_in_pages(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        records = [make_record(id=make_id(NOW_MS - i), key=f"k{i:02}", cost_picousd=i) for i in range(25)]
        await stream.report(records)
        owner = await replica.owner()
        for method, request_type, field in (
            ("QueryUsage", admin_pb2.QueryUsageRequest, "rows"),
            ("ListCalls", admin_pb2.ListCallsRequest, "calls"),
        ):
            keys, token = [], ""
            while True:
                request = request_type(page_size=10, page_token=token)
                if method == "QueryUsage":
                    request.by.append("key")  # type: ignore[union-attr]
                answer = await owner.call(method, request)
                keys += [item.group[0] if field == "rows" else item.key for item in getattr(answer, field)]
                token = answer.next_page_token
                if not token:
                    break
            expected = sorted(keys, reverse=field == "rows")
            assert keys == expected
            assert len(set(keys)) == 25


@pytest.mark.parametrize("page_size", [1, 2, 3, 4, 10])
async def test_a_call_that_closed_twice_is_listed_once_and_hides_none_that_are_older(
    database: Secret, page_size: int
) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        # Newest first; "?" is an attempt that ended in the dark, beside the one that answered.
        closings = ["a", "b?", "c", "b", "d?", "d", "e?", "f", "e"]
        request_ids = {name: make_id() for name in "abcdef"}
        in_the_dark = {"outcome": usage_pb2.OUTCOME_UNKNOWN, "final": False}
        records = [
            make_record(
                id=make_id(NOW_MS - place * 1_000),
                key=closing[0],
                request_id=request_ids[closing[0]],
                **(in_the_dark if closing.endswith("?") else {}),
            )
            for place, closing in enumerate(closings)
        ]
        await stream.report(records)
        owner = await replica.owner()
        keys, token = [], ""
        while True:
            answer = await owner.call(
                "ListCalls", admin_pb2.ListCallsRequest(page_size=page_size, page_token=token)
            )
            keys += [call.key for call in answer.calls]
            token = answer.next_page_token
            if not token:
                break
        assert keys == list(request_ids)


@pytest.mark.parametrize(("by", "hours"), [("user", 20), ("user", 50), ("key", 20), ("key", 50)])
async def test_a_report_in_pages_has_every_group_once_whatever_comes_in_meanwhile(
    database: Secret, by: str, hours: int
) -> None:
    def calls(costs: dict[str, int]) -> list[bytes]:
        return [
            make_record(id=make_id(NOW_MS - 2 * HOUR_MS), cost_picousd=cost, **{by: name})
            for name, cost in costs.items()
        ]

    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        names = [f"n{number:02}" for number in range(12)]
        unpriced = usage_pb2.UsageRecord.FromString(calls({"unpriced": 0})[0])
        unpriced.ClearField("cost_picousd")
        first = {name: 100 - number for number, name in enumerate(names)}
        await stream.report([*calls(first), unpriced.SerializeToString()])
        owner = await replica.owner()
        found, token, page_number = [], "", 0
        while page_number == 0 or token:
            request = admin_pb2.QueryUsageRequest(by=[by], page_size=5, page_token=token)
            if not token:
                getattr(request, "from").CopyFrom(at(NOW_MS - hours * HOUR_MS))
            answer = await owner.call("QueryUsage", request)
            found += [(row.group[0], row.attempts, row.cost_usd) for row in answer.rows]
            token, page_number = answer.next_page_token, page_number + 1
            # The last ones overtake the others, the first ones grow, and there are new ones.
            meanwhile = {"n11": 500, "n07": 500, "unpriced": 500, "n00": 500, f"new{page_number}": 50}
            await stream.report(calls(meanwhile))
        expected = [(name, 1, f"0.{cost:012}") for name, cost in first.items()]
        assert [(name, attempts, f"{float(cost or 0):.12f}") for name, attempts, cost in found] == [
            *expected,
            ("unpriced", 1, "0.000000000000"),
        ]
        assert found[-1][2] == ""


async def test_usage_whose_records_are_gone_is_reported_from_its_hours(database: Secret) -> None:
    midnight = NOW_MS - NOW_MS % DAY_MS
    long_ago = midnight - 40 * DAY_MS + 5 * HOUR_MS
    quarter = HOUR_MS // 4
    async with Replica.running(database, usage_retention_days=60) as replica:
        stream = await reporter(replica)
        old = [make_record(id=make_id(long_ago + n * quarter), cost_picousd=10**9) for n in range(8)]
        await stream.report([*old, make_record(id=make_id(NOW_MS), cost_picousd=5)])
        await replica.control_plane.database.run(replica.control_plane.maintenance.keep_up)
        token = replica.owner_token
    async with Replica.running(database, usage_retention_days=30) as replica:
        async with asyncio.timeout(10):
            while query(database, "SELECT count(*) FROM usage_record") != [(1,)]:
                await replica.control_plane.database.run(replica.control_plane.maintenance.keep_up)
        owner = replica.client(token)
        for since, until, attempts in (
            (long_ago, long_ago + HOUR_MS, 4),
            # Part of an hour is told as the whole.
            (long_ago + quarter + 60_000, long_ago + quarter + 120_000, 4),
            (long_ago + 3 * quarter, long_ago + HOUR_MS + quarter, 8),
            (long_ago + HOUR_MS, NOW_MS, 4),
            (long_ago + HOUR_MS, NOW_MS + 1, 5),
            (long_ago + quarter, NOW_MS + 1, 9),
        ):
            (row,) = await usage(owner, "key", since_ms=since, until_ms=until)
            assert row.attempts == attempts, (since, until)
        for by in ("user", "metadata.team"):
            request = admin_pb2.QueryUsageRequest(by=[by], to=at(NOW_MS))
            getattr(request, "from").CopyFrom(at(long_ago))
            code, message = await refused(owner.call("QueryUsage", request))
            assert (code, "is not known by user or metadata" in message) == ("INVALID_ARGUMENT", True)
        (row,) = await usage(owner, "user", since_ms=NOW_MS - 29 * DAY_MS)
        assert row.attempts == 1


async def test_a_page_token_of_somebodys_own_making_is_refused(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        moment, later = "2026-01-01T00:00:00+00:00", "2026-01-01T01:00:00+00:00"
        for place in (
            (10,),
            (moment, later, "tomorrow", 1, 1, "g"),
            (later, moment, moment, 1, 1, "g"),
            (moment, later, moment, 1, 1),
            (moment, later, moment, 1, 1, "a\0b"),
        ):
            request = admin_pb2.QueryUsageRequest(by=["key"], page_token=pages.encode(*place))
            assert (await refused(owner.call("QueryUsage", request)))[0] == "INVALID_ARGUMENT", place
        deep = base64.urlsafe_b64encode(b"[" * 3_000).decode()
        request = admin_pb2.QueryUsageRequest(by=["key"], page_token=deep)
        assert (await refused(owner.call("QueryUsage", request)))[0] == "INVALID_ARGUMENT"


async def test_a_tenants_token_sees_its_tenants_usage_only(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(make("tenant", name="mine"), make("tenant", name="theirs"))
        stream = await reporter(replica)
        theirs_id = make_id()
        await stream.report([make_record(tenant="mine"), make_record(tenant="theirs", request_id=theirs_id)])
        mine = replica.client(await replica.token("viewer", tenant="mine"))
        for since in (0, NOW_MS - 50 * HOUR_MS):
            (row,) = await usage(mine, "tenant", since_ms=since)
            assert (row.group[0], row.calls) == ("mine", 1)
        assert not await usage(mine, "tenant", tenant="theirs")
        assert [call.tenant for call in (await mine.call("ListCalls")).calls] == ["mine"]
        assert not (await mine.call("ListCalls", admin_pb2.ListCallsRequest(tenant="theirs"))).calls
        request = admin_pb2.GetCallRequest(request_id=theirs_id.hex())
        there = await refused(mine.call("GetCall", request))
        assert there[0] == "NOT_FOUND"


async def test_calls_are_followed_as_they_are_committed_on_any_replica(database: Secret) -> None:
    async with Replica.running(database) as one, Replica.running(database) as two:
        stream = await reporter(one)
        await stream.report([make_record(key="before")])
        await asyncio.sleep(0.1)
        owner = two.client(one.owner_token)
        tail = owner.tail(admin_pb2.TailCallsRequest())
        await tail.wait_for_connection()
        await asyncio.sleep(0.3)
        await stream.report([make_record(key="a"), make_record(key="b")])
        async with asyncio.timeout(4):
            keys = [(await tail.read()).call.key for _ in range(2)]
        assert sorted(keys) == ["a", "b"]
        tail.cancel()


async def test_a_burst_of_more_calls_than_one_look_takes_is_followed_to_its_end(
    database: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "MAX_PER_LOOK", 4)
    monkeypatch.setattr(tail_module, "LOOK_SECONDS", 0.1)
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        tail = (await replica.owner()).tail(admin_pb2.TailCallsRequest())
        await tail.wait_for_connection()
        await asyncio.sleep(0.3)
        keys = [f"k{number:02}" for number in range(22)]
        await stream.report([make_record(id=make_id(NOW_MS + n), key=key) for n, key in enumerate(keys)])
        async with asyncio.timeout(4):
            assert [(await tail.read()).call.key for _ in keys] == keys
        tail.cancel()
