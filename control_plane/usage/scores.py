"""From serialised ScoreRecords to rows: what judges, checks and people said of answers. No content."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.message import DecodeError
from sqlalchemy import text
from sqlmodel import Session

from control_plane.usage.errors import Poison
from control_plane.usage.records import ID_BYTES, MAX_RECORD_BYTES, MAX_TEXT_CHARACTERS, check_id
from headgate.v1 import usage_pb2

COLUMNS = (
    *("time", "id", "request_id", "tenant", "source", "name", "rubric", "value", "remark", "unscored"),
    *("versus", "changed", "model", "task", "unit", "proxy"),
)
# A replay changes nothing.
INSERT = f"""
INSERT INTO score_record ({", ".join(COLUMNS)}) VALUES ({", ".join(["%s"] * len(COLUMNS))})
ON CONFLICT (time, id) DO NOTHING
"""  # noqa: S608 - constants

Row = tuple[datetime, UUID, UUID, str, int, str, str, float | None, int, int, str, bool, str, str, str, str]


def row_of(raw: bytes, proxy: str, oldest_ms: int, now_ms: int) -> Row | None:
    """The record as a row for COLUMNS; None if its call is past what is kept. Raises Poison."""
    if len(raw) > MAX_RECORD_BYTES:
        raise Poison(f"larger than {MAX_RECORD_BYTES} bytes")
    try:
        score = usage_pb2.ScoreRecord.FromString(raw)
    except DecodeError:
        raise Poison("not a ScoreRecord") from None
    check_id(score.id, oldest_ms, now_ms)
    if len(score.request_id) != ID_BYTES:
        raise Poison("request_id is not 16 bytes")
    # Of the call, which may be long before what is said of it.
    call_ms = check_id(score.request_id, 0, now_ms)
    if call_ms < oldest_ms:
        return None
    value = score.value if score.HasField("value") else None
    if value is not None and not (math.isfinite(value) and 0 <= value <= 1):
        raise Poison("value is not between 0 and 1")
    if value is None and not score.unscored:
        raise Poison("neither a value nor a reason why there is none")
    said = (score.tenant, score.name, score.rubric, score.versus, score.model, score.task, score.unit)
    tenant, name, rubric, versus, model, task, unit = map(_text, said)
    return (
        datetime.fromtimestamp(call_ms / 1000, UTC),
        UUID(bytes=score.id),
        UUID(bytes=score.request_id),
        tenant,
        _small(score.source),
        name,
        rubric,
        value,
        _small(score.remark),
        _small(score.unscored),
        versus,
        score.changed,
        model,
        task,
        unit,
        proxy,
    )


def in_order(rows: Sequence[Row]) -> list[Row]:
    """As every transaction writes them, so that two of them never wait for each other."""
    return sorted(rows, key=lambda row: row[:2])


def forget_before(session: Session, moment: datetime) -> None:
    session.connection().execute(text("DELETE FROM score_record WHERE time < :moment"), {"moment": moment})


def _text(value: str) -> str:
    return value[:MAX_TEXT_CHARACTERS].replace("\0", "")


def _small(number: int) -> int:
    """Enumerations of a newer proxy included."""
    return min(max(number, 0), 2**15 - 1)
