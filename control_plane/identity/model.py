"""The tables of the authority and of join tokens, and a join token as it may be shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from control_plane.secrets.envelope import Place
from control_plane.secrets.model import Sealed

AUTHORITY_PLACE = Place("", "authority", ("1",), 1)


class AuthorityRow(Sealed, table=True):
    __tablename__ = "authority"

    id: int = Field(primary_key=True)
    certificate: str
    # The key.
    sealed: bytes | None = Field(default=None, nullable=False)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))

    @property
    def place(self) -> Place:
        return AUTHORITY_PLACE


class JoinTokenRow(SQLModel, table=True):
    __tablename__ = "join_token"

    public_id: str = Field(primary_key=True)
    sha256: bytes = Field(unique=True)
    region: str
    uses_left: int
    labels: dict[str, Any] = Field(sa_type=JSONB)
    created_by: str
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    expires_at: datetime = Field(sa_type=DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class NewJoinToken:
    region: str
    uses: int
    expires: timedelta
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, and what a proxy must know to use it."""

    certificate: str
    authority: str
    port: int
    expires_at: datetime
