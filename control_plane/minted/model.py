"""The table of first answers, sealed because they hold fresh secrets."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime
from sqlmodel import Field

from control_plane.secrets.envelope import Place
from control_plane.secrets.model import Sealed


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
        return Place(self.tenant, "minted", (self.request_id, self.actor, self.method), 1)
