"""A change that some proxies have first: who is sent what, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from control_plane.rollouts import watch
from control_plane.rollouts.model import SHARE_UNIT, share_of
from control_plane.rollouts.store import Counts
from control_plane.rollouts.watch import is_a_rise
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, history_pb2, rollout_pb2, usage_pb2
from tests.integration.control_plane.records import make_record
from tests.integration.control_plane.replica import Replica, make, refused
from tests.integration.control_plane.rolling import AFTER, BEFORE, ended, fleet, last, start
from tests.integration.control_plane.scripted_proxy import ScriptedProxy
from tests.integration.control_plane.test_cp_ingest import reporter

FAILED: dict[str, Any] = {"outcome": usage_pb2.OUTCOME_ERROR, "client_status": 502, "status": 500}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0.05)


async def test_only_the_group_has_it_until_it_is_promoted(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        started = await start(owner, AFTER)
        assert list(started.rollout.proxies) == ["proxy-0", "proxy-1"]
        assert [change.change for change in started.changes] == [admin_pb2.CHANGE_TYPE_CHANGED]
        await proxies.reach(started.rollout.revision)
        assert proxies.policies() == ["new", "new", "old", "old"]
        stored = await owner.call("GetResource", admin_pb2.GetResourceRequest(kind="route", name="chat"))
        assert stored.resource.resource.route.policy.model == "old"
        promoted = await owner.call("PromoteRollout", rollout_pb2.PromoteRolloutRequest())
        await proxies.reach(promoted.revision)
        assert proxies.policies() == ["new"] * 4
        verbs = {
            change.verb
            for change in (
                await owner.call("ListChanges", history_pb2.ListChangesRequest(kind="rollout"))
            ).changes
        }
        assert verbs == {"started", "promoted"}


async def test_it_is_promoted_by_itself_when_its_time_is_over(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        started = await start(owner, AFTER, bake=1)
        await proxies.reach(started.rollout.revision)
        assert "no trouble" in (await ended(owner, "promoted")).reason
        await proxies.reach(started.rollout.revision + 2)
        assert proxies.policies() == ["new"] * 4


async def test_what_no_proxy_has_tried_is_not_promoted_by_itself(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        started = await start(owner, AFTER, bake=1, labels={"pool": "canery"})
        assert list(started.rollout.proxies) == []
        await proxies.reach(started.rollout.revision)
        await asyncio.sleep(1.5)
        assert (await last(owner)).state == "canary"
        assert proxies.policies() == ["old"] * 4


async def test_what_its_proxies_may_have_died_of_is_not_promoted(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        started = await start(owner, AFTER, bake=1)
        await proxies.reach(started.rollout.revision)
        for number in range(2):
            proxies.proxies[number].leave()
        await asyncio.sleep(1.5)
        assert (await last(owner)).state == "canary"
        await proxies.comes_back(0)
        await asyncio.sleep(0.5)
        assert (await last(owner)).state == "canary", "proxy-1 is still away"
        await proxies.comes_back(1)
        assert "no trouble" in (await ended(owner, "promoted")).reason


async def test_a_proxy_that_took_it_and_stays_away_halts_it(
    database: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "GONE", timedelta(seconds=1))
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        proxies.proxies[3].leave()
        started = await start(owner, AFTER)
        _, died, other, _ = proxies.proxies
        await asyncio.gather(*(proxy.reach(started.rollout.revision) for proxy in proxies.proxies[:3]))
        other.leave()
        await asyncio.sleep(1.5)
        assert (await last(owner)).state == "canary", "they are not of the group"
        died.leave()
        assert (await ended(owner, "halted")).reason == "proxy-1 took it and has not been connected for 1 s"
        await proxies.proxies[0].reach(started.rollout.revision + 1)
        assert proxies.policies()[0] == "old"


async def test_halting_gives_the_group_back_what_the_others_have(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        added = make("model", name="newer", provider="p")
        started = await start(owner, make("route", name="chat", policy="newer"), added)
        await proxies.reach(started.rollout.revision)
        assert [("model", "default", "newer") in proxy.entries for proxy in proxies.proxies] == [
            True,
            True,
            False,
            False,
        ]
        halted = await owner.call("HaltRollout", rollout_pb2.HaltRolloutRequest(reason="not yet"))
        await proxies.reach(halted.revision)
        assert proxies.policies() == ["old"] * 4
        assert not any(("model", "default", "newer") in proxy.entries for proxy in proxies.proxies)
        assert (await last(owner)).reason == "not yet"
        assert (await refused(owner.call("HaltRollout", rollout_pb2.HaltRolloutRequest())))[0] == "NOT_FOUND"


async def test_a_proxy_that_refuses_it_halts_it(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        started = await start(owner, AFTER, bake=1)
        revision = started.rollout.revision
        first, *others = proxies.proxies
        await asyncio.gather(
            first.refuse("route/default/chat", "no"), *(proxy.reach(revision) for proxy in others)
        )
        view = await ended(owner, "halted")
        assert view.reason == "proxy-0 refused it: route/default/chat: no"
        await proxies.reach(revision + 1)
        assert proxies.policies() == ["old"] * 4


async def test_a_rise_in_errors_halts_it_and_errors_everywhere_do_not(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        canary, other = [await reporter(replica, name) for name in ("proxy-0", "proxy-3")]

        def records(good: int, bad: int) -> Iterable[bytes]:
            return [*(make_record() for _ in range(good)), *(make_record(**FAILED) for _ in range(bad))]

        await other.report(records(180, 20))
        await canary.report(records(0, 50))  # before it began: proxy-0 was bad already
        started = await start(owner, AFTER)
        await proxies.reach(started.rollout.revision)
        await canary.report(records(85, 15))
        await asyncio.sleep(0.5)
        assert (await last(owner)).state == "canary", (await last(owner)).reason
        await canary.report(records(20, 180))
        view = await ended(owner, "halted")
        assert "195 of 300 calls failed (65.0%" in view.reason


async def test_it_goes_on_on_another_replica_and_a_returning_proxy_is_sent_its_own(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        started = await start(owner, AFTER)
        await proxies.reach(started.rollout.revision)
        token, owner_token = await replica.proxy_token(), replica.owner_token
        await proxies.reach(started.rollout.revision + 1)
        kept = proxies.proxies[0]
    async with Replica.running(database) as replica:
        owner = replica.client(owner_token)
        for name, label, expected in (
            ("proxy-0", "canary", "new"),
            ("proxy-3", "main", "old"),
            ("late", "canary", "new"),
        ):
            proxy = ScriptedProxy(replica.client(token), name)
            if name == "proxy-0":
                proxy.version, proxy.entries = kept.version, kept.entries
            await proxy.hello(labels={"pool": label})
            await proxy.accept()
            assert proxy.entries["route", "default", "chat"].route.policy.model == expected
        await owner.call("HaltRollout", rollout_pb2.HaltRolloutRequest())


async def test_what_cannot_be_rolled_out_is_refused(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, _ = await fleet(replica)
        new_key = make("provider", name="p", type="openai", keys=["sk-other"])
        for resources, group, code, said in (
            ([make("key", name="k2")], {}, "INVALID_ARGUMENT", "only provider"),
            ([new_key], {}, "INVALID_ARGUMENT", "set-key"),
            ([make("route", name="chat", policy="missing")], {}, "FAILED_PRECONDITION", "missing"),
            ([BEFORE[3]], {}, "FAILED_PRECONDITION", "already"),
            ([AFTER], {"percent": 100}, "INVALID_ARGUMENT", "less than 100"),
            ([AFTER], {"percent": 5, "labels": {"a": "b"}}, "INVALID_ARGUMENT", "either"),
        ):
            answer = await refused(start(owner, *resources, **group))
            assert (answer[0], said in answer[1]) == (code, True), answer
        assert list((await owner.call("ListRollouts")).rollouts) == []
        await start(owner, AFTER, percent=25)
        assert len((await last(owner)).proxies) == 1
        assert (await refused(start(owner, AFTER)))[0] == "ABORTED"


def test_a_share_is_rounded_up_to_whole_proxies_and_holds_for_later_ones() -> None:
    names = [f"proxy-{number}" for number in range(40)]
    for percent, wanted in ((1, 1), (10, 4), (11, 5), (99, 40)):
        group = share_of("salt", percent, names)
        assert sum(group.has(name, {}) for name in names) == wanted
    later = [f"later-{number}" for number in range(2_000)]
    group = share_of("salt", 25, names)
    assert 0.1 < sum(group.has(name, {}) for name in later) / len(later) < 0.45
    assert share_of("salt", 50, []).below == SHARE_UNIT // 2


def test_a_rise_is_no_chance() -> None:
    assert not is_a_rise(Counts(100, 4), Counts(1_000, 10))
    assert not is_a_rise(Counts(100, 6), Counts(1_000, 30))
    assert is_a_rise(Counts(100, 20), Counts(1_000, 30))
    assert not is_a_rise(Counts(10_000, 30), Counts(10_000, 10)), "0.2 points are no reason"
    assert is_a_rise(Counts(10, 9), Counts(0, 0))
