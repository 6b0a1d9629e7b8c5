"""The dead letters: what was set aside. Counted for the alarm, read, taken in after all, or dismissed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from google.protobuf.message import DecodeError
from sqlalchemy import text
from sqlmodel import Session

from control_plane.errors import InvalidField
from control_plane.revisions.service import Revisions
from control_plane.tokens.model import Principal
from control_plane.usage.errors import NotQuarantined
from control_plane.usage.model import Batch
from headgate.rules.money import usd_text
from headgate.v1.usage_pb2 import ScoreRecord, UsageRecord

MAX_REASON_CHARACTERS = 500
_COLUMNS = "id, received_at, proxy, why, record_id, raw, kind"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    id: int
    received_at: datetime
    proxy: str
    why: str
    record_id: UUID | None
    raw: bytes
    is_score: bool

    def batch(self) -> Batch:
        """As if it had just come."""
        return Batch(self.proxy, [], [self.raw]) if self.is_score else Batch(self.proxy, [self.raw])

    def record(self) -> UsageRecord:
        """What can be read of it; an empty one where nothing can. Of a score: whose it is."""
        try:
            if self.is_score:
                score = ScoreRecord.FromString(self.raw)
                return UsageRecord(request_id=score.request_id, tenant=score.tenant, model=score.model)
            return UsageRecord.FromString(self.raw)
        except DecodeError:
            return UsageRecord()

    def said(self) -> dict[str, str | int]:
        """For the audit trail: what would be lost without a trace."""
        record = self.record()
        return {
            "why": self.why,
            "proxy": self.proxy,
            "record_id": str(self.record_id or ""),
            "request_id": request_id_of(record),
            "tenant": record.tenant,
            "key": record.key,
            "model": record.model,
            "input_tokens": record.input_tokens,
            "output_tokens": record.output_tokens,
            "cost_usd": cost_of(record),
        }


def request_id_of(record: UsageRecord) -> str:
    return str(UUID(bytes=record.request_id)) if len(record.request_id) == 16 else ""


def cost_of(record: UsageRecord) -> str:
    return usd_text(record.cost_picousd) if record.HasField("cost_picousd") else ""


def count_quarantined(session: Session) -> int:
    return int(session.connection().execute(text("SELECT count(*) FROM usage_quarantine")).scalar_one())


def page(session: Session, before: int, limit: int) -> list[DeadLetter]:
    """Newest first, those below the id `before`."""
    statement = f"SELECT {_COLUMNS} FROM usage_quarantine WHERE id < :before ORDER BY id DESC LIMIT :limit"  # noqa: S608
    return _letters(session, statement, {"before": before, "limit": limit})


def find(session: Session, ids: Sequence[int]) -> list[DeadLetter]:
    """In the order of their ids. Raises NotQuarantined."""
    statement = f"SELECT {_COLUMNS} FROM usage_quarantine WHERE id = ANY(:ids) ORDER BY id"  # noqa: S608
    found = _letters(session, statement, {"ids": list(ids)})
    if missing := set(ids) - {letter.id for letter in found}:
        raise NotQuarantined(min(missing))
    return found


def remove(session: Session, ids: Sequence[int]) -> None:
    session.connection().execute(
        text("DELETE FROM usage_quarantine WHERE id = ANY(:ids)"), {"ids": list(ids)}
    )


def dismiss(
    session: Session,
    revisions: Revisions,
    caller: Principal,
    ids: Sequence[int],
    reason: str,
    now: datetime,
) -> int:
    """The revision that says so. Raises NotQuarantined, InvalidField."""
    if not reason.strip() or len(reason) > MAX_REASON_CHARACTERS:
        raise InvalidField("reason", f"is missing, or longer than {MAX_REASON_CHARACTERS} characters")
    change = revisions.begin(session, caller.name, "dismiss", now)
    for letter in find(session, ids):
        change.record("usage", "", str(letter.id), "dismissed", letter.said(), {"reason": reason})
    remove(session, ids)
    return change.finish()


def _letters(session: Session, statement: str, parameters: dict[str, object]) -> list[DeadLetter]:
    rows = session.connection().execute(text(statement), parameters)
    return [
        DeadLetter(
            row.id, row.received_at, row.proxy, row.why, row.record_id, bytes(row.raw), row.kind == "score"
        )
        for row in rows
    ]
