"""Replacing the key-encryption key while replicas write, read and publish (F20, P7)."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path

import pytest

from control_plane.rollouts import watch
from control_plane.secrets.source import KekSource
from control_plane.settings import Address
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, resources_pb2, sealing_pb2
from tests.integration.control_plane.replica import Client, Replica, make, query, refused
from tests.integration.control_plane.rolling import ended, start
from tests.integration.control_plane.scripted_proxy import ScriptedProxy
from tests.integration.control_plane.test_cp_identity import channel, first_answer, join, new_key, token_of

DELETE = admin_pb2.DeleteResourceRequest(kind="provider", name="p")
OLD, NEW = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))


def provider(number: int, value: str = "sk-fake") -> resources_pb2.Resource:
    return make("provider", name=f"p{number}", type="openai", keys=[f"{value}-{number}"])


def sealed_by(database: Secret) -> set[str]:
    tables = " UNION ".join(
        f"SELECT encode(substring(sealed from 2 for 8), 'hex') FROM {table}"
        for table in ("provider_key", "minted", "authority", "kek_check")
    )
    return {row[0] for row in query(database, tables)}


async def rotate(owner: Client) -> sealing_pb2.RotateKekResponse:
    answer: sealing_pb2.RotateKekResponse = await owner.call("RotateKek", sealing_pb2.RotateKekRequest())
    return answer


async def test_the_key_is_replaced_while_two_replicas_write_and_publish(
    database: Secret, tmp_path: Path
) -> None:
    file = tmp_path / "kek"
    file.write_text(OLD)
    source = KekSource(file=file)
    async with Replica.running(database, kek_source=source) as one:
        owner = await one.owner()
        await owner.apply(*(provider(number) for number in range(250)), request_id="r")
        async with Replica.running(database, kek_source=source) as two:
            other = two.client(one.owner_token)
            proxy = ScriptedProxy(two.client(await one.proxy_token()))
            await proxy.hello()
            written: list[int] = []
            rotated = asyncio.Event()

            async def write() -> None:
                # On the replica that is not told: it meets the new key in the database.
                for number in range(1000, 1060):
                    value = admin_pb2.SetProviderKeyRequest(
                        provider="p1", key=f"k{number}", value="sk-fake-k"
                    )
                    await other.call("SetProviderKey", value)
                    written.append(number)
                    if rotated.is_set() and len(written) > 20:
                        return

            writer = asyncio.create_task(write())
            while len(written) < 5:
                await asyncio.sleep(0.01)
            file.write_text(f"{NEW}\n{OLD}\n")
            answer = await rotate(owner)
            rotated.set()
            await writer
            assert answer.activated
            assert answer.sealed_anew >= 250
            assert (await rotate(owner)).remaining == 0
            keks = (await other.call("GetSealing", sealing_pb2.GetSealingRequest())).keks
            assert [(kek.active, kek.present) for kek in keks] == [(True, True), (False, True)]
            assert len(sealed_by(database)) == 1
            last = await other.apply(provider(1, "sk-changed"))
            await proxy.reach(last.revision)
            assert (await other.call("GetStatus")).secrets == "ok"
    file.write_text(NEW)
    async with Replica.running(database, kek_source=source) as replica:
        owner = replica.client(one.owner_token)
        assert (await owner.call("GetStatus")).secrets == "ok"
        token = admin_pb2.CreateTokenRequest(name="p", role="proxy")
        secret = (await owner.call("CreateToken", token)).minted.secret
        proxy = ScriptedProxy(replica.client(secret))
        await proxy.hello()
        await proxy.reach(last.revision)
        again = await owner.apply(*(provider(number) for number in range(2, 250)))
        unchanged = {change.change for change in again.changes}
        assert unchanged == {admin_pb2.CHANGE_TYPE_UNCHANGED}
    file.write_text(OLD)
    async with Replica.running(database, kek_source=source) as replica:
        owner = replica.client(one.owner_token)
        assert "not the one" in (await owner.call("GetStatus")).secrets
        assert (await refused(rotate(owner)))[0] == "FAILED_PRECONDITION"


async def test_each_secret_gets_a_fresh_data_key(database: Secret, tmp_path: Path) -> None:
    file = tmp_path / "kek"
    file.write_text(OLD)
    async with Replica.running(database, kek_source=KekSource(file=file)) as replica:
        owner = await replica.owner()
        await owner.apply(provider(1))
        before = query(database, "SELECT sealed FROM provider_key")
        assert not (await rotate(owner)).activated
        assert query(database, "SELECT sealed FROM provider_key") == before
        file.write_text(f"{NEW}\n{OLD}")
        assert (await rotate(owner)).activated
        ((after,),) = query(database, "SELECT sealed FROM provider_key")
        assert bytes(after)[-30:] != bytes(before[0][0])[-30:]
        (change,) = query(database, "SELECT verb, before, after FROM change WHERE kind = 'kek'")
        assert change[0] == "rotated"
        assert change[1] != change[2]


async def test_a_command_that_fails_seals_the_start_and_is_asked_again(
    database: Secret, tmp_path: Path
) -> None:
    answer = tmp_path / "answer"
    source = KekSource(command=f"cat {answer}")
    async with Replica.running(database, kek_source=source, proxies=Address("127.0.0.1", 0)) as replica:
        owner = await replica.owner()
        said = (await owner.call("GetStatus")).secrets
        assert "HEADGATE_KEK_COMMAND ended with 1" in said
        assert "No such file" in said
        assert (await refused(owner.apply(provider(1))))[0] == "FAILED_PRECONDITION"
        answer.write_text(OLD)
        for _ in range(100):
            if (await owner.call("GetStatus")).secrets == "ok":
                break
            await asyncio.sleep(0.1)
            replica.control_plane.publisher.wake()
        await owner.apply(provider(1))
        while not replica.control_plane.identities.port:
            await asyncio.sleep(0.1)
        joined = await join(replica, await token_of(replica), key := new_key())
        async with channel(joined, key) as over:
            assert (await first_answer(over, "edge", "eu")).update.version.epoch > 0


async def test_an_unreadable_new_key_changes_nothing(database: Secret, tmp_path: Path) -> None:
    file = tmp_path / "kek"
    file.write_text(OLD)
    async with Replica.running(database, kek_source=KekSource(file=file)) as replica:
        owner = await replica.owner()
        await owner.apply(provider(1))
        for wrong in ("", "short", f"{OLD}\nshort"):
            file.write_text(wrong)
            code, message = await refused(rotate(owner))
            assert code == "FAILED_PRECONDITION"
            assert "kek" in message
        os.unlink(file)
        assert "No such file" in (await refused(rotate(owner)))[1]
        assert len(sealed_by(database)) == 1
        await owner.apply(provider(2))


async def test_a_sealed_replica_takes_back_a_rollout_that_needs_a_secret_and_goes_on(
    database: Secret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0.05)
    file = tmp_path / "kek"
    file.write_text(OLD)
    set_key = admin_pb2.SetProviderKeyRequest(provider="p", key="default", value="sk-fake-k")
    changed = make("provider", name="p", type="openai", serve_regions=["us"])
    async with Replica.running(database, kek=OLD) as left_behind:
        owner = await left_behind.owner()
        await owner.apply(make("provider", name="p", type="openai"))
        await owner.call("SetProviderKey", set_key)
        proxy = ScriptedProxy(left_behind.client(await left_behind.proxy_token()))
        await proxy.hello(labels={"pool": "canary"})
        async with Replica.running(database, kek_source=KekSource(file=file)) as ahead:
            other = ahead.client(left_behind.owner_token)
            file.write_text(f"{NEW}\n{OLD}")
            await rotate(other)
            # It finds out when it is to seal something; what it has published needs no key.
            assert (await refused(owner.call("SetProviderKey", set_key)))[0] == "FAILED_PRECONDITION"
            await start(other, changed)
            view = await ended(other, "halted")
            assert view.reason.startswith("the overlay cannot be made: sealed: ")
            await proxy.reach((await other.call("DeleteResource", DELETE)).revision)
            assert proxy.entries == {}
