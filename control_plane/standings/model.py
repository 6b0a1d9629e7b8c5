"""The table of what each proxy said last, so that any replica can tell of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import DateTime, LargeBinary
from sqlmodel import Field, SQLModel

from headgate.v1 import config_pb2


class ProxyStandingRow(SQLModel, table=True):
    __tablename__ = "proxy_standing"

    proxy: str = Field(primary_key=True)
    region: str
    reported_at: datetime = Field(sa_type=DateTime(timezone=True))
    # A serialised Standings message: replaced as a whole, and never searched in.
    standings: bytes = Field(sa_type=LargeBinary)


@dataclass(frozen=True, slots=True)
class Reported:
    proxy: str
    region: str
    reported_at: datetime
    standings: config_pb2.Standings
