"""The table of first answers, sealed because they hold fresh secrets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import DateTime
from sqlmodel import Field

from control_plane.secrets.envelope import Place
from control_plane.secrets.model import Sealed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MintedRow(Sealed, table=True):
    __tablename__ = "minted"

    request_id: str = Field(primary_key=True)
    actor: str = Field(primary_key=True)
    tenant: str
    method: str
    sealed: bytes | None = Field(default=None, nullable=False)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))

    @property
    def place(self) -> Place:
        # Its time is its version: an older answer to the same request_id cannot be put back.
        version = (self.created_at - _EPOCH) // timedelta(microseconds=1)
        return Place(self.tenant, "minted", (self.request_id, self.actor, self.method), version)
