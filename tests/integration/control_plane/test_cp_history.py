"""The way back and the audit trail, over gRPC: what comes back, what does not, and who sees it."""

from __future__ import annotations

from typing import Any

from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, history_pb2
from tests.integration.control_plane.replica import Client, Replica, make, query, refused

CONFIG = (
    make("provider", name="openai", type="openai", keys=["sk-1"]),
    make("model", name="old", provider="openai"),
    make("model", name="new", provider="openai"),
    make("route", name="chat", policy="old"),
)


async def back(client: Client, revision: int, **more: Any) -> history_pb2.RollbackResponse:
    answer: history_pb2.RollbackResponse = await client.call(
        "Rollback", history_pb2.RollbackRequest(revision=revision, **more)
    )
    return answer


async def trail(client: Client, **chosen: Any) -> list[history_pb2.ChangeView]:
    answer: history_pb2.ListChangesResponse = await client.call(
        "ListChanges", history_pb2.ListChangesRequest(**chosen)
    )
    return list(answer.changes)


async def routes(client: Client) -> dict[str, str]:
    answer = await client.call("ListResources", admin_pb2.ListResourcesRequest(kind="route"))
    return {one.resource.route.name: one.resource.route.policy.model for one in answer.resources}


async def test_changed_created_and_pruned_specs_are_what_they_were(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        before = (await owner.apply(*CONFIG, make("route", name="side", policy="old"))).revision
        await owner.apply(
            *CONFIG[:3],
            make("route", name="chat", policy="new"),
            make("route", name="added", policy="new"),
            prune=True,
        )
        assert await routes(owner) == {"chat": "new", "added": "new"}
        shown = await back(owner, before, dry_run=True)
        assert {(change.name, change.change) for change in shown.changes} == {
            ("chat", admin_pb2.CHANGE_TYPE_CHANGED),
            ("side", admin_pb2.CHANGE_TYPE_CREATED),
            ("added", admin_pb2.CHANGE_TYPE_PRUNED),
        }
        assert await routes(owner) == {"chat": "new", "added": "new"}, "a dry run changes nothing"
        done = await back(owner, before)
        assert await routes(owner) == {"chat": "old", "side": "old"}
        assert done.revision == shown.revision + 1
        again = await back(owner, before)
        assert (list(again.changes), again.revision) == ([], done.revision), "it is there already"
        forth = await back(owner, shown.revision)
        assert await routes(owner) == {"chat": "new", "added": "new"}, "and the way back from it"
        assert forth.revision == done.revision + 1


async def test_state_stays_what_it_is(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        made = await owner.apply(*CONFIG, make("key", name="app"), make("key", name="gone"))
        before = made.revision
        await owner.call(
            "SetDisabled", admin_pb2.SetDisabledRequest(kind="route", name="chat", disabled=True)
        )
        await owner.call("RevokeKey", admin_pb2.RevokeKeyRequest(name="app"))
        await owner.call("SetProviderKey", admin_pb2.SetProviderKeyRequest(provider="openai", value="sk-2"))
        await owner.call("DeleteResource", admin_pb2.DeleteResourceRequest(kind="key", name="gone"))
        done = await back(owner, before)
        assert [(one.kind, one.name) for one in done.minted] == [("key", "gone")]
        old = {one.name: one.secret for one in made.minted}
        assert done.minted[0].secret != old["gone"], "a deleted secret does not come back"
        live = query(database, "SELECT key_name FROM credential WHERE revoked_at IS NULL AND key_name <> ''")
        assert [row[0] for row in live] == ["gone"], "nor does a revoked one"
        found = await owner.call("GetResource", admin_pb2.GetResourceRequest(kind="route", name="chat"))
        assert found.resource.state.disabled
        keys = await owner.call("GetResource", admin_pb2.GetResourceRequest(kind="provider", name="openai"))
        assert [key.origin for key in keys.resource.state.provider_keys] == ["set-key"]


async def test_what_would_leave_something_dangling_is_refused_whole(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        before = (await owner.apply(*CONFIG[:2])).revision
        await owner.apply(CONFIG[2], source="one")
        await owner.apply(make("route", name="chat", policy="new"), source="two")
        await owner.call("DeleteResource", admin_pb2.DeleteResourceRequest(kind="model", name="old"))
        assert (await refused(back(owner, 99)))[0] == "NOT_FOUND"
        assert (await refused(back(owner, 0)))[0] == "NOT_FOUND"
        done = await back(owner, before)
        assert {change.name for change in done.changes} == {"old", "new", "chat"}
        kept = query(database, "SELECT name, source FROM resource WHERE kind = 'model'")
        assert kept == [("old", "manifest")], "it belongs to whom it belonged"


async def test_a_tenants_editor_goes_back_in_its_own_tenant_alone(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        shared = make("provider", name="p", tenant="*", type="openai", keys=["sk-1"])
        base = (
            shared,
            make("model", name="m", tenant="*", provider="p"),
            make("model", name="n", tenant="*", provider="p"),
            make("tenant", name="acme"),
        )
        before = (
            await owner.apply(
                *base, *(make("route", name="r", tenant=t, policy="m") for t in ("acme", "default"))
            )
        ).revision
        await owner.apply(*(make("route", name="r", tenant=t, policy="n") for t in ("acme", "default")))
        editor = replica.client(await replica.token("editor", "acme"))
        done = await back(editor, before)
        assert [(change.tenant, change.name) for change in done.changes] == [("acme", "r")]
        viewer = replica.client(await replica.token("viewer", "acme"))
        assert (await refused(back(viewer, before)))[0] == "PERMISSION_DENIED"
        seen = {(one.kind, one.tenant, one.name) for one in await trail(viewer)}
        assert seen == {("route", "acme", "r"), ("tenant", "", "acme"), *(s for s in seen if s[0] == "token")}
        assert {tenant for _, tenant, _ in seen} <= {"", "acme"}
        assert await trail(viewer, tenant="default") == []


async def test_the_trail_tells_what_was_before_and_after_and_no_secret(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(*CONFIG)
        await owner.apply(*CONFIG[:3], make("route", name="chat", policy="new"))
        await owner.call(
            "SetDisabled",
            admin_pb2.SetDisabledRequest(kind="route", name="chat", disabled=True, reason="a drill"),
        )
        await owner.call(
            "SetProviderKey", admin_pb2.SetProviderKeyRequest(provider="openai", value="sk-secret")
        )
        disabled, changed, created = await trail(owner, kind="routes", name="chat")
        assert (disabled.verb, changed.verb, created.verb) == ("disabled", "changed", "created")
        assert (changed.before["policy"], changed.after["policy"]) == ("old", "new")
        assert not created.HasField("before")
        assert disabled.after["reason"] == "a drill"
        everything = await trail(owner)
        assert [one.revision for one in everything] == sorted((o.revision for o in everything), reverse=True)
        assert {one.actor for one in everything} <= {"owner", "bootstrap", *(o.actor for o in everything)}
        assert "sk-" not in str(everything)
        assert await trail(owner, actor="nobody") == []
        first = await owner.call("ListChanges", history_pb2.ListChangesRequest(page_size=2))
        rest = await owner.call(
            "ListChanges", history_pb2.ListChangesRequest(page_token=first.next_page_token)
        )
        assert [*first.changes, *rest.changes] == everything
