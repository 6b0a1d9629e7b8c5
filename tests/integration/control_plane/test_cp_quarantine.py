"""Dead letters: seen, taken in after all, or dismissed with a reason (P5, F13)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from control_plane.db.migrate import Migrated, migrate
from headgate.rules.credentials import Secret
from headgate.v1 import quarantine_pb2, usage_pb2
from tests.integration.control_plane.records import make_id, make_record
from tests.integration.control_plane.replica import Client, Replica, query, refused
from tests.integration.control_plane.test_cp_ingest import reporter, totals

DAY_MS = 86_400_000


async def listed(client: Client, page_size: int = 100) -> list[quarantine_pb2.QuarantinedView]:
    found: list[quarantine_pb2.QuarantinedView] = []
    token = ""
    while True:
        request = quarantine_pb2.ListQuarantinedRequest(page_size=page_size, page_token=token)
        answer = await client.call("ListQuarantined", request)
        found += answer.records
        token = answer.next_page_token
        if not token:
            return found


async def test_what_was_set_aside_can_be_read(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        same = make_id()
        await stream.report([make_record(id=same)])
        await stream.report([make_record(id=same, cost_picousd=5 * 10**11, model="dear"), b"\xff rubbish"])
        owner = await replica.owner()
        views = await listed(owner, page_size=1)
        by_why = {view.why: view for view in views}
        other = by_why["known under this id with other content"]
        assert (other.model, other.cost_usd, other.proxy) == ("dear", "0.5", "proxy-1")
        assert bytes.fromhex(other.record_id.replace("-", "")) == same
        assert by_why["not a UsageRecord"].model == ""
        assert [view.id for view in views] == sorted((view.id for view in views), reverse=True)


async def test_a_record_is_taken_in_after_all_once_it_can_be(database: Secret) -> None:
    async with Replica.running(database, usage_retention_days=30) as replica:
        stream = await reporter(replica)
        old = make_id(int(time.time() * 1000) - 31 * DAY_MS)
        assert await stream.report([make_record(id=old), b"\xff rubbish"]) == (0, 0, 2)
        ids = [view.id for view in await listed(await replica.owner())]
        owner_token = replica.owner_token
        request = quarantine_pb2.RetryQuarantinedRequest(ids=ids)
        answer = await (await replica.owner()).call("RetryQuarantined", request)
        assert (list(answer.taken), sorted(answer.still_aside)) == ([], sorted(ids))
    async with Replica.running(database, usage_retention_days=60) as replica:
        owner = replica.client(owner_token)
        answer = await owner.call("RetryQuarantined", request)
        assert len(answer.taken) == 1
        assert totals(database)[1] == 1
        assert [view.why for view in await listed(owner)] == ["not a UsageRecord"]
        again = quarantine_pb2.RetryQuarantinedRequest(ids=answer.taken)
        assert (await refused(owner.call("RetryQuarantined", again)))[0] == "NOT_FOUND"
        assert totals(database)[1] == 1


async def test_a_score_that_was_set_aside_comes_back_as_a_score_and_never_as_usage(database: Secret) -> None:
    request_id = make_id()
    odd = usage_pb2.ScoreRecord(
        id=make_id(int(time.time() * 1000) + 8 * DAY_MS),
        request_id=request_id,
        tenant="default",
        source=usage_pb2.SCORE_SOURCE_FEEDBACK,
        value=0.5,
    )
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        assert await stream.report([], [odd.SerializeToString()]) == (0, 0, 1)
        owner = await replica.owner()
        (view,) = await listed(owner)
        assert (view.why, view.tenant) == ("from the future", "default")
        assert bytes.fromhex(view.request_id.replace("-", "")) == request_id
        later = datetime.now(UTC) + timedelta(days=2)
        replica.control_plane.ingest._now = lambda: later
        retry = quarantine_pb2.RetryQuarantinedRequest(ids=[view.id])
        assert list((await owner.call("RetryQuarantined", retry)).taken) == [view.id]
        assert query(database, "SELECT value FROM score_record") == [(0.5,)]
        assert totals(database)[1] == 0
        assert await listed(owner) == []


def test_scores_set_aside_by_the_version_before_are_told_from_records(database: Secret) -> None:
    query(database, "ALTER TABLE usage_quarantine DROP COLUMN kind")
    query(database, "UPDATE alembic_version SET version_num = '0008'")
    score = usage_pb2.ScoreRecord(id=make_id(), request_id=make_id(), tenant="default", value=1)
    for number, (why, raw) in enumerate(
        (
            ("older than what is kept", score.SerializeToString()),
            ("older than what is kept", make_record()),
            ("not a ScoreRecord", b"rubbish"),
            ("not a UsageRecord", b"rubbish"),
        )
    ):
        insert = "INSERT INTO usage_quarantine (proxy, content_hash, why, raw) VALUES ('p', %s, %s, %s)"
        query(database, insert, f"{number:032x}", why, raw)
    assert migrate(database) == Migrated(changed=True, has_roles=True)
    kinds = query(database, "SELECT kind FROM usage_quarantine ORDER BY id")
    assert [kind for (kind,) in kinds] == ["score", "record", "score", "record"]


async def test_what_is_dismissed_stays_in_the_audit_trail_and_ends_the_alarm(database: Secret) -> None:
    async with Replica.running(database) as replica:
        stream = await reporter(replica)
        same = make_id()
        await stream.report([make_record(id=same), make_record(id=same, cost_picousd=7)])
        owner = await replica.owner()
        ids = [view.id for view in await listed(owner)]
        dismiss = quarantine_pb2.DismissQuarantinedRequest(ids=ids)
        assert (await refused(owner.call("DismissQuarantined", dismiss)))[0] == "INVALID_ARGUMENT"
        dismiss.reason = "a proxy of the test rig"
        viewer = replica.client(await replica.token("viewer"))
        editor = replica.client(await replica.token("editor", tenant="default"))
        assert len(await listed(viewer)) == 1
        for client in (viewer, editor):
            assert (await refused(client.call("DismissQuarantined", dismiss)))[0] == "PERMISSION_DENIED"
        assert (await refused(listed(editor)))[0] == "PERMISSION_DENIED"
        await owner.call("DismissQuarantined", dismiss)
        assert (await owner.call("GetStatus")).quarantined_records == 0
        ((before, after),) = query(database, "SELECT before, after FROM change WHERE kind = 'usage'")
        assert before["cost_usd"] == "0.000000000007"
        assert after == {"reason": "a proxy of the test rig"}
