"""Scores out of real records: whose word counts, the last of several, what is set aside, what a day cost."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sqlmodel import Session

from control_plane.experiments import steering
from control_plane.experiments.steering import Steering
from control_plane.resources.model import Ref
from headgate.rules.credentials import Secret
from headgate.v1 import experiments_pb2, usage_pb2
from tests.integration.control_plane.records import make_id, make_record
from tests.integration.control_plane.replica import Client, Replica, make, query
from tests.integration.control_plane.scripted_proxy import ScriptedProxy
from tests.integration.control_plane.test_cp_ingest import reporter

JUDGE, CHECK, FEEDBACK = (
    usage_pb2.SCORE_SOURCE_JUDGE,
    usage_pb2.SCORE_SOURCE_CHECK,
    usage_pb2.SCORE_SOURCE_FEEDBACK,
)
PROVIDER = make("provider", name="p", tenant="*", type="openai", keys=["sk-1"])
MODEL = make("model", name="m", tenant="*", provider="p")


def experiment(*variants: dict[str, Any], tenant: str = "default", **more: Any) -> Any:
    judge = {"model": "m", **more.pop("judge", {})}
    return make("experiment", name="trial", tenant=tenant, variants=list(variants), judge=judge, **more)


def variant(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "use": "m", **more}


def called(request_id: bytes, name: str, **more: Any) -> bytes:
    fields = {"experiment": "trial", "variant": name, "session": request_id.hex(), **more}
    return make_record(request_id=request_id, **fields)


def score(request_id: bytes, value: float | None, **more: Any) -> bytes:
    fields = {"tenant": "default", "source": JUDGE, "name": "m", **more}
    if value is None:
        fields.setdefault("unscored", usage_pb2.UNSCORED_NONSENSE)
    record = usage_pb2.ScoreRecord(id=make_id(), request_id=request_id, value=value, **fields)
    return record.SerializeToString()


async def metrics(client: Client, name: str, tenant: str = "") -> dict[str, float]:
    request = experiments_pb2.ShowExperimentRequest(name="trial", tenant=tenant)
    shown = await client.call("ShowExperiment", request)
    found = next(one for one in shown.variants if one.name == name)
    return {metric.name: metric.mean for metric in found.metrics if metric.HasField("mean")}


async def test_the_last_word_counts_and_a_repeated_batch_changes_nothing(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER, MODEL, experiment(variant("a"), variant("b")))
        request_id = make_id()
        said = [score(request_id, 0.0, source=FEEDBACK, name="") for _ in range(2)]
        last = score(request_id, 1.0, source=FEEDBACK, name="")
        stream = await reporter(replica)
        await stream.report([called(request_id, "a")], said)
        await stream.report([], [last])
        await stream.report([], said)
        assert (await metrics(owner, "a"))["feedback"] == 1.0
        assert query(database, "SELECT count(*) FROM score_record") == [(3,)]


@pytest.mark.parametrize("owner_of_it", ["acme", "*"])
async def test_a_tenant_says_nothing_of_another_ones_calls(database: Secret, owner_of_it: str) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        tenants = [make("tenant", name=name) for name in ("acme", "other")]
        await owner.apply(
            PROVIDER, MODEL, *tenants, experiment(variant("a"), variant("b"), tenant=owner_of_it)
        )
        request_id = make_id()
        told = [
            score(request_id, value, source=FEEDBACK, name="", tenant=tenant)
            for tenant, value in (("acme", 1.0), ("other", 0.0))
        ]
        stream = await reporter(replica)
        await stream.report([called(request_id, "a", tenant="acme")], told)
        assert (await metrics(owner, "a", owner_of_it))["feedback"] == 1.0


async def test_what_is_no_score_is_set_aside_and_the_others_are_kept(database: Secret) -> None:
    async with Replica.running(database) as replica:
        await replica.owner()
        request_id = make_id()
        bad = [
            score(request_id, 1.5),
            score(request_id, float("nan")),
            score(request_id, None, unscored=0),
            score(b"short", 0.5),
            b"no message",
        ]
        stream = await reporter(replica)
        assert await stream.report([], [*bad, score(request_id, 0.5)]) == (0, 0, len(bad))
        assert query(database, "SELECT value FROM score_record") == [(0.5,)]
        assert query(database, "SELECT count(*) FROM usage_quarantine") == [(len(bad),)]


async def test_what_is_said_of_a_call_past_what_is_kept_is_counted_and_never_set_aside(
    database: Secret,
) -> None:
    async with Replica.running(database, usage_retention_days=30) as replica:
        long_ago = [make_id(int(time.time() * 1000) - days * 86_400_000) for days in (31, 99)]
        said = [score(one, 1.0, source=FEEDBACK, name="") for one in (*long_ago, make_id())]
        stream = await reporter(replica)
        assert await stream.report([], said) == (0, 0, 0)
        assert query(database, "SELECT count(*) FROM score_record") == [(1,)]
        assert query(database, "SELECT count(*) FROM usage_quarantine") == [(0,)]
        assert replica.control_plane.ingest.scores_too_late_total == 2


async def test_a_quality_needs_its_judge_and_passes_its_checks(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        judge = {"checks": [{"json": True}]}
        await owner.apply(PROVIDER, MODEL, experiment(variant("a"), variant("b"), judge=judge))
        ids = [make_id() for _ in range(4)]
        graded = [(1.0, 1.0), (1.0, 0.0), (0.5, 1.0), (None, 1.0)]
        scores = [score(one, grade) for one, (grade, _) in zip(ids, graded, strict=True)]
        scores += [
            score(one, passed, source=CHECK, name="json")
            for one, (_, passed) in zip(ids, graded, strict=True)
        ]
        stream = await reporter(replica)
        await stream.report([called(one, "a", cost_picousd=10**10) for one in ids], scores)
        found = await metrics(owner, "a")
        assert found["quality"] == pytest.approx((1.0 + 0.0 + 0.5) / 3)
        assert found["check json"] == pytest.approx(3 / 4)
        assert found["cost_per_success"] == pytest.approx(0.03), "three were judged, one was good enough"


async def decided(replica: Replica, client: Client) -> Any:
    """As the rules have it now, without waiting for the next look at them."""
    plane = replica.control_plane
    await plane.database.run(
        lambda session: plane.steering.decide(session, Ref("experiment", "default", "trial"))
    )
    return (await client.call("ShowExperiment", experiments_pb2.ShowExperimentRequest(name="trial"))).state


async def test_the_first_variant_stays_wherever_a_shadow_stands_in_the_manifest(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        variants = variant("shade", shadow=True), variant("a"), variant("b")
        stop = {"max_samples": 60, "then": "promote", "by": "cost_usd"}
        await owner.apply(PROVIDER, MODEL, experiment(*variants, stop=stop))
        records = [called(make_id(), name, cost_picousd=10**9) for name in ("a", "b") for _ in range(60)]
        records += [
            called(make_id(), "shade", cost_picousd=10**9, purpose=usage_pb2.PURPOSE_SHADOW)
            for _ in range(60)
        ]
        stream = await reporter(replica)
        await stream.report(records)
        state = await decided(replica, owner)
        assert (state.winner, "no difference" in state.evidence) == ("a", True)


async def test_preferences_decide_nothing_once_what_they_are_beside_was_stopped(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        variants = variant("a"), variant("b"), variant("c")
        await owner.apply(
            PROVIDER, MODEL, experiment(*variants, judge={"mode": "pairwise"}, stop={"then": "promote"})
        )
        ids = {name: [make_id() for _ in range(60)] for name in ("b", "c")}
        scores = [
            score(one, 1.0 if name == "b" else 0.0, versus="a") for name, some in ids.items() for one in some
        ]
        stream = await reporter(replica)
        await stream.report([called(one, name) for name, some in ids.items() for one in some], scores)
        await owner.call("StopExperiment", experiments_pb2.StopExperimentRequest(name="trial", variant="a"))
        assert (await decided(replica, owner)).winner == ""
        await owner.call("StartExperiment", experiments_pb2.StartExperimentRequest(name="trial"))


def answers(good: dict[str, int], count: int = 100, **purposes: int) -> tuple[list[bytes], list[bytes]]:
    """(calls, scores): of each variant `count` answers, so many of them good. `purposes`: of shadows."""
    calls, scores = [], []
    for name, so_many in good.items():
        for number in range(count):
            request_id = make_id()
            calls.append(called(request_id, name, purpose=purposes.get(name, usage_pb2.PURPOSE_UNSPECIFIED)))
            scores.append(score(request_id, float(number < so_many)))
    return calls, scores


async def shares(client: Client) -> dict[str, float]:
    shown = await client.call("ShowExperiment", experiments_pb2.ShowExperimentRequest(name="trial"))
    return {one.name: one.share for one in shown.variants}


async def test_a_surely_worse_variant_is_eliminated_and_the_others_go_on(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        variants = variant("a", weight=2), variant("b"), variant("c")
        await owner.apply(PROVIDER, MODEL, experiment(*variants, stop={"then": "promote", "eliminate": True}))
        stream = await reporter(replica)
        await stream.report(*answers({"a": 80, "b": 30, "c": 84}))
        listener = ScriptedProxy(replica.client(await replica.proxy_token()))
        await listener.hello()
        state = await decided(replica, owner)
        assert [one.variant for one in state.stopped] == ["b"]
        assert state.winner == ""
        assert state.stopped[0].evidence.startswith("quality of c is better by 0.54 ± ")
        assert await shares(owner) == {"a": pytest.approx(2 / 3), "b": 0, "c": pytest.approx(1 / 3)}
        while {one.name for one in open_variants(listener)} != {"a", "c"}:
            await listener.accept()
        assert (await decided(replica, owner)).stopped == state.stopped, "decided once"
        applied = await owner.apply(
            PROVIDER, MODEL, experiment(*variants, stop={"then": "promote", "eliminate": True})
        )
        told = next(change for change in applied.changes if change.kind == "experiment")
        assert list(told.overrides) == ["b stopped"]


async def test_while_there_are_shadows_they_alone_are_eliminated(database: Secret) -> None:
    """Their part beside the others would change with each of them that goes."""
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        variants = variant("a"), variant("b"), variant("c"), variant("shade", shadow=True)
        await owner.apply(PROVIDER, MODEL, experiment(*variants, stop={"then": "promote", "eliminate": True}))
        stream = await reporter(replica)
        good = {"a": 80, "b": 30, "c": 84, "shade": 20}
        await stream.report(*answers(good, shade=usage_pb2.PURPOSE_SHADOW))
        assert [one.variant for one in (await decided(replica, owner)).stopped] == ["shade"]
        state = await decided(replica, owner)
        assert [one.variant for one in state.stopped] == ["shade", "b"]


async def test_one_variant_alone_is_looked_at_with_any_rule_and_the_control_plane_stays(
    database: Secret,
) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(
            PROVIDER, MODEL, experiment(variant("a"), stop={"then": "promote", "eliminate": True})
        )
        stream = await reporter(replica)
        await stream.report(*answers({"a": 80}))
        state = await decided(replica, owner)
        assert (state.winner, len(state.stopped)) == ("", 0)


async def test_an_experiment_that_cannot_be_looked_at_keeps_no_other_from_it(
    database: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering, "EVERY_SECONDS", 0.05)
    looked: list[str] = []

    def fails(self: Steering, session: Session, ref: Ref) -> None:
        looked.append(ref.name)
        raise ZeroDivisionError

    monkeypatch.setattr(Steering, "decide", fails)
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        rule = {"then": "promote"}
        other = make(
            "experiment", name="other", variants=[variant("a"), variant("b")], judge={"model": "m"}, stop=rule
        )
        await owner.apply(PROVIDER, MODEL, experiment(variant("a"), variant("b"), stop=rule), other)
        async with asyncio.timeout(10):
            while not {"trial", "other"} <= set(looked):
                await asyncio.sleep(0.02)
        await owner.call("GetStatus")


async def test_what_was_found_is_not_lost_by_looking_on(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER, MODEL, experiment(variant("a"), variant("b"), stop={"max_samples": 300}))
        stream = await reporter(replica)
        await stream.report(*answers({"a": 30, "b": 70}))
        found = await decided(replica, owner)
        assert (found.would_win, "better" in found.evidence) == ("b", True)
        await stream.report(*answers({"a": 145, "b": 105}, 200))
        assert await decided(replica, owner) == found
        await owner.call("StopExperiment", experiments_pb2.StopExperimentRequest(name="trial", variant="b"))
        assert (await decided(replica, owner)).would_win == "a", "the only one that is left"


async def test_ending_gives_all_to_the_first_that_is_left_and_says_who_it_is(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER, MODEL, experiment(variant("a"), variant("b"), variant("c")))
        stop = experiments_pb2.StopExperimentRequest(name="trial", variant="a")
        await owner.call("StopExperiment", stop)
        ended = await owner.call("StopExperiment", experiments_pb2.StopExperimentRequest(name="trial"))
        assert ended.winner == "b"
        assert await shares(owner) == {"a": 0, "b": 1, "c": 0}
        promote = experiments_pb2.PromoteExperimentRequest(name="trial", variant="a")
        await owner.call("PromoteExperiment", promote)
        shown = await owner.call("ShowExperiment", experiments_pb2.ShowExperimentRequest(name="trial"))
        assert (shown.state.winner, len(shown.state.stopped)) == ("a", 0)


async def test_a_decision_about_a_variant_that_is_gone_is_none(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        rule = {"then": "promote"}
        await owner.apply(PROVIDER, MODEL, experiment(variant("a"), variant("b"), stop=rule))
        await owner.call(
            "PromoteExperiment", experiments_pb2.PromoteExperimentRequest(name="trial", variant="b")
        )
        without = experiment(variant("a"), variant("c"), stop=rule)
        applied = await owner.apply(PROVIDER, MODEL, without)
        assert [list(change.overrides) for change in applied.changes if change.kind == "experiment"] == [[]]
        assert await shares(owner) == {"a": 0.5, "c": 0.5}
        stream = await reporter(replica)
        await stream.report(*answers({"a": 30, "c": 90}))
        assert (await decided(replica, owner)).winner == "c", "it is decided anew"


def open_variants(proxy: ScriptedProxy) -> list[Any]:
    entry = proxy.entries.get(("experiment", "default", "trial"))
    variants = entry.experiment.variants if entry is not None else ()
    return [one for one in variants if one.weight or not one.HasField("weight")]


async def test_each_proxy_is_told_what_all_have_spent_today(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        shade = variant("shade", shadow=True, max_usd_per_day="1")
        done = await owner.apply(
            PROVIDER, MODEL, experiment(variant("a"), shade, judge={"max_usd_per_day": "1"})
        )
        await replica.published(done.revision)
        for number, purpose, name in (
            (1, usage_pb2.PURPOSE_JUDGE, "a"),
            (2, usage_pb2.PURPOSE_SHADOW, "shade"),
            (4, usage_pb2.PURPOSE_SHADOW, "a"),  # to compare with: the judge pays
        ):
            for proxy in ("proxy-1", "proxy-2"):
                stream = await reporter(replica, proxy)
                await stream.report([called(make_id(), name, purpose=purpose, cost_picousd=number * 10**6)])
        # What it has spent today does not become the judge's.
        stop = experiments_pb2.StopExperimentRequest(name="trial", variant="shade")
        await replica.published((await owner.call("StopExperiment", stop)).revision)
        listener = ScriptedProxy(replica.client(await replica.proxy_token()))
        await listener.hello()
        await listener.accept()
        async with asyncio.timeout(15):
            told = await listener.hears_spending()
        spent = {(one.tenant, one.experiment, one.variant): one.picousd for one in told.spent}
        assert spent == {("default", "trial", ""): 10 * 10**6, ("default", "trial", "shade"): 4 * 10**6}


async def test_experiments_of_one_name_in_two_tenants_have_limits_of_their_own(database: Secret) -> None:
    """A shared one stands in where a tenant has none of its own, and each tenant has a purse of its own."""
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        tenants = [make("tenant", name=name) for name in ("acme", "guest", "other")]
        limit = {"max_usd_per_day": "1"}
        split = {
            tenant: experiment(
                variant(seen), variant(shade, shadow=True, **limit), tenant=tenant, judge=limit
            )
            for tenant, seen, shade in (("default", "a", "b"), ("acme", "b", "a"), ("*", "c", "a"))
        }
        done = await owner.apply(PROVIDER, MODEL, *tenants, *split.values())
        await replica.published(done.revision)
        stream = await reporter(replica)
        spent = [("default", "a"), ("default", "b"), ("acme", "a"), ("acme", "b")]
        spent += [(tenant, name) for tenant in ("guest", "other") for name in ("c", "a")]
        copies = [
            called(make_id(), name, tenant=tenant, purpose=usage_pb2.PURPOSE_SHADOW, cost_picousd=2**number)
            for number, (tenant, name) in enumerate(spent)
        ]
        await stream.report(copies)
        listener = ScriptedProxy(replica.client(await replica.proxy_token()))
        await listener.hello()
        await listener.accept()
        async with asyncio.timeout(15):
            told = await listener.hears_spending()
        assert {(one.tenant, one.variant): one.picousd for one in told.spent} == {
            ("default", ""): 1,
            ("default", "b"): 2,
            ("acme", "a"): 4,
            ("acme", ""): 8,
            ("guest", ""): 16,
            ("guest", "a"): 32,
            ("other", ""): 64,
            ("other", "a"): 128,
        }
