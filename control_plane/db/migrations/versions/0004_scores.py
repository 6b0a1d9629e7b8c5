"""Scores of answers, what an attempt was made for, and state that is more than a switch."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(
        """
        ALTER TABLE usage_record ADD COLUMN purpose smallint NOT NULL DEFAULT 0;
        CREATE INDEX usage_record_experiment ON usage_record (tenant, experiment, time)
          WHERE experiment <> '';

        ALTER TABLE usage_hour ADD COLUMN purpose smallint NOT NULL DEFAULT 0;
        ALTER TABLE usage_hour DROP CONSTRAINT usage_hour_pkey;
        ALTER TABLE usage_hour
          ADD PRIMARY KEY (hour, tenant, key, route, model, provider, task, region, purpose);

        ALTER TABLE resource_state ADD COLUMN detail jsonb NOT NULL DEFAULT '{}';

        -- `time` is the call's, out of its id, so that a window of calls is a window of their scores.
        CREATE TABLE score_record (
          time timestamptz NOT NULL,
          id uuid NOT NULL,
          request_id uuid NOT NULL,
          tenant text NOT NULL,
          source smallint NOT NULL,
          name text NOT NULL,
          rubric text NOT NULL,
          value double precision,
          remark smallint NOT NULL,
          unscored smallint NOT NULL,
          versus text NOT NULL,
          changed boolean NOT NULL,
          model text NOT NULL,
          task text NOT NULL,
          unit text NOT NULL,
          proxy text NOT NULL,
          ingested_at timestamptz NOT NULL DEFAULT now(),
          PRIMARY KEY (time, id)
        );
        -- What judges and shadows have cost in a day, added to with the records themselves: proxies with a limit
        -- are told every few seconds.
        CREATE TABLE background_day (
          day date NOT NULL,
          tenant text NOT NULL,
          experiment text NOT NULL,
          variant text NOT NULL,
          cost_picousd numeric NOT NULL,
          PRIMARY KEY (day, tenant, experiment, variant)
        );
        CREATE INDEX score_record_tenant ON score_record (tenant, time);
        """
    )
