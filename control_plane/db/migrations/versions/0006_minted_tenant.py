"""First answers say whose they are, so that they can be sealed anew under another key."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # The default serves replicas of the version before, which do not know the column.
    op.get_bind().exec_driver_sql("ALTER TABLE minted ADD COLUMN tenant text NOT NULL DEFAULT ''")
