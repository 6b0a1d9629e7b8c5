"""Which key seals, and its replacement, over gRPC."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from control_plane.db.database import Database
from control_plane.secrets.rotation import KekRotation
from control_plane.tokens.model import Principal
from headgate.v1 import sealing_pb2

# Less than the deadlines of clients; a repeated call goes on.
SECONDS_A_CALL = 5.0


class SealingCalls:
    def __init__(self, database: Database, rotation: KekRotation, now: Callable[[], datetime]) -> None:
        self._database = database
        self._rotation = rotation
        self._now = now

    async def get(
        self, request: sealing_pb2.GetSealingRequest, caller: Principal
    ) -> sealing_pb2.GetSealingResponse:
        uses = await self._database.run(self._rotation.uses)
        return sealing_pb2.GetSealingResponse(
            keks=[
                sealing_pb2.KekUse(id=use.id, secrets=use.secrets, active=use.is_active, present=use.is_here)
                for use in uses
            ]
        )

    async def rotate(
        self, request: sealing_pb2.RotateKekRequest, caller: Principal
    ) -> sealing_pb2.RotateKekResponse:
        until = time.monotonic() + SECONDS_A_CALL
        now = self._now()
        activated = await self._database.run(
            lambda session: self._rotation.activate_newest(session, caller, now)
        )
        sealed_anew = 0
        while time.monotonic() < until:
            batch = await self._database.run(self._rotation.seal_batch)
            sealed_anew += batch
            if batch == 0:
                break
        uses = await self._database.run(self._rotation.uses)
        remaining = sum(use.secrets for use in uses if not use.is_active)
        return sealing_pb2.RotateKekResponse(
            activated=activated, sealed_anew=sealed_anew, remaining=remaining
        )
