"""Declaring resources: what is stored, what is refused, what stays."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from sqlalchemy import String
from sqlmodel.sql.sqltypes import AutoString

from control_plane.resources.declare import MAX_RESOURCES
from control_plane.resources.model import ResourceRow
from control_plane.rpc.errors import PROBLEMS_METADATA
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2
from tests.integration.control_plane.replica import Client, Replica, make, query, refused

CREATED, CHANGED = admin_pb2.CHANGE_TYPE_CREATED, admin_pb2.CHANGE_TYPE_CHANGED
UNCHANGED, PRUNED = admin_pb2.CHANGE_TYPE_UNCHANGED, admin_pb2.CHANGE_TYPE_PRUNED

PROVIDER = make("provider", name="openai", type="openai", keys=["sk-1"])
MODEL = make("model", name="mini", provider="openai")
ROUTE = make("route", name="chat", policy={"fallback": ["mini"]})


def changes(answer: admin_pb2.ApplyResourcesResponse) -> dict[str, int]:
    return {f"{change.kind}/{change.name}": change.change for change in answer.changes}


async def get(client: Client, kind: str, name: str, tenant: str = "") -> admin_pb2.GetResourceResponse:
    request = admin_pb2.GetResourceRequest(kind=kind, tenant=tenant, name=name)
    answer: admin_pb2.GetResourceResponse = await client.call("GetResource", request)
    return answer


async def listed(client: Client, **request: Any) -> list[str]:
    answer = await client.call("ListResources", admin_pb2.ListResourcesRequest(**request))
    views = [view.resource for view in answer.resources]
    return [f"{v.WhichOneof('spec')}/{getattr(v, v.WhichOneof('spec')).name}" for v in views]


async def test_what_is_declared_is_there_and_the_same_again_changes_nothing(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        first = await owner.apply(ROUTE, MODEL, PROVIDER)
        assert set(changes(first).values()) == {CREATED}
        again = await owner.apply(PROVIDER, MODEL, ROUTE)
        assert set(changes(again).values()) == {UNCHANGED}
        assert again.revision == first.revision
        view = (await get(owner, "routes", "chat")).resource
        assert view.resource.route.policy.fallback.of[0].model == "mini"
        assert (view.source, view.revision) == ("manifest", first.revision)
        assert await listed(owner) == ["provider/openai", "model/mini", "route/chat"]


async def test_a_change_says_what_differs_and_shows_no_secret(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER, MODEL, make("model", name="big", provider="openai"), ROUTE)
        answer = await owner.apply(
            make("provider", name="openai", type="openai", keys=["sk-2"]),
            make("route", name="chat", policy={"fallback": ["big"]}),
        )
        assert [list(change.differences) for change in answer.changes] == [
            ["keys.default: new value"],
            ["policy.fallback[0]: mini → big"],
        ]
        assert "sk-" not in str(answer)


async def test_pruning_takes_what_this_source_declared_before_and_nothing_else(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER, MODEL, ROUTE, source="one")
        await owner.apply(make("provider", name="groq", type="groq"), source="two")
        answer = await owner.apply(PROVIDER, MODEL, source="one", prune=True)
        assert changes(answer)["route/chat"] == PRUNED
        assert await listed(owner) == ["provider/groq", "provider/openai", "model/mini"]


async def test_a_dry_run_says_the_same_and_does_nothing(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        before = await owner.apply(PROVIDER, MODEL)
        answer = await owner.apply(MODEL, ROUTE, make("key", name="k"), dry_run=True, prune=False)
        assert changes(answer) == {"model/mini": UNCHANGED, "route/chat": CREATED, "key/k": CREATED}
        assert answer.revision == before.revision
        assert not answer.minted
        assert await listed(owner) == ["provider/openai", "model/mini"]
        assert query(database, "SELECT count(*) FROM credential") == [(0,)]


async def test_another_sources_resource_is_a_conflict(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER, source="one")
        code, message = await refused(owner.apply(PROVIDER, source="two"))
        assert code == "FAILED_PRECONDITION"
        assert "providers/default/openai" in message
        assert "'one'" in message


async def test_an_expected_revision_that_is_not_current_aborts(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        revision = (await owner.apply(PROVIDER)).revision
        assert (await refused(owner.apply(MODEL, expected_revision=revision + 1)))[0] == "ABORTED"
        await owner.apply(MODEL, expected_revision=revision)


async def test_all_or_nothing(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        bad = make("route", name="chat", policy={"fallback": ["mini", "minni"]})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await owner.apply(PROVIDER, MODEL, bad)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        trailing = dict(caught.value.trailing_metadata() or ())
        (problem,) = json.loads(trailing[PROBLEMS_METADATA])
        assert (problem["resource"], problem["index"]) == ("routes/default/chat", 2)
        assert problem["path"] == "policy.fallback[1]"
        assert "did you mean 'mini'" in problem["message"]
        assert await listed(owner) == []
        assert query(database, "SELECT count(*) FROM provider_key") == [(0,)]


async def test_what_is_planned_is_refused_by_name(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        for resource in (
            make("route", name="r", policy={"semantic": {"else": "mini"}}),
            make("limit", name="l", usd=5),
        ):
            code, message = await refused(owner.apply(PROVIDER, MODEL, resource))
            assert code == "INVALID_ARGUMENT"
            assert "not supported yet" in message


async def test_a_tenant_must_exist_but_for_default_and_shared(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        acme = make("provider", name="p", tenant="acme", type="sandbox")
        code, message = await refused(owner.apply(acme))
        assert code == "FAILED_PRECONDITION"
        assert "no tenant 'acme'" in message
        await owner.apply(
            acme, make("tenant", name="acme"), make("provider", name="p", tenant="*", type="sandbox")
        )


async def test_a_shared_resource_can_be_referred_to_and_ones_own_comes_first(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        shared = make("provider", name="p", tenant="*", type="sandbox")
        model = make("model", name="m", tenant="acme", provider="p")
        await owner.apply(make("tenant", name="acme"), shared, model)
        own = make("provider", name="p", tenant="acme", type="sandbox")
        await owner.apply(own)
        # With its own gone, the shared one serves; with both gone, nothing would.
        await owner.call(
            "DeleteResource", admin_pb2.DeleteResourceRequest(kind="provider", tenant="acme", name="p")
        )
        delete = admin_pb2.DeleteResourceRequest(kind="provider", tenant="*", name="p")
        code, message = await refused(owner.call("DeleteResource", delete))
        assert code == "FAILED_PRECONDITION"
        assert "models/acme/m" in message


async def test_what_cannot_run_in_a_race_is_refused_at_whichever_end_it_is_declared(database: Secret) -> None:
    def route(name: str, *of: Any, node: str = "fallback") -> Any:
        return make("route", name=name, policy={node: {"of": list(of)} if node == "race" else list(of)})

    async with Replica.running(database) as replica:
        owner = await replica.owner()
        judge = {"model": "mini"}
        trial = make("experiment", name="trial", variants=[{"name": "a", "use": "mini"}], judge=judge)
        outer = route("outer", "mini", {"route": "between"}, node="race")
        await owner.apply(
            PROVIDER, MODEL, trial, route("inner", "mini"), route("between", {"route": "inner"}), outer
        )
        code, message = await refused(owner.apply(route("inner", {"experiment": "trial"})))
        assert code == "FAILED_PRECONDITION"
        assert "an experiment cannot run in a race: put the experiment around it" in message
        assert "routes/default/outer → routes/default/between → routes/default/inner" in message
        code, message = await refused(owner.apply(route("inner", "mini", node="race")))
        assert "a race cannot run in a race" in message
        await owner.apply(route("apart", {"experiment": "trial"}))
        code, message = await refused(owner.apply(route("between", {"route": "apart"})))
        assert "an experiment cannot run in a race" in message
        raced = {"name": "a", "use": {"race": {"of": ["mini", {"route": "apart"}]}}}
        around = make("experiment", name="around", variants=[raced], judge=judge)
        code, message = await refused(owner.apply(around))
        assert "variants[0].use.race.of[1]" in message
        of_route = {"name": "a", "use": {"route": "outer"}}
        await owner.apply(make("experiment", name="around", variants=[of_route], judge=judge))


async def test_what_is_referred_to_can_be_neither_deleted_nor_pruned(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER, MODEL, source="models")
        await owner.apply(ROUTE, source="routes")
        delete = admin_pb2.DeleteResourceRequest(kind="models", name="mini")
        code, message = await refused(owner.call("DeleteResource", delete))
        assert code == "FAILED_PRECONDITION"
        assert "routes/default/chat" in message
        assert (await refused(owner.apply(PROVIDER, source="models", prune=True)))[0] == "FAILED_PRECONDITION"
        assert (await refused(owner.apply(source="models", prune=True)))[0] == "FAILED_PRECONDITION"
        await owner.apply(source="routes", prune=True)
        await owner.call("DeleteResource", delete)
        assert (await refused(owner.call("DeleteResource", delete)))[0] == "NOT_FOUND"


async def test_a_tenant_with_resources_cannot_be_deleted(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(make("tenant", name="acme"), make("key", name="k", tenant="acme"))
        delete = admin_pb2.DeleteResourceRequest(kind="tenant", name="acme")
        assert (await refused(owner.call("DeleteResource", delete)))[0] == "FAILED_PRECONDITION"


async def test_a_price_stays_a_decimal_all_the_way(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        price = {"input": "0.1500000000000000055", "output": "1e-7"}
        model = make("model", name="m", provider="openai", price=price)
        await owner.apply(PROVIDER, model)
        view = (await get(owner, "model", "m")).resource.resource.model
        assert (view.price.input, view.price.output) == ("0.1500000000000000055", "0.0000001")
        assert changes(await owner.apply(model)) == {"model/m": UNCHANGED}


async def test_lists_come_in_pages_in_the_order_of_dependence(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        keys = [make("key", name=f"k{i:02}") for i in range(25)]
        await owner.apply(*keys, PROVIDER, MODEL)
        names, token = [], ""
        while True:
            request = admin_pb2.ListResourcesRequest(page_size=7, page_token=token)
            answer = await owner.call("ListResources", request)
            names += [view.resource.WhichOneof("spec") for view in answer.resources]
            token = answer.next_page_token
            if not token:
                break
        assert names == ["provider", "model", *["key"] * 25]
        assert len(await listed(owner, kind="keys")) == 25
        assert await listed(owner, tenant="missing") == []


async def test_ten_thousand_keys_in_one_apply_and_too_many_are_refused(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        keys = [make("key", name=f"k{i}", sha256=f"{i:064x}") for i in range(10_000)]
        too_many = [make("key", name="k")] * (MAX_RESOURCES + 1)
        request = admin_pb2.ApplyResourcesRequest(resources=too_many)
        assert (await refused(owner.call("ApplyResources", request)))[0] == "INVALID_ARGUMENT"
        request = admin_pb2.ApplyResourcesRequest(resources=keys)
        answer = await owner.call("ApplyResources", request, timeout=30)
        await replica.published(answer.revision)
        request = admin_pb2.ApplyResourcesRequest(resources=keys)
        again = await owner.call("ApplyResources", request, timeout=30)
        assert set(changes(again).values()) == {UNCHANGED}


async def test_the_history_says_who_changed_what(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER, source="files")
        answer = await owner.call("ListRevisions", admin_pb2.ListRevisionsRequest(page_size=1))
        (newest,) = answer.revisions
        assert (newest.actor, newest.source) == ("owner", "files")
        assert list(newest.changes) == ["created provider/default/openai"]
        request = admin_pb2.ListRevisionsRequest(page_token=answer.next_page_token)
        (older,) = (await owner.call("ListRevisions", request)).revisions
        assert list(older.changes) == ["created token/owner"]


async def test_concurrent_applies_get_revisions_one_after_the_other(database: Secret) -> None:
    import asyncio

    async with Replica.running(database) as replica:
        owner = await replica.owner()
        answers = await asyncio.gather(
            *(owner.apply(make("key", name=f"k{i}"), source=f"s{i}") for i in range(12))
        )
        revisions = sorted(answer.revision for answer in answers)
        assert revisions == list(range(revisions[0], revisions[0] + 12))
        await replica.published(revisions[-1])


def _type_differs(context: Any, inspected: Any, declared: Any, found_type: Any, our_type: Any) -> bool | None:
    """Text is text, whatever SQLModel calls it; None: decide as usual."""
    return False if isinstance(found_type, String) and isinstance(our_type, AutoString) else None


def test_tables_of_the_code_are_the_tables_of_the_migrations(database: Secret) -> None:
    import psycopg
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine

    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database.text))
    ours = set(ResourceRow.metadata.tables)
    with engine.connect() as connection:
        options = {
            "include_name": lambda name, kind, _: kind != "table" or name in ours,
            "compare_type": _type_differs,
        }
        context = MigrationContext.configure(connection, opts=options)
        found = compare_metadata(context, ResourceRow.metadata)
    engine.dispose()
    # Indexes and constraints are the migrations' own; columns and their types must agree.
    columns = [entry for entry in found if "index" not in str(entry[0]) and "constraint" not in str(entry[0])]
    assert columns == []


def test_the_newest_migration_is_the_one_that_the_code_expects() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from control_plane.db.migrate import SCRIPTS
    from control_plane.db.migrations import HEAD

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD
