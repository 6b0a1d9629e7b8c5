"""The token table, and what the rest of the program knows of a token: its Principal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

OWNER, EDITOR, VIEWER, PROXY = "owner", "editor", "viewer", "proxy"
ROLES = (OWNER, EDITOR, VIEWER, PROXY)
# What each role includes. A proxy's token opens the streams and nothing else, and no other role does.
INCLUDES: dict[str, frozenset[str]] = {
    OWNER: frozenset({OWNER, EDITOR, VIEWER}),
    EDITOR: frozenset({EDITOR, VIEWER}),
    VIEWER: frozenset({VIEWER}),
    PROXY: frozenset({PROXY}),
}


class TokenRow(SQLModel, table=True):
    __tablename__ = "token"

    public_id: str = Field(primary_key=True)
    name: str
    role: str
    tenant: str | None = None
    sha256: bytes = Field(unique=True)
    created_by: str
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    expires_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    revoked_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    # Of a proxy that joined: its certificate says so, and `sha256` is of its key. None: a bearer token.
    region: str | None = None
    labels: dict[str, Any] | None = Field(default=None, sa_type=JSONB)


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it may be shown."""

    name: str
    role: str
    tenant: str | None
    public_id: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling. `tenant` None: all tenants."""

    name: str
    role: str
    tenant: str | None
    sha256: bytes
    expires_at: datetime | None = None
    # Of a joined proxy: the region that it is of, and its labels. None: it may say so itself.
    region: str | None = None
    labels: Mapping[str, str] | None = None

    def has(self, role: str) -> bool:
        return role in INCLUDES.get(self.role, frozenset())

    def sees(self, tenant: str) -> bool:
        return self.tenant is None or self.tenant == tenant
