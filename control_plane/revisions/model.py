"""The tables of the history, and its values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


class ConfigHeadRow(SQLModel, table=True):
    __tablename__ = "config_head"

    id: int = Field(primary_key=True)
    epoch: int = Field(sa_type=BigInteger)
    revision: int = Field(sa_type=BigInteger)


class RevisionRow(SQLModel, table=True):
    __tablename__ = "revision"

    revision: int = Field(primary_key=True, sa_type=BigInteger)
    time: datetime = Field(sa_type=DateTime(timezone=True))
    actor: str
    source: str


class ChangeRow(SQLModel, table=True):
    __tablename__ = "change"

    revision: int = Field(primary_key=True, sa_type=BigInteger, foreign_key="revision.revision")
    seq: int = Field(primary_key=True)
    tenant: str
    kind: str
    name: str
    verb: str
    before: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    after: dict[str, Any] | None = Field(default=None, sa_type=JSONB)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Compared epoch first: neither a restored database nor a lagging replica goes backwards unseen."""

    epoch: int
    revision: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.revision}"


@dataclass(frozen=True, slots=True)
class Filter:
    """Of the audit trail; empty and None: all."""

    tenant: str | None = None
    kind: str = ""
    name: str = ""
    actor: str = ""
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the audit trail."""

    revision: int
    seq: int
    time: datetime
    actor: str
    source: str
    kind: str
    tenant: str
    name: str
    verb: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Revision:
    revision: int
    time: datetime
    actor: str
    source: str
    # "created route/default/chat"
    changes: tuple[str, ...]
