"""The table of the check value: what the right key-encryption key opens and another does not."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime
from sqlmodel import Field, SQLModel


class KekCheckRow(SQLModel, table=True):
    __tablename__ = "kek_check"

    id: int = Field(primary_key=True)
    sealed: bytes
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
