"""The table of the check value: what the right key-encryption key opens and another does not.
And what all tables of sealed secrets have in common."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime
from sqlmodel import Field, SQLModel

from control_plane.secrets.envelope import Place


class KekCheckRow(SQLModel, table=True):
    __tablename__ = "kek_check"

    id: int = Field(primary_key=True)
    sealed: bytes
    created_at: datetime = Field(sa_type=DateTime(timezone=True))


class Sealed(SQLModel):
    """A table whose rows hold a secret; None: this one holds none."""

    sealed: bytes | None = None

    @property
    def place(self) -> Place:
        raise NotImplementedError
