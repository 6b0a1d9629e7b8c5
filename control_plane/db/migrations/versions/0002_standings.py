"""What proxies have learned of models."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(
        """
        CREATE TABLE proxy_standing (
          proxy text PRIMARY KEY,
          region text NOT NULL,
          reported_at timestamptz NOT NULL,
          standings bytea NOT NULL
        )
        """
    )
