"""Replays over gRPC: everything is read once, or a fair part of it; one at a time; a tenant sees its own."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from control_plane.plans import recorded
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, experiments_pb2, routing_pb2, usage_pb2
from tests.integration.control_plane.records import make_id, make_record
from tests.integration.control_plane.replica import Client, Replica, make, refused
from tests.integration.control_plane.test_cp_ingest import reporter

NOW_MS = int(time.time() * 1000)
CONFIG = (
    make("provider", name="openai", type="openai", keys=["sk-1"]),
    make("model", name="gpt-4o-mini", provider="openai", price={"input": 1, "output": 1}),
    make("model", name="dear", provider="openai", price={"input": 10, "output": 10}),
    make("route", name="chat", policy="gpt-4o-mini"),
)


def calls(count: int, **changes: Any) -> list[bytes]:
    """Calls of two attempts each: one failed, one answered."""
    records = []
    for number in range(count):
        request_id = make_id()
        common = {"request_id": request_id, "operation": "chat.completions", **changes}
        time_ms = NOW_MS - 1_000_000 + number
        failed = {"final": False, "outcome": usage_pb2.OUTCOME_ERROR, "cost_picousd": 0}
        records.append(make_record(**{**common, **failed}, id=make_id(time_ms)))
        records.append(make_record(**common, id=make_id(time_ms + 1)))
    return records


async def replay(client: Client, *resources: Any, **more: Any) -> list[routing_pb2.ReplayResponse]:
    request = routing_pb2.ReplayRequest(resources=resources, **more)
    return [answer async for answer in client.replay(request)]


async def test_every_attempt_is_read_and_progress_comes_to_an_end(
    database: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control_plane.plans.recorded.PAGE", 100)
    monkeypatch.setattr("control_plane.plans.replays.PAGE", 100)
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG)
        stream = await reporter(replica)
        await stream.report(calls(250))
        answers = await replay(owner, make("route", name="chat", policy="dear"))
        assert all(not answer.HasField("report") for answer in answers[:-1])
        done = [answer.done for answer in answers]
        assert done == sorted(done)
        assert (answers[-1].done, answers[-1].total) == (1_000, 1_000), "500 attempts, twice"
        report = answers[-1].report
        assert (report.calls, report.attempts, report.one_in) == (250, 500, 1)
        assert report.moved == 250
        # 1,000 tokens in and 300 out at 10 USD a million; half of the recorded model's attempts failed.
        assert float(report.replayed.cost_usd) == pytest.approx(250 * 1_300 * 10 / 1e6)
        assert float(report.recorded.cost_usd) == pytest.approx(250 * 0.00033)
        assert report.replayed.failed == 0, "nothing was seen of `dear` that would make one expect it"
        same = (await replay(owner))[-1].report
        assert same.replayed.failed == pytest.approx(125)


async def test_of_very_much_a_part_of_the_requests_is_taken_whole(
    database: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "MAX_ATTEMPTS", 250)
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG)
        stream = await reporter(replica)
        await stream.report(calls(500))
        report = (await replay(owner))[-1].report
        assert report.one_in == 4
        assert report.attempts == 2 * report.calls, "a request's attempts come together"
        assert 80 <= report.calls <= 175  # 125 expected; five deviations of 9.7 each way


async def test_a_manifest_with_a_decided_experiment_is_replayed_as_it_was_decided(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        variants = [{"name": "a", "use": "gpt-4o-mini"}, {"name": "b", "use": "dear"}]
        trial = make("experiment", name="trial", unit="request", variants=variants)
        route = make("route", name="chat", policy={"experiment": "trial"})
        await owner.apply(*CONFIG[:3], trial, route)
        stream = await reporter(replica)
        await stream.report(calls(50))
        split = (await replay(owner, trial, route))[-1].report
        assert 0 < split.moved < 50
        promoted = await owner.call(
            "PromoteExperiment", experiments_pb2.PromoteExperimentRequest(name="trial", variant="b")
        )
        await replica.published(promoted.revision)
        assert (await replay(owner, trial, route))[-1].report.moved == 50


async def test_one_at_a_time(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG)
        stream = await reporter(replica)
        await stream.report(calls(2_000))
        first = asyncio.create_task(replay(owner))
        await asyncio.sleep(0.05)
        code, message = await refused(replay(owner))
        assert (code, "another replay is running" in message) == ("RESOURCE_EXHAUSTED", True)
        assert (await first)[-1].report.calls == 2_000
        assert (await replay(owner))[-1].report.calls == 2_000


async def test_one_that_is_given_up_makes_way_for_the_next(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG)
        stream = await reporter(replica)
        await stream.report(calls(2_000))
        given_up = asyncio.create_task(replay(owner))
        await asyncio.sleep(0.1)
        given_up.cancel()
        async with asyncio.timeout(10):
            while True:
                try:
                    assert (await replay(owner))[-1].report.calls == 2_000
                    break
                except Exception as error:
                    assert "another replay is running" in str(error)
                    await asyncio.sleep(0.05)


async def test_a_tenant_replays_its_own_calls_with_its_own_config(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG, make("tenant", name="acme"))
        stream = await reporter(replica)
        await stream.report(calls(3) + calls(5, tenant="acme"))
        token = await owner.call(
            "CreateToken",
            admin_pb2.CreateTokenRequest(name="v", role="viewer", tenant="acme", request_id="1"),
        )
        viewer = replica.client(token.minted.secret)
        report = (await replay(viewer))[-1].report
        assert report.calls == 0
        assert [(one.name, one.calls) for one in report.skipped] == [("chat", 5)]
        code, _ = await refused(replay(viewer, tenant="default"))
        assert code == "NOT_FOUND"
