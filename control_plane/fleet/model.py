"""The fleet's table, so that any replica can list all proxies, and a proxy as it may be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import BigInteger, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from control_plane.revisions.model import Version

NOTHING = Version(0, 0)


class ProxyRow(SQLModel, table=True):
    __tablename__ = "proxy"

    name: str = Field(primary_key=True)
    region: str
    labels: dict[str, str] = Field(sa_type=JSONB)
    software_version: str
    replica: str
    connected: bool
    epoch: int = Field(sa_type=BigInteger)
    revision: int = Field(sa_type=BigInteger)
    stale_since: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    last_nack: str
    nack_epoch: int = Field(sa_type=BigInteger)
    nack_revision: int = Field(sa_type=BigInteger)
    spool_bytes: int = Field(sa_type=BigInteger)
    usage_lag_seconds: float
    last_seen: datetime = Field(sa_type=DateTime(timezone=True))


@dataclass(slots=True)
class Proxy:
    """What is known of one proxy. Only the registry changes it."""

    name: str
    region: str
    labels: dict[str, str] = field(default_factory=dict)
    software_version: str = ""
    replica: str = ""
    connected: bool = True
    acked: Version = NOTHING
    # Since when it has been behind what is published; None: it is not.
    stale_since: datetime | None = None
    last_nack: str = ""
    nacked: Version = NOTHING
    spool_bytes: int = 0
    usage_lag_seconds: float = 0.0
    last_seen: datetime = datetime.min
