"""The table of provider keys. A key from a manifest and one from `set-key` are two rows: the state's
one counts, and a state row without a secret means "removed"."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, DateTime
from sqlmodel import Field

from control_plane.secrets.envelope import Place
from control_plane.secrets.model import Sealed

SPEC, STATE = "spec", "state"
DEFAULT_KEY = "default"


class ProviderKeyRow(Sealed, table=True):
    __tablename__ = "provider_key"

    tenant: str = Field(primary_key=True)
    provider: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    origin: str = Field(primary_key=True)
    # The revision that wrote it: grows with every replacement, also across a removal.
    version: int = Field(sa_type=BigInteger)
    actor: str
    updated_at: datetime = Field(sa_type=DateTime(timezone=True))

    @property
    def place(self) -> Place:
        return place_of(self.tenant, self.provider, self.name, self.origin, self.version)


def place_of(tenant: str, provider: str, name: str, origin: str, version: int) -> Place:
    return Place(tenant, "provider_key", (provider, name, origin), version)
