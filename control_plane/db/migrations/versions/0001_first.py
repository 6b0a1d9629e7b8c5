"""The first schema: config with its history, state, secrets, tokens, the fleet and usage."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # As one script: the SQL is then readable as SQL. The driver takes it without parameters as it is.
    statements = (Path(__file__).parent / "0001_first.sql").read_text("utf-8")
    op.get_bind().exec_driver_sql(statements)
