"""A rollout's table, and the value that snapshots are made with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from control_plane.resources.model import Ref

CANARY, PROMOTED, HALTED = "canary", "promoted", "halted"
# What decides how calls are answered. Keys and tenants are for everybody at once.
KINDS = ("provider", "model", "experiment", "route")
SHARE_UNIT = 2**63


class RolloutRow(SQLModel, table=True):
    __tablename__ = "rollout"

    # The one that began it.
    revision: int = Field(primary_key=True, sa_type=BigInteger)
    source: str
    # [{kind, tenant, name, spec}]
    resources: list[dict[str, Any]] = Field(sa_type=JSONB)
    # {labels: {…}} or {salt, below}
    group_of: dict[str, Any] = Field(sa_type=JSONB)
    bake_seconds: int
    actor: str
    started_at: datetime = Field(sa_type=DateTime(timezone=True))
    state: str
    reason: str = ""
    ended_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))

    @property
    def group(self) -> Group:
        return Group(
            self.group_of.get("labels", {}), self.group_of.get("salt", ""), self.group_of.get("below", 0)
        )

    @property
    def specs(self) -> dict[Ref, dict[str, Any]]:
        return {Ref(one["kind"], one["tenant"], one["name"]): one["spec"] for one in self.resources}

    @property
    def canary(self) -> Canary:
        return Canary(self.revision, self.group, self.specs)


@dataclass(frozen=True, slots=True)
class Group:
    """Which proxies come first: those with all of these labels, or a share by a hash of their names."""

    labels: Mapping[str, str] = field(default_factory=dict)
    salt: str = ""
    below: int = 0

    def has(self, name: str, labels: Mapping[str, str]) -> bool:
        if self.labels:
            return all(labels.get(key) == value for key, value in self.labels.items())
        return place_of(self.salt, name) < self.below


def share_of(salt: str, percent: float, names: Sequence[str]) -> Group:
    """That share of these proxies, rounded up to whole ones, and of whoever comes later."""
    places = sorted(place_of(salt, name) for name in names)
    if not places:
        return Group(salt=salt, below=int(SHARE_UNIT * percent / 100))
    count = max(1, -(-len(places) * percent // 100))
    return Group(salt=salt, below=places[min(int(count), len(places)) - 1] + 1)


def place_of(salt: str, name: str) -> int:
    """Below 2^63, so that it is a number in JSON and in PostgreSQL."""
    return int.from_bytes(hashlib.sha256(f"{salt}/{name}".encode()).digest()[:8]) >> 1


@dataclass(frozen=True, slots=True)
class Canary:
    """What a rollout that is under way puts over the config for its group."""

    revision: int
    group: Group
    specs: Mapping[Ref, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class NewRollout:
    source: str
    labels: Mapping[str, str]
    # Instead of labels: of the proxies that are connected.
    percent: float
    bake: timedelta
    connected: Sequence[str]
