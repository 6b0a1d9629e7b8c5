"""The table of first answers, sealed because they hold fresh secrets."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime
from sqlmodel import Field, SQLModel


class MintedRow(SQLModel, table=True):
    __tablename__ = "minted"

    request_id: str = Field(primary_key=True)
    actor: str = Field(primary_key=True)
    method: str
    sealed: bytes
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
