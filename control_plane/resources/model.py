"""The resource tables, and the values that stand for a resource inside the program.

A tenant's own resource has that tenant's name in the column `tenant`, so that one filter scopes
everything; outside, a tenant has no tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import BigInteger, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from headgate.rules.credentials import Minted, Secret
from headgate.rules.names import DEFAULT_TENANT, plural

# Who owns what the key and token verbs create.
VERB_SOURCE = "admin"
DEFAULT_SOURCE = "manifest"


class ResourceRow(SQLModel, table=True):
    __tablename__ = "resource"

    tenant: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    spec: dict[str, Any] = Field(sa_type=JSONB)
    source: str = Field(index=True)
    revision: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    updated_at: datetime = Field(sa_type=DateTime(timezone=True))


class ResourceStateRow(SQLModel, table=True):
    __tablename__ = "resource_state"

    tenant: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    disabled: bool
    reason: str
    actor: str
    updated_at: datetime = Field(sa_type=DateTime(timezone=True))
    # By kind: what was decided of an experiment, what was judged of a model.
    detail: dict[str, Any] = Field(default_factory=dict, sa_type=JSONB)


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    kind: str
    tenant: str
    name: str

    @property
    def shown_tenant(self) -> str:
        return "" if self.kind == "tenant" else self.tenant

    def __str__(self) -> str:
        """`routes/acme/chat`; `tenants/acme`."""
        if self.kind == "tenant":
            return f"tenants/{self.name}"
        return f"{plural(self.kind)}/{self.tenant}/{self.name}"


def make_ref(kind: str, tenant: str, name: str) -> Ref:
    """`tenant` "" means `default`."""
    return Ref(kind, name if kind == "tenant" else tenant or DEFAULT_TENANT, name)


@dataclass(frozen=True, slots=True)
class Declared:
    """One resource as a request declares it, checked by itself: names resolved, secrets taken out."""

    ref: Ref
    # Position in the request.
    index: int
    spec: Message
    rendered: dict[str, Any]
    # Providers: key name → value, None where the stored one is to be kept.
    provider_keys: dict[str, Secret | None] = field(default_factory=dict)


class ChangeType(Enum):
    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    PRUNED = "pruned"


@dataclass(frozen=True, slots=True)
class Change:
    ref: Ref
    type: ChangeType
    differences: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    changes: tuple[Change, ...]
    revision: int
    minted: tuple[tuple[Ref, Minted], ...]


@dataclass(frozen=True, slots=True)
class ProviderKeyInfo:
    name: str
    # manifest, set-key or removed
    origin: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CredentialInfo:
    public_id: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class State:
    disabled: bool = False
    disabled_reason: str = ""
    provider_keys: tuple[ProviderKeyInfo, ...] = ()
    credentials: tuple[CredentialInfo, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource as it may be shown."""

    ref: Ref
    spec: dict[str, Any]
    source: str
    revision: int
    updated_at: datetime
    state: State
