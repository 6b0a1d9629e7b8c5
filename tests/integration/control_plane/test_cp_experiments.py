"""Results of experiments out of real records: who counts, by which unit, what is said of a difference."""

from __future__ import annotations

import time
from typing import Any

import pytest

from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, experiments_pb2, usage_pb2
from tests.integration.control_plane.records import make_id, make_record
from tests.integration.control_plane.replica import Client, Replica, make, refused
from tests.integration.control_plane.test_cp_ingest import reporter

CONFIG = (
    make("provider", name="openai", type="openai", keys=["sk-1"]),
    make("model", name="m", provider="openai"),
)
VARIANTS = [{"name": "a", "use": "m"}, {"name": "b", "use": "m"}]


def record(variant: str, **changes: Any) -> bytes:
    common = {"experiment": "trial", "variant": variant, "id": make_id(), "request_id": make_id()}
    return make_record(**{**common, **changes})


async def shown(client: Client, **more: Any) -> experiments_pb2.ShowExperimentResponse:
    request = experiments_pb2.ShowExperimentRequest(name="trial", **more)
    answer: experiments_pb2.ShowExperimentResponse = await client.call("ShowExperiment", request)
    return answer


def metrics(variant: experiments_pb2.VariantView) -> dict[str, experiments_pb2.MetricView]:
    return {metric.name: metric for metric in variant.metrics}


async def test_figures_are_per_call_and_differences_by_unit(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG, make("experiment", name="trial", unit="session", variants=VARIANTS))
        records = []
        for session in range(200):
            for call in range(3):
                cheap = {"cost_picousd": 10**9, "request_latency_ms": 400 + call, "session": f"a{session}"}
                dear = {"cost_picousd": 3 * 10**9, "request_latency_ms": 400 + call, "session": f"b{session}"}
                failed = (
                    {"client_status": 502, "outcome": usage_pb2.OUTCOME_ERROR} if session % 10 == 0 else {}
                )
                records += [record("a", **cheap), record("b", **{**dear, **failed})]
        stream = await reporter(replica)
        await stream.report(records)
        found = await shown(owner)
        a, b = found.variants
        assert [(v.name, v.units, v.calls, v.share) for v in (a, b)] == [
            ("a", 200, 600, 0.5),
            ("b", 200, 600, 0.5),
        ]
        assert metrics(a)["cost_usd"].mean == pytest.approx(0.001)
        assert metrics(b)["cost_usd"].mean == pytest.approx(0.003)
        assert metrics(b)["cost_usd"].difference == pytest.approx(0.002)
        assert metrics(b)["error_rate"].mean == pytest.approx(0.1)
        assert metrics(a)["latency_ms"].mean == pytest.approx(401)
        assert metrics(b)["latency_ms"].difference == pytest.approx(0)
        assert not metrics(a)["cost_usd"].HasField("difference"), "it is the first"
        # 20 of 200 sessions failed with all their calls: as 200 observations, not as 600.
        errors = metrics(b)["error_rate"]
        assert errors.half_width == pytest.approx(0.1 * 0.9, rel=0.4)
        assert not found.shares_are_off


async def test_a_call_that_nobody_saw_end_does_not_make_its_variant_fast(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG, make("experiment", name="trial", unit="session", variants=VARIANTS))
        ended = {"request_latency_ms": 400}
        unknown = {"outcome": usage_pb2.OUTCOME_UNKNOWN, "client_status": 0, "request_latency_ms": 0}
        records = [record("a", session=f"s{n}", **(unknown if n % 2 else ended)) for n in range(40)]
        stream = await reporter(replica)
        await stream.report(records)
        found = metrics((await shown(owner)).variants[0])
        assert found["error_rate"].mean == pytest.approx(0.5)
        assert found["latency_ms"].mean == pytest.approx(400)


async def test_what_was_assigned_by_itself_does_not_count_and_fallbacks_do(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG, make("experiment", name="trial", unit="user", variants=VARIANTS))
        request_id = make_id()
        failed = {"request_id": request_id, "final": False, "outcome": usage_pb2.OUTCOME_ERROR}
        records = [
            record("a", user="u1"),
            record("a", user="u2", variant_by_request=True),
            record("b", user="u3", **failed, cost_picousd=5),
            record("b", user="u3", request_id=request_id, outside_variant=True, cost_picousd=7),
            record("b", user="u4", cost_picousd=None),
            record("gone", user="u5"),
        ]
        stream = await reporter(replica)
        await stream.report(records)
        a, b = (await shown(owner)).variants
        assert (a.units, a.calls) == (1, 1)
        assert (b.units, b.calls, b.outside, b.unpriced) == (2, 2, 1, 1)
        assert metrics(b)["cost_usd"].mean == pytest.approx(12e-12), "both attempts of the one that is priced"
        assert not metrics(b)["cost_usd"].HasField("difference"), "two are too few"


@pytest.mark.parametrize(
    ("unit", "units"), [("session", 2), ("user", 3), ("key", 1), ("request", 6), ("metadata.team", 2)]
)
async def test_each_unit_is_counted_as_what_it_is(database: Secret, unit: str, units: int) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG, make("experiment", name="trial", unit=unit, variants=VARIANTS))
        stream = await reporter(replica)
        await stream.report(
            [
                record("a", session=f"s{n % 2}", user=f"u{n % 3}", metadata={"team": f"t{n % 2}"})
                for n in range(6)
            ]
        )
        assert (await shown(owner)).variants[0].units == units


async def test_a_split_that_is_off_is_said(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG, make("experiment", name="trial", unit="session", variants=VARIANTS))
        stream = await reporter(replica)
        for variant, count in (("a", 300), ("b", 200)):
            await stream.report([record(variant, session=f"{variant}{n}") for n in range(count)])
        assert (await shown(owner)).shares_are_off


async def test_only_what_came_after_the_last_change_counts_unless_asked_otherwise(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG, make("experiment", name="trial", unit="session", variants=VARIANTS))
        hour_ago = int((time.time() - 3_600) * 1000)
        stream = await reporter(replica)
        await stream.report([record("a", session="s", id=make_id(hour_ago))])
        assert (await shown(owner)).variants[0].units == 0
        request = experiments_pb2.ShowExperimentRequest(name="trial")
        getattr(request, "from").FromMilliseconds(hour_ago - 1_000)
        assert (await owner.call("ShowExperiment", request)).variants[0].units == 1


async def test_a_tenant_sees_its_own_experiments_only(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(
            *CONFIG,
            make("experiment", name="trial", unit="session", variants=VARIANTS),
            make("tenant", name="acme"),
        )
        token = await owner.call(
            "CreateToken",
            admin_pb2.CreateTokenRequest(name="v", role="viewer", tenant="acme", request_id="1"),
        )
        viewer = replica.client(token.minted.secret)
        for more in ({}, {"tenant": "default"}):
            code, message = await refused(shown(viewer, **more))
            assert (code, message) == ("NOT_FOUND", "there is no experiment 'trial'")
