"""Proxies that join: the authority of their certificates, join tokens, and what a certificate names."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(
        """
        CREATE TABLE authority (
          id integer PRIMARY KEY CHECK (id = 1),
          certificate text NOT NULL,
          sealed bytea NOT NULL,
          created_at timestamptz NOT NULL
        );
        CREATE TABLE join_token (
          public_id text PRIMARY KEY,
          sha256 bytea NOT NULL UNIQUE CHECK (length(sha256) = 32),
          region text NOT NULL,
          uses_left integer NOT NULL,
          labels jsonb NOT NULL,
          created_by text NOT NULL,
          created_at timestamptz NOT NULL,
          expires_at timestamptz NOT NULL
        );
        ALTER TABLE token ADD COLUMN region text, ADD COLUMN labels jsonb;
        """
    )
