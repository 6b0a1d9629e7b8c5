"""The advisory locks of this program, in one place so that no two mean the same number."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session

MIGRATE = 0x4847_0001
MAINTENANCE = 0x4847_0002
BOOTSTRAP = 0x4847_0003
EXPERIMENTS = 0x4847_0004
TASK_FIT = 0x4847_0005
ROLLOUT = 0x4847_0006


def taken(session: Session, lock: int) -> bool:
    """Whether this transaction has it now; False: another one is at it."""
    statement = text("SELECT pg_try_advisory_xact_lock(:id)")
    return bool(session.connection().execute(statement, {"id": lock}).scalar_one())
