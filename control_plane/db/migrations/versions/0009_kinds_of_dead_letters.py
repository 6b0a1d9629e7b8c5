"""What a dead letter is: bytes of a score can be read as a usage record, which nobody ever made."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(
        r"""
        ALTER TABLE usage_quarantine ADD COLUMN kind text NOT NULL DEFAULT 'record'
          CHECK (kind IN ('record', 'score'));
        -- Those of before by their bytes: two ids of 16, then a text as field 3, which in a usage record is a number.
        UPDATE usage_quarantine SET kind = 'score'
          WHERE substring(raw FROM 1 FOR 2) = '\x0a10' AND substring(raw FROM 19 FOR 2) = '\x1210'
            AND substring(raw FROM 37 FOR 1) = '\x1a'
            OR why IN ('not a ScoreRecord', 'value is not between 0 and 1',
              'neither a value nor a reason why there is none');
        """
    )
