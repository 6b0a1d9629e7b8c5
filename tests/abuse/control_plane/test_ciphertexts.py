"""Somebody writes into the database (A16): changed, moved, older ciphertexts open in no table, and it shows.

Each attack strikes one row of every table that holds secrets; a new replica then meets them.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from control_plane.compose import SEALED_TABLES
from control_plane.settings import Address
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, resources_pb2
from tests.abuse.scale import FULL
from tests.integration.control_plane.replica import Replica, make, query, refused
from tests.integration.control_plane.scripted_proxy import ScriptedProxy
from tests.integration.control_plane.test_cp_access import code_of
from tests.integration.control_plane.test_cp_identity import join, new_key, token_of

LISTENING = Address("127.0.0.1", 0)
# The row of each table that is attacked.
VICTIMS = {
    "provider_key": "tenant = 'acme' AND origin = 'spec'",
    "minted": "request_id = 'repeated'",
    "authority": "id = 1",
}
# Version, KEK, outer nonce, wrapped key and its tag, inner nonce, ciphertext, its tag (from the end).
PLACES = (0, 1, 8, 9, 21, 40, 68, 69, 81, -17, -16, -1)
FORGOTTEN = "UPDATE minted SET created_at = created_at - interval '11 minutes' WHERE request_id = 'repeated'"
NOT_OPENED = "a sealed secret does not open"

Ciphertexts = Mapping[str, bytes]


def stored(database: Secret) -> dict[str, bytes]:
    return {
        table: bytes(query(database, f"SELECT sealed FROM {table} WHERE {where}")[0][0])
        for table, where in VICTIMS.items()
    }


def put(database: Secret, sealed: Ciphertexts) -> None:
    for table, value in sealed.items():
        query(database, f"UPDATE {table} SET sealed = %s WHERE {VICTIMS[table]}", value)


def create() -> admin_pb2.CreateKeyRequest:
    return admin_pb2.CreateKeyRequest(key=make("key", name="repeated").key, request_id="repeated")


def provider(tenant: str, value: str) -> resources_pb2.Resource:
    return make("provider", name="p", tenant=tenant, type="openai", keys=[value])


class Filled:
    """A database in which every table has secrets, of which older ones are known."""

    def __init__(self, database: Secret) -> None:
        self.database = database
        self.older: dict[str, bytes] = {}
        self.others: dict[str, bytes] = {}
        self.owner_token = self.proxy_token = self.answer = ""

    async def fill(self) -> Filled:
        async with Replica.running(self.database, proxies=LISTENING) as replica:
            owner = await replica.owner()
            self.owner_token, self.proxy_token = replica.owner_token, await replica.proxy_token()
            tenants = [make("tenant", name=name) for name in ("acme", "evil")]
            await owner.apply(*tenants, provider("acme", "sk-old"), provider("evil", "sk-evil"))
            await owner.call("CreateKey", create())
            other = admin_pb2.CreateKeyRequest(key=make("key", name="other").key, request_id="other")
            await owner.call("CreateKey", other)
            self.older = stored(self.database)
            await owner.apply(provider("acme", "sk-new"))
            await owner.call("RevokeKey", admin_pb2.RevokeKeyRequest(name="repeated"))
            await owner.call("DeleteResource", admin_pb2.DeleteResourceRequest(kind="key", name="repeated"))
            # The first answer is forgotten, and the same request_id gets another.
            query(self.database, FORGOTTEN)
            self.answer = (await owner.call("CreateKey", create())).minted.secret
            query(self.database, "DELETE FROM authority")
        async with Replica.running(self.database, proxies=LISTENING):
            pass  # makes another authority
        of_evil = "SELECT sealed FROM provider_key WHERE tenant = 'evil'"
        of_other = "SELECT sealed FROM minted WHERE request_id = 'other'"
        self.others["provider_key"] = bytes(query(self.database, of_evil)[0][0])
        self.others["minted"] = bytes(query(self.database, of_other)[0][0])
        self.others["authority"] = self.others["provider_key"]
        return self


async def problems(filled: Filled, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Of a new replica on this database: what opened all the same, or did so without a trace."""
    caplog.clear()
    found = []
    async with Replica.running(filled.database, proxies=LISTENING) as replica:
        owner = replica.client(filled.owner_token)
        replica.owner_token = filled.owner_token
        proxy = ScriptedProxy(replica.client(filled.proxy_token))
        await proxy.hello()
        if await proxy.ending() != "UNAVAILABLE":
            found.append("provider_key: a config was sent")
        if "cannot be opened: provider_key/acme" not in (await owner.call("GetStatus")).secrets:
            found.append("provider_key: the status does not say so")
        if await code_of(owner, "CreateKey", create()) != "FAILED_PRECONDITION":
            found.append("minted: an answer was repeated")
        if (await refused(join(replica, await token_of(replica), new_key())))[0] != "FAILED_PRECONDITION":
            found.append("authority: a certificate was issued")
        metrics = replica.control_plane.metrics.text().decode()
    if "headgate_control_plane_unpublished 1.0" not in metrics:
        found.append("no metric says that nothing is published")
    if "headgate_control_plane_secrets_not_opened 0.0" in metrics:
        found.append("no metric counts it")
    logged = {record.data["place"] for record in caplog.records if record.getMessage() == NOT_OPENED}  # type: ignore[attr-defined]
    named = {place.partition("/")[0] for place in logged}
    return found + [f"{table}: not in the log" for table in VICTIMS.keys() - named]


def test_every_table_of_secrets_is_attacked() -> None:
    assert {table.__tablename__ for table in SEALED_TABLES} == VICTIMS.keys()


async def test_what_nobody_touched_opens(database: Secret) -> None:
    """Or else the attacks below would prove nothing."""
    filled = await Filled(database).fill()
    async with Replica.running(database, proxies=LISTENING) as replica:
        replica.owner_token = filled.owner_token
        owner = await replica.owner()
        assert (await owner.call("GetStatus")).secrets == "ok"
        assert (await owner.call("CreateKey", create())).minted.secret == filled.answer
        assert (await join(replica, await token_of(replica), new_key())).certificate
        assert b"headgate_control_plane_secrets_not_opened 0.0" in replica.control_plane.metrics.text()


async def test_a_changed_a_moved_or_an_older_ciphertext_opens_nowhere(
    database: Secret, caplog: pytest.LogCaptureFixture
) -> None:
    filled = await Filled(database).fill()
    good = stored(database)
    length = min(map(len, good.values()))
    attacks: dict[str, Ciphertexts] = {
        f"byte {place} changed": {table: flipped(sealed, place) for table, sealed in good.items()}
        for place in (range(length) if FULL else PLACES[::3])
    }
    attacks |= {
        f"cut to {kept} bytes": {table: sealed[:kept] for table, sealed in good.items()}
        for kept in (range(0, length, 7) if FULL else (0, 60))
    }
    attacks["from another row"] = filled.others
    attacks["from before"] = filled.older
    wrong = {}
    for name, sealed in attacks.items():
        put(database, sealed)
        if found := await problems(filled, caplog):
            wrong[name] = found
    assert wrong == {}


def flipped(sealed: bytes, place: int) -> bytes:
    changed = bytearray(sealed)
    changed[place] ^= 1
    return bytes(changed)
