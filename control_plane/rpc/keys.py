"""Keys and provider keys over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.keys import store as key_store
from control_plane.keys.service import Keys
from control_plane.minted.service import FirstAnswers
from control_plane.providers.service import ProviderKeys
from control_plane.resources.apply import Applier, Request
from control_plane.resources.declare import declare_all
from control_plane.resources.model import VERB_SOURCE, make_ref
from control_plane.rpc import convert
from control_plane.tokens.model import Principal
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, resources_pb2


class KeyCalls:
    def __init__(
        self,
        database: Database,
        keys: Keys,
        provider_keys: ProviderKeys,
        applier: Applier,
        answers: FirstAnswers,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._keys = keys
        self._provider_keys = provider_keys
        self._applier = applier
        self._answers = answers
        self._now = now

    async def create(
        self, request: admin_pb2.CreateKeyRequest, caller: Principal
    ) -> admin_pb2.CreateKeyResponse:
        now = self._now()

        def work(session: Session) -> bytes:
            declared = declare_all([resources_pb2.Resource(key=request.key)], caller)

            def first() -> bytes:
                # A new key, even where one of this name was pruned: its old secrets end here.
                ref = declared[0].ref
                plan = Request(declared, VERB_SOURCE, only_new=True)
                self._applier.check_new(session, plan)
                key_store.detach(session, (ref.tenant, ref.name), now)
                applied = self._applier.apply(session, caller, plan, now)
                answer = admin_pb2.CreateKeyResponse(revision=applied.revision)
                for of, minted in applied.minted:
                    answer.minted.CopyFrom(
                        convert.minted_message(of.kind, of.tenant, of.name, minted.secret.text)
                    )
                return answer.SerializeToString()

            return self._answers.once(session, caller, "CreateKey", request.request_id, now, first)

        return admin_pb2.CreateKeyResponse.FromString(await self._database.run(work))

    async def rotate(
        self, request: admin_pb2.RotateKeyRequest, caller: Principal
    ) -> admin_pb2.RotateKeyResponse:
        ref = convert.ref_of("key", request.tenant, request.name, caller)
        grace = convert.timedelta_of(request.grace, "grace") if request.HasField("grace") else None
        now = self._now()

        def work(session: Session) -> bytes:
            def first() -> bytes:
                minted, revision = self._keys.rotate(session, caller, ref, grace, now)
                message = convert.minted_message(ref.kind, ref.tenant, ref.name, minted.secret.text)
                return admin_pb2.RotateKeyResponse(minted=message, revision=revision).SerializeToString()

            method = f"RotateKey {ref}"
            return self._answers.once(session, caller, method, request.request_id, now, first)

        return admin_pb2.RotateKeyResponse.FromString(await self._database.run(work))

    async def revoke(
        self, request: admin_pb2.RevokeKeyRequest, caller: Principal
    ) -> admin_pb2.RevokeKeyResponse:
        ref = convert.ref_of("key", request.tenant, request.name, caller)
        now = self._now()
        revision = await self._database.run(lambda session: self._keys.revoke(session, caller, ref, now))
        return admin_pb2.RevokeKeyResponse(revision=revision)

    async def set_provider_key(
        self, request: admin_pb2.SetProviderKeyRequest, caller: Principal
    ) -> admin_pb2.SetProviderKeyResponse:
        ref = make_ref("provider", request.tenant or caller.tenant or "", request.provider)
        value, now = Secret(request.value.strip()), self._now()
        revision = await self._database.run(
            lambda session: self._provider_keys.set(
                session, caller, (ref.tenant, ref.name), request.key, value, now
            )
        )
        return admin_pb2.SetProviderKeyResponse(revision=revision)

    async def remove_provider_key(
        self, request: admin_pb2.RemoveProviderKeyRequest, caller: Principal
    ) -> admin_pb2.RemoveProviderKeyResponse:
        ref = make_ref("provider", request.tenant or caller.tenant or "", request.provider)
        now = self._now()
        revision = await self._database.run(
            lambda session: self._provider_keys.remove(
                session, caller, (ref.tenant, ref.name), request.key, now
            )
        )
        return admin_pb2.RemoveProviderKeyResponse(revision=revision)
