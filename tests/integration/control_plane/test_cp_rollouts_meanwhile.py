"""What somebody declares, deletes, disables or ends while a rollout is under way."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from control_plane.rollouts import watch
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, rollout_pb2
from tests.integration.control_plane.replica import Replica, make, refused
from tests.integration.control_plane.rolling import AFTER, BEFORE, ended, fleet, last, start


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0.05)


async def test_what_verbs_write_reaches_all_at_once_meanwhile(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        started = await start(owner, AFTER)
        await proxies.reach(started.rollout.revision)
        revoked = await owner.call("RevokeKey", admin_pb2.RevokeKeyRequest(name="app"))
        disable = admin_pb2.SetDisabledRequest(kind="route", name="chat", disabled=True, reason="x")
        disabled = await owner.call("SetDisabled", disable)
        await proxies.reach(max(revoked.revision, disabled.revision))
        for proxy in proxies.proxies:
            assert list(proxy.entries["key", "default", "app"].key.credentials) == []
            assert proxy.entries["route", "default", "chat"].disabled
        assert proxies.policies() == ["new", "new", "old", "old"]
        await asyncio.sleep(0.3)
        assert (await last(owner)).state == "canary", (await last(owner)).reason


async def test_a_resource_that_is_declared_otherwise_meanwhile_halts_it(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        started = await start(owner, AFTER)
        await proxies.reach(started.rollout.revision)
        await owner.apply(make("route", name="chat", policy={"fallback": ["old", "new"]}))
        assert "declared otherwise" in (await ended(owner, "halted")).reason


@pytest.mark.parametrize("by", ["delete", "prune"])
async def test_a_resource_that_is_taken_away_meanwhile_halts_it_and_stays_away(
    database: Secret, by: str
) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        started = await start(owner, AFTER)
        await proxies.reach(started.rollout.revision)
        if by == "delete":
            gone = await owner.call(
                "DeleteResource", admin_pb2.DeleteResourceRequest(kind="route", name="chat")
            )
        else:
            rest = [resource for resource in BEFORE if resource.WhichOneof("spec") != "route"]
            gone = await owner.apply(*rest, prune=True)
        view = await ended(owner, "halted")
        assert view.reason == "routes/default/chat was declared otherwise or deleted meanwhile"
        await proxies.reach(gone.revision + 1)
        assert not any(("route", "default", "chat") in proxy.entries for proxy in proxies.proxies)


async def test_what_it_brings_itself_is_no_change_meanwhile(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        added = make("model", name="newer", provider="p")
        started = await start(owner, make("route", name="chat", policy="newer"), added, bake=1)
        await proxies.reach(started.rollout.revision)
        assert "no trouble" in (await ended(owner, "promoted")).reason
        await proxies.reach(started.rollout.revision + 2)
        assert proxies.policies() == ["newer"] * 4


async def test_promoting_does_not_undo_what_was_declared_or_deleted_meanwhile(
    database: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY_SECONDS", 60.0)
    async with Replica.running(database) as replica:
        owner, _ = await fleet(replica)
        await start(owner, AFTER)
        await owner.call("DeleteResource", admin_pb2.DeleteResourceRequest(kind="route", name="chat"))
        assert await refused(owner.call("PromoteRollout")) == (
            "FAILED_PRECONDITION",
            "routes/default/chat was declared otherwise or deleted since the rollout began",
        )
        assert (await last(owner)).state == "canary"


async def test_an_overlay_that_no_longer_fits_halts_it_and_everybody_is_served(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        started = await start(owner, AFTER)
        await proxies.reach(started.rollout.revision)
        delete = admin_pb2.DeleteResourceRequest(kind="model", name="new")
        gone = await owner.call("DeleteResource", delete)
        await proxies.reach(gone.revision)
        assert "no longer fits" in (await ended(owner, "halted")).reason
        await proxies.reach(gone.revision + 1)
        assert proxies.policies() == ["old"] * 4


async def test_who_means_a_rollout_that_has_ended_does_not_end_the_next_one(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner, _ = await fleet(replica)
        first = (await start(owner, AFTER)).rollout.revision
        halt, promote = rollout_pb2.HaltRolloutRequest, rollout_pb2.PromoteRolloutRequest
        await owner.call("HaltRollout", halt(revision=first))
        assert (await refused(owner.call("PromoteRollout", promote(revision=first))))[0] == "NOT_FOUND"
        second = (await start(owner, AFTER)).rollout.revision
        said = ("ABORTED", f"rollout {second} is under way, not {first}")
        assert await refused(owner.call("HaltRollout", halt(revision=first))) == said
        assert await refused(owner.call("PromoteRollout", promote(revision=first))) == said
        assert (await last(owner)).state == "canary"
        await owner.call("PromoteRollout", promote(revision=second))
        assert (await last(owner)).state == "promoted"


async def test_a_rollout_that_begins_while_another_is_judged_is_not_promoted_in_its_place(
    database: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Replica.running(database) as replica:
        owner, proxies = await fleet(replica)
        rollouts, judged, go_on = replica.control_plane.rollouts, threading.Event(), threading.Event()
        promote = rollouts.promote

        def held(*arguments: Any) -> Any:
            judged.set()
            go_on.wait(10)
            return promote(*arguments)

        monkeypatch.setattr(rollouts, "promote", held)
        first = await start(owner, AFTER, bake=1)
        await proxies.reach(first.rollout.revision)
        assert await asyncio.to_thread(judged.wait, 10)
        await owner.call("HaltRollout", rollout_pb2.HaltRolloutRequest())
        second = await start(owner, make("route", name="chat", policy={"fallback": ["new", "old"]}))
        go_on.set()
        await asyncio.sleep(0.5)
        views = (await owner.call("ListRollouts")).rollouts
        assert [(view.revision, view.state) for view in views] == [
            (second.rollout.revision, "canary"),
            (first.rollout.revision, "halted"),
        ]
