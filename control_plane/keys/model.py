"""The table of credentials. Only hashes are here: a stolen database opens nothing."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime
from sqlmodel import Field, SQLModel

MINTED, FROM_SPEC = "minted", "spec"


class CredentialRow(SQLModel, table=True):
    __tablename__ = "credential"

    sha256: bytes = Field(primary_key=True)
    tenant: str
    key_name: str
    # Empty for a taken-over hash: its secret was never seen here.
    public_id: str
    origin: str
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    expires_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    revoked_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    detached: bool = False

    def is_live(self, now: datetime) -> bool:
        return (
            not self.detached
            and self.revoked_at is None
            and (self.expires_at is None or self.expires_at > now)
        )
