"""Rollouts: what some proxies are sent before the others."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(
        """
        CREATE TABLE rollout (
          revision bigint PRIMARY KEY,
          source text NOT NULL,
          resources jsonb NOT NULL,
          group_of jsonb NOT NULL,
          bake_seconds integer NOT NULL,
          actor text NOT NULL,
          started_at timestamptz NOT NULL,
          state text NOT NULL CHECK (state IN ('canary', 'promoted', 'halted')),
          reason text NOT NULL,
          ended_at timestamptz
        );
        CREATE UNIQUE INDEX rollout_under_way ON rollout (state) WHERE state = 'canary';
        """
    )
