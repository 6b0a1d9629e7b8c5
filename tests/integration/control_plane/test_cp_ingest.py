"""Usage ingest: exactly once, whatever is repeated, reordered, poisoned or cut (P4, P5)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import grpc
import pytest

from control_plane.usage import store
from headgate.rules.credentials import Secret
from headgate.v1 import usage_pb2
from tests.integration.control_plane.records import make_id, make_record
from tests.integration.control_plane.replica import Client, Replica, query


class Reporter:
    """A proxy's usage stream."""

    def __init__(self, client: Client, name: str = "proxy-1") -> None:
        self._call = client.report()
        self._name = name
        self._sequence = 0

    async def hello(self) -> Reporter:
        hello = usage_pb2.UsageHello(proxy=self._name, region="us")
        await self._call.write(usage_pb2.ReportRequest(hello=hello))
        return self

    async def send(self, records: Iterable[bytes], scores: Iterable[bytes] = ()) -> int:
        self._sequence += 1
        batch = usage_pb2.UsageBatch(sequence=self._sequence, records=records, scores=scores)
        await self._call.write(usage_pb2.ReportRequest(batch=batch))
        return self._sequence

    async def acked(self) -> usage_pb2.ReportResponse:
        async with asyncio.timeout(15):
            response = await self._call.read()
        if not isinstance(response, usage_pb2.ReportResponse):
            raise ConnectionError(f"{await self._call.code()}: {await self._call.details()}")
        return response

    async def report(self, records: Iterable[bytes], scores: Iterable[bytes] = ()) -> tuple[int, int, int]:
        """(inserted, repeated, quarantined)."""
        sequence = await self.send(records, scores)
        answer = await self.acked()
        assert answer.acked_sequence == sequence
        return answer.inserted, answer.repeated_records, answer.quarantined

    async def code(self) -> str:
        return str((await self._call.code()).name)

    async def close(self) -> None:
        await self._call.done_writing()


async def reporter(replica: Replica, name: str = "proxy-1") -> Reporter:
    return await Reporter(replica.client(await replica.proxy_token()), name).hello()


SUMS = (
    "count(*) FILTER (WHERE final), count(*), sum(input_tokens), sum(cache_read_tokens), "
    "sum(cache_write_5m_tokens + cache_write_1h_tokens), sum(output_tokens), sum(reasoning_tokens), "
    "sum(cost_picousd), count(*) FILTER (WHERE cost_picousd IS NULL)"
)
ROLLED = (
    "sum(calls), sum(attempts), sum(input_tokens), sum(cache_read_tokens), sum(cache_write_tokens), "
    "sum(output_tokens), sum(reasoning_tokens), sum(cost_picousd), sum(unpriced_attempts)"
)


def totals(url: Secret) -> tuple[Any, ...]:
    """Of the records; the roll-ups must say the same, also in their histograms."""
    (of_records,) = query(url, f"SELECT {SUMS} FROM usage_record")
    (rolled,) = query(url, f"SELECT {ROLLED} FROM usage_hour")
    assert [Decimal(n or 0) for n in of_records] == [Decimal(n or 0) for n in rolled]
    ((counted,),) = query(url, "SELECT coalesce(sum(n), 0) FROM usage_hour, unnest(latency_histogram) n")
    assert counted == of_records[0]
    return of_records


async def test_records_and_roll_ups_agree(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        records = [make_record(model=f"m{i % 3}", cost_picousd=i, latency_ms=i) for i in range(200)]
        assert await stream.report(records) == (200, 0, 0)
        found = totals(database)
        assert found[:2] == (200, 200)
        assert found[7] == sum(range(200))


async def test_what_is_repeated_changes_nothing(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        records = [make_record() for _ in range(50)]
        assert await stream.report(records) == (50, 0, 0)
        assert await stream.report(records) == (0, 50, 0)
        assert await stream.report(records[:10] * 2 + [make_record()]) == (1, 20, 0)
        fresh = make_record()
        assert await stream.report([fresh] * 3) == (1, 2, 0)
        assert totals(database)[1] == 52


async def test_another_content_under_a_known_id_is_set_aside(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        same = make_id()
        assert await stream.report([make_record(id=same, cost_picousd=1)]) == (1, 0, 0)
        assert await stream.report([make_record(id=same, cost_picousd=2)]) == (0, 0, 1)
        twice = make_id()
        both = [make_record(id=twice, cost_picousd=3), make_record(id=twice, cost_picousd=4)]
        assert await stream.report(both) == (1, 0, 1)
        assert totals(database)[7] == 4
        why = query(database, "SELECT why, proxy FROM usage_quarantine")
        assert why == [("known under this id with other content", "proxy-1")] * 2
        assert (await (await replica.owner()).call("GetStatus")).quarantined_records == 2


async def test_one_poison_record_in_five_hundred_costs_only_itself(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        records = [make_record() for _ in range(499)]
        records.insert(250, b"\xff not a record")
        assert await stream.report(records) == (499, 0, 1)
        assert await stream.report(records) == (0, 499, 1)
        assert totals(database)[1] == 499
        assert query(database, "SELECT raw FROM usage_quarantine") == [(b"\xff not a record",)]


async def test_what_the_database_itself_refuses_is_found_and_set_aside(
    database: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge = store.merge

    async def spoiled(connection: Any, lines: list[str]) -> store.Merged:
        return await merge(connection, [line.replace("spoil", "spoil\tmore") for line in lines])

    monkeypatch.setattr(store, "merge", spoiled)
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        records = [make_record(user="spoil" if i in (3, 70) else "ok") for i in range(100)]
        assert await stream.report(records) == (98, 0, 2)
        assert totals(database)[1] == 98


async def test_a_record_older_than_the_retention_is_not_billed_again(database: Secret) -> None:
    async with Replica.running(database, usage_retention_days=30) as replica:
        stream = await reporter(replica)
        day_ms, now_ms = 86_400_000, int(time.time() * 1000)
        old, kept = make_id(now_ms - 31 * day_ms), make_id(now_ms - 29 * day_ms)
        assert await stream.report([make_record(id=old), make_record(id=kept)]) == (1, 0, 1)
        assert totals(database)[1] == 1


async def test_eight_streams_with_repeats_in_any_order_neither_deadlock_nor_double(database: Secret) -> None:
    async with Replica.running(database) as replica, Replica.running(database) as other:
        seed = random.randrange(10**6)
        print(f"seed {seed}")
        chance = random.Random(seed)
        token = await replica.proxy_token()
        records = [
            make_record(key=f"k{i % 7}", model=f"m{i % 5}", region=f"r{i % 3}", cost_picousd=i)
            for i in range(2_000)
        ]

        async def run(number: int) -> None:
            home = (replica, other)[number % 2]
            stream = await Reporter(home.client(token), f"p{number}").hello()
            for _ in range(2):
                mine = records[:]
                chance.shuffle(mine)
                for start in range(0, len(mine), 250):
                    await stream.send(mine[start : start + 250])
                for _ in range(0, len(mine), 250):
                    await stream.acked()

        await asyncio.gather(*(run(number) for number in range(8)))
        found = totals(database)
        assert found[1] == 2_000
        assert found[7] == sum(range(2_000))
        assert query(database, "SELECT count(*) FROM usage_quarantine") == [(0,)]


async def test_an_ack_is_sent_only_after_the_commit(
    database: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge, merged, proceed = store.merge, asyncio.Event(), asyncio.Event()

    async def held(connection: Any, lines: list[str]) -> store.Merged:
        result = await merge(connection, lines)
        merged.set()
        await proceed.wait()
        return result

    monkeypatch.setattr(store, "merge", held)
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        await stream.send([make_record()])
        await merged.wait()
        reading = asyncio.create_task(stream.acked())
        await asyncio.sleep(0.3)
        assert not reading.done()
        assert query(database, "SELECT count(*) FROM usage_record") == [(0,)]
        proceed.set()
        assert (await reading).inserted == 1
        assert query(database, "SELECT count(*) FROM usage_record") == [(1,)]


async def test_acks_come_in_the_order_of_the_batches(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        for number in range(30):
            await stream.send([make_record() for _ in range(1 if number % 2 else 400)])
        assert [(await stream.acked()).acked_sequence for _ in range(30)] == list(range(1, 31))


async def test_impossible_counts_are_clamped_and_flagged(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        assert await stream.report([make_record(input_tokens=2**64 - 1, cost_picousd=-1)]) == (1, 0, 0)
        assert query(database, "SELECT input_tokens, cost_picousd, estimated FROM usage_record") == [
            (10**9, None, True)
        ]
        totals(database)


async def test_batches_over_the_limits_are_refused(database: Secret) -> None:
    async with Replica.running(database) as replica:
        for records in ([b""] * 10_001, [bytes(1_000_000)] * 5):
            stream = await reporter(replica)
            await stream.send(records)
            assert await stream.code() == "RESOURCE_EXHAUSTED"


async def test_the_first_message_must_be_a_hello(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = Reporter(replica.client(await replica.proxy_token()))
        await stream.send([make_record()])
        assert await stream.code() == "FAILED_PRECONDITION"
        assert query(database, "SELECT count(*) FROM usage_record") == [(0,)]


async def test_a_stream_that_ends_its_side_gets_all_its_acks(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        for _ in range(5):
            await stream.send([make_record() for _ in range(100)])
        await stream.close()
        assert [(await stream.acked()).inserted for _ in range(5)] == [100] * 5
        assert await stream.code() == grpc.StatusCode.OK.name


async def test_partitions_are_made_ahead_filled_from_the_default_and_dropped(database: Secret) -> None:
    async with Replica.running(database, usage_retention_days=10) as replica:
        stream = await reporter(replica)
        day_ms, now_ms = 86_400_000, int(time.time() * 1000)
        record = make_record(id=make_id(now_ms - 5 * day_ms))
        assert await stream.report([record]) == (1, 0, 0)
        assert query(database, "SELECT count(*) FROM usage_record_default") == [(1,)]
        await replica.control_plane.database.run(replica.control_plane.maintenance.keep_up)
        assert query(database, "SELECT count(*) FROM usage_record_default") == [(0,)]
        assert await stream.report([record]) == (0, 1, 0)
        assert totals(database)[1] == 1
        replica.control_plane.maintenance._retention_days = 3
        await replica.control_plane.database.run(replica.control_plane.maintenance.keep_up)
        assert query(database, "SELECT count(*) FROM usage_record") == [(0,)]
        assert query(database, "SELECT sum(attempts) FROM usage_hour") == [(1,)]
