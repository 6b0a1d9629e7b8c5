"""Keys, provider keys and the emergency switch: what verbs wrote, no file can undo."""

from __future__ import annotations

import asyncio
import hashlib

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from headgate.rules.credentials import Secret, digest
from headgate.v1 import admin_pb2, resources_pb2
from tests.integration.control_plane.replica import Client, Replica, make, query, refused
from tests.integration.control_plane.scripted_proxy import ScriptedProxy

KEY = make("key", name="backend", allow=["*"])
PROVIDER = make("provider", name="openai", type="openai", keys=["sk-manifest"])
ANSWER = ("key", "default", "backend")


async def state(client: Client, kind: str, name: str) -> resources_pb2.ResourceState:
    request = admin_pb2.GetResourceRequest(kind=kind, name=name)
    found: resources_pb2.ResourceState = (await client.call("GetResource", request)).resource.state
    return found


async def opened_by(replica: Replica, revision: int) -> list[bytes]:
    """The hashes that a proxy is told."""
    proxy = ScriptedProxy(replica.client(await replica.proxy_token()))
    await proxy.hello()
    await proxy.reach(revision)
    proxy.leave()
    entry = proxy.entries.get(ANSWER)
    return [credential.sha256 for credential in entry.key.credentials] if entry else []


async def test_a_key_is_minted_once_and_stored_as_a_hash(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        first = await owner.apply(KEY)
        (minted,) = first.minted
        assert minted.secret.startswith("hg-")
        assert not (await owner.apply(KEY)).minted
        assert await opened_by(replica, first.revision) == [digest(minted.secret)]
        dump = query(database, "SELECT c::text FROM credential c UNION ALL SELECT c::text FROM change c")
        assert minted.secret[16:] not in str(dump)


async def test_a_hash_is_taken_over_instead_of_minting(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        old = hashlib.sha256(b"my-old-key").digest()
        answer = await owner.apply(make("key", name="backend", sha256=old.hex()))
        assert not answer.minted
        assert await opened_by(replica, answer.revision) == [old]
        code, _ = await refused(owner.apply(make("key", name="other", sha256=old.hex())))
        assert code == "ALREADY_EXISTS"
        new = hashlib.sha256(b"another").digest()
        answer = await owner.apply(make("key", name="backend", sha256=new.hex()))
        assert await opened_by(replica, answer.revision) == [new]


async def test_rotation_keeps_the_old_secret_for_its_grace(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        old = (await owner.apply(KEY)).minted[0].secret
        rotate = admin_pb2.RotateKeyRequest(name="backend", grace=Duration(seconds=1))
        answer = await owner.call("RotateKey", rotate)
        both = await opened_by(replica, answer.revision)
        assert both == [digest(old), digest(answer.minted.secret)]
        (first, second) = (await state(owner, "key", "backend")).credentials
        assert first.HasField("expires_at")
        assert not second.HasField("expires_at")
        await asyncio.sleep(1.1)
        # What expired is left out of the next entry that is built.
        touch = admin_pb2.SetDisabledRequest(kind="key", name="backend", disabled=True)
        later = await owner.call("SetDisabled", touch)
        assert await opened_by(replica, later.revision) == both[1:]


async def test_a_revoked_key_stays_revoked_whatever_is_applied(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        taken = make("key", name="backend", sha256="ab" * 32)
        await owner.apply(taken)
        await owner.call("RevokeKey", admin_pb2.RevokeKeyRequest(name="backend"))
        again = await owner.apply(taken)
        assert again.changes[0].overrides
        assert await opened_by(replica, again.revision) == []
        await owner.apply(prune=True)
        back = await owner.apply(taken)
        assert not back.minted
        assert await opened_by(replica, back.revision) == []
        await owner.call("DeleteResource", admin_pb2.DeleteResourceRequest(kind="key", name="backend"))
        back = await owner.apply(taken)
        assert await opened_by(replica, back.revision) == []
        rotated = await owner.call("RotateKey", admin_pb2.RotateKeyRequest(name="backend"))
        assert await opened_by(replica, rotated.revision) == [digest(rotated.minted.secret)]


async def test_a_pruned_key_stops_and_comes_back_as_it_was(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        secret = (await owner.apply(KEY)).minted[0].secret
        gone = await owner.apply(prune=True)
        assert await opened_by(replica, gone.revision) == []
        back = await owner.apply(KEY)
        assert not back.minted
        assert await opened_by(replica, back.revision) == [digest(secret)]


async def test_a_deleted_key_is_ended_for_good_and_its_name_can_be_used_again(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        old = (await owner.apply(KEY)).minted[0].secret
        await owner.call("DeleteResource", admin_pb2.DeleteResourceRequest(kind="key", name="backend"))
        back = await owner.apply(KEY)
        (minted,) = back.minted
        assert minted.secret != old
        assert await opened_by(replica, back.revision) == [digest(minted.secret)]


async def test_create_key_mints_and_repeats_its_first_answer(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        request = admin_pb2.CreateKeyRequest(key=KEY.key, request_id="abc")
        first, second = await asyncio.gather(
            owner.call("CreateKey", request), owner.call("CreateKey", request)
        )
        assert first.minted.secret == second.minted.secret
        assert query(database, "SELECT count(*) FROM credential") == [(1,)]
        other = admin_pb2.CreateKeyRequest(key=KEY.key, request_id="def")
        assert (await refused(owner.call("CreateKey", other)))[0] == "ALREADY_EXISTS"
        apply = admin_pb2.ApplyResourcesRequest(request_id="abc")
        assert (await refused(owner.call("ApplyResources", apply)))[0] == "INVALID_ARGUMENT"
        assert first.minted.secret not in str(query(database, "SELECT minted::text FROM minted"))


async def test_apply_repeats_its_first_answer_with_the_minted_secrets(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        first = await owner.apply(KEY, request_id="abc")
        assert await owner.apply(KEY, request_id="abc") == first
        assert not (await owner.apply(KEY, request_id="abd")).minted


async def test_a_first_answer_is_for_its_caller_only(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(KEY, request_id="abc")
        other = replica.client(await replica.token("editor"))
        assert not (await other.apply(KEY, request_id="abc")).minted


async def test_expiry_counts_from_the_minting(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        now = Timestamp()
        now.GetCurrentTime()
        await owner.apply(make("key", name="backend", expires="90d"))
        (credential,) = (await state(owner, "key", "backend")).credentials
        assert abs(credential.expires_at.seconds - now.seconds - 90 * 86_400) < 10


async def secrets_of(replica: Replica, revision: int) -> dict[str, bytes]:
    proxy = ScriptedProxy(replica.client(await replica.proxy_token()))
    await proxy.hello()
    await proxy.reach(revision)
    proxy.leave()
    entry = proxy.entries["provider", "default", "openai"]
    return {secret.name: secret.value for secret in entry.provider.secrets}


async def test_set_key_overrides_the_manifest_and_applying_does_not_undo_it(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        first = await owner.apply(PROVIDER)
        assert await secrets_of(replica, first.revision) == {"default": b"sk-manifest"}
        set_key = admin_pb2.SetProviderKeyRequest(provider="openai", value="sk-verb\n")
        revision = (await owner.call("SetProviderKey", set_key)).revision
        assert await secrets_of(replica, revision) == {"default": b"sk-verb"}
        again = await owner.apply(PROVIDER)
        assert list(again.changes[0].overrides) == ["keys.default: set by set-key"]
        assert await secrets_of(replica, again.revision) == {"default": b"sk-verb"}
        (key,) = (await state(owner, "provider", "openai")).provider_keys
        assert (key.name, key.origin) == ("default", "set-key")


async def test_a_removed_key_stays_removed_until_it_is_set(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER)
        remove = admin_pb2.RemoveProviderKeyRequest(provider="openai", key="default")
        revision = (await owner.call("RemoveProviderKey", remove)).revision
        assert await secrets_of(replica, revision) == {}
        assert (await refused(owner.call("RemoveProviderKey", remove)))[0] == "NOT_FOUND"
        again = await owner.apply(PROVIDER)
        assert list(again.changes[0].overrides) == ["keys.default: removed by remove-key"]
        assert await secrets_of(replica, again.revision) == {}
        set_key = admin_pb2.SetProviderKeyRequest(provider="openai", value="sk-new")
        revision = (await owner.call("SetProviderKey", set_key)).revision
        assert await secrets_of(replica, revision) == {"default": b"sk-new"}


async def test_a_secret_that_is_absent_from_a_manifest_keeps_the_stored_one(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER)
        nameless = make("provider", name="openai", type="openai", keys=[{"name": "default"}])
        again = await owner.apply(nameless)
        assert again.changes[0].change == admin_pb2.CHANGE_TYPE_UNCHANGED
        assert await secrets_of(replica, again.revision) == {"default": b"sk-manifest"}
        unknown = make("provider", name="openai", type="openai", keys=[{"name": "other"}])
        code, message = await refused(owner.apply(unknown))
        assert code == "INVALID_ARGUMENT"
        assert "'other' has no value" in message


async def test_a_key_that_leaves_the_manifest_is_gone(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(make("provider", name="openai", type="openai", keys=["a", "b"]))
        answer = await owner.apply(make("provider", name="openai", type="openai", keys=[{"name": "key-2"}]))
        assert await secrets_of(replica, answer.revision) == {"key-2": b"b"}


async def test_disabling_survives_applying_and_pruning(database: Secret) -> None:
    async with Replica.running(database) as replica:
        owner = await replica.owner()
        await owner.apply(PROVIDER)
        disable = admin_pb2.SetDisabledRequest(kind="providers", name="openai", disabled=True, reason="leak")
        await owner.call("SetDisabled", disable)
        assert list((await owner.apply(PROVIDER)).changes[0].overrides) == ["disabled: leak"]
        await owner.apply(prune=True)
        await owner.apply(PROVIDER)
        found = await state(owner, "provider", "openai")
        assert (found.disabled, found.disabled_reason) == (True, "leak")
        enable = admin_pb2.SetDisabledRequest(kind="providers", name="openai", disabled=False)
        await owner.call("SetDisabled", enable)
        assert not (await state(owner, "provider", "openai")).disabled
        missing = admin_pb2.SetDisabledRequest(kind="providers", name="missing", disabled=True)
        assert (await refused(owner.call("SetDisabled", missing)))[0] == "NOT_FOUND"
