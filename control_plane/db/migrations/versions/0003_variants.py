"""How an attempt stands to the variant of its experiment."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(
        """
        ALTER TABLE usage_record
          ADD COLUMN variant_by_request boolean NOT NULL DEFAULT false,
          ADD COLUMN outside_variant boolean NOT NULL DEFAULT false
        """
    )
