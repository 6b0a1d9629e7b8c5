"""What proxies are told of how good a model is at a task, out of real scores: of whom, and until when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from control_plane.experiments import fit
from control_plane.experiments.fit import TaskFit
from headgate.rules.credentials import Secret
from headgate.v1 import config_pb2
from tests.integration.control_plane.records import make_id
from tests.integration.control_plane.replica import Replica, make
from tests.integration.control_plane.scripted_proxy import ScriptedProxy
from tests.integration.control_plane.test_cp_ingest import reporter
from tests.integration.control_plane.test_cp_scores import MODEL, PROVIDER, score


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round is made when a test says so."""
    monkeypatch.setattr(fit, "EVERY_SECONDS", 3_600.0)


async def learn(replica: Replica, later: timedelta = timedelta(0)) -> None:
    """A round, as it is made so much later."""
    plane = replica.control_plane
    task_fit = TaskFit(plane.database, plane.revisions, lambda: datetime.now(UTC) + later)
    await plane.database.run(task_fit.learn)


def judged(value: float, *, count: int, task: str, tenant: str = "default", unit: str = "") -> list[bytes]:
    """Scores of answers of the model, each of a unit of its own within the tenant."""
    return [
        score(make_id(), value, tenant=tenant, model="m", task=task, unit=f"{unit}{number}")
        for number in range(count)
    ]


async def told(replica: Replica) -> ScriptedProxy:
    """A proxy that has the present config."""
    listener = ScriptedProxy(replica.client(await replica.proxy_token()))
    await listener.hello()
    await listener.accept()
    return listener


def fits_of(listener: ScriptedProxy, tenant: str = "*") -> dict[str, config_pb2.TaskFit]:
    """By task."""
    entry = listener.entries.get(("model", tenant, "m"))
    return {one.task: one for one in entry.model.fit} if entry is not None else {}


async def hears(listener: ScriptedProxy, tasks: set[str]) -> None:
    async with asyncio.timeout(10):
        while set(fits_of(listener)) != tasks:
            await listener.accept()


async def test_what_was_judged_too_long_ago_is_forgotten_also_of_the_last_task(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER, MODEL)
        stream = await reporter(replica)
        await stream.report([], judged(1.0, count=60, task="verse") + judged(1.0, count=60, task="code"))
        await learn(replica)
        listener = await told(replica)
        await hears(listener, {"verse", "code"})
        await learn(replica, later=fit.WINDOW + timedelta(days=1))
        await hears(listener, set())
        before = replica.control_plane.publisher.require().version
        await learn(replica, later=fit.WINDOW + timedelta(days=2))
        assert (await owner.call("GetStatus")).version.revision == before.revision, "nothing more to forget"


async def test_one_tenants_evidence_counts_for_a_shared_model_beside_that_of_all_others(
    database: Secret,
) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        tenants = [make("tenant", name=name) for name in ("acme", "apart")]
        own = make("model", name="m", tenant="apart", provider="p")
        await owner.apply(PROVIDER, MODEL, *tenants, own)
        stream = await reporter(replica)
        await stream.report([], judged(1.0, count=200, task="shared"))
        await stream.report([], judged(0.0, count=40, task="shared", tenant="acme"))
        await stream.report([], judged(0.0, count=60, task="shared", tenant="apart"))
        # The same answers, all of them one tenant's.
        await stream.report([], judged(1.0, count=200, task="alone"))
        await stream.report([], judged(0.0, count=40, task="alone", unit="other-"))
        await learn(replica)
        listener = await told(replica)
        await hears(listener, {"shared", "alone"})
        shared, alone = fits_of(listener)["shared"], fits_of(listener)["alone"]
        assert shared.quality == pytest.approx(201 / 242, abs=1e-3)
        for bound in ("quality", "lower", "upper"):
            assert getattr(shared, bound) == pytest.approx(getattr(alone, bound), abs=1e-3)
        theirs = fits_of(listener, "apart")
        assert list(theirs) == ["shared"]
        assert theirs["shared"].upper < shared.lower, "whoever declares a model has its evidence alone"
