"""Single calls: the attempts of requests, read by request id or newest first.

A call is known by its final attempt; one whose proxy died has an attempt of unknown outcome instead.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as UUID_TYPE
from sqlmodel import Session

from control_plane.usage.model import Attempt, Call

# A request's attempts lie no further apart than its longest total timeout.
SPREAD = timedelta(days=1, hours=1)
MAX_ATTEMPTS_PER_CALL = 200

_COLUMNS = ", ".join(
    {
        "user": 'user_name AS "user"',
        "cache_write_tokens": "cache_write_5m_tokens + cache_write_1h_tokens AS cache_write_tokens",
    }.get(field.name, field.name)
    for field in fields(Attempt)
)
# Outcome 6 is UNKNOWN: the proxy died meanwhile.
_CLOSES = "((final OR outcome = 6) AND purpose = 0)"


# (time, id) of a record.
Place = tuple[datetime, UUID]
# (ingested_at, time, id) of a record.
Committed = tuple[datetime, datetime, UUID]


@dataclass(frozen=True, slots=True)
class Filter:
    # None: all.
    tenant: str | None
    key: str = ""


def list_page(
    session: Session,
    chosen: Filter,
    start: datetime,
    end: datetime,
    before: Place | None,
    limit: int,
) -> tuple[list[Call], Place | None]:
    """Newest first, and where the next page begins, if there is more.

    A call has a second row where an attempt of it ended in the dark; it stands where its newest is.
    So a page of `limit` rows may have fewer calls.
    """
    where, parameters = _where(chosen)
    where += " AND time >= :start AND time < :end"
    parameters |= {"start": start, "end": end, "limit": limit + 1}
    of_page, on_an_earlier_page = where, "false"
    if before is not None:
        of_page += " AND (time, id) < (:time, :id)"
        on_an_earlier_page = (
            f"EXISTS (SELECT FROM usage_record WHERE {where} AND request_id = page.request_id "
            "AND (time, id) >= (:time, :id) AND time < page.time + :spread)"
        )
        parameters |= {"time": before[0], "id": before[1], "spread": SPREAD}
    statement = (
        f"SELECT time, id, request_id, {on_an_earlier_page} FROM (SELECT time, id, request_id "  # noqa: S608
        f"FROM usage_record WHERE {of_page} ORDER BY time DESC, id DESC LIMIT :limit) page "
        "ORDER BY time DESC, id DESC"
    )
    rows = session.connection().execute(text(statement), parameters).all()
    places: dict[UUID, datetime] = {}
    for time, _, request_id, was_given in rows[:limit]:
        if not was_given:
            places.setdefault(request_id, time)
    found = _calls(session, list(places), list(places.values()), chosen.tenant)
    return found, (rows[limit - 1][0], rows[limit - 1][1]) if len(rows) > limit else None


def committed_since(
    session: Session,
    chosen: Filter,
    since: datetime,
    after: Committed | None,
    given: Collection[UUID],
    limit: int,
) -> tuple[list[Call], Committed | None]:
    """Calls closed by records ingested since, but those given; and where to go on, if there may be more."""
    where, parameters = _where(chosen)
    where += " AND ingested_at >= :since"
    parameters |= {"since": since, "limit": limit}
    if after is not None:
        where += " AND (ingested_at, time, id) > (:ingested_at, :time, :id)"
        # `since` as well: the index knows that one alone.
        parameters |= {"since": after[0], "ingested_at": after[0], "time": after[1], "id": after[2]}
    statement = f"SELECT request_id, ingested_at, time, id FROM usage_record WHERE {where}"  # noqa: S608
    rows = (
        session.connection()
        .execute(text(f"{statement} ORDER BY ingested_at, time, id LIMIT :limit"), parameters)
        .all()
    )
    found = {row[0]: row[2] for row in rows if row[0] not in given}
    calls = _calls(session, list(found), list(found.values()), chosen.tenant)
    return calls, (rows[-1][1], rows[-1][2], rows[-1][3]) if len(rows) == limit else None


def get(session: Session, request_id: UUID, tenant: str | None) -> Call | None:
    calls = _calls(session, [request_id], [], tenant)
    return calls[0] if calls else None


def _where(chosen: Filter) -> tuple[str, dict[str, Any]]:
    where, parameters = _CLOSES, {}
    if chosen.tenant is not None:
        where += " AND tenant = :tenant"
        parameters["tenant"] = chosen.tenant
    if chosen.key:
        where += " AND key = :key"
        parameters["key"] = chosen.key
    return where, parameters


def _calls(
    session: Session, request_ids: Sequence[UUID], times: Sequence[datetime], tenant: str | None
) -> list[Call]:
    """In the order of `request_ids`. `times` narrows the partitions that are looked at."""
    if not request_ids:
        return []
    where, parameters = "request_id = ANY(:ids)", {"ids": list(request_ids)}
    if times:
        where += " AND time >= :low AND time < :high"
        parameters |= {"low": min(times) - SPREAD, "high": max(times) + SPREAD}  # type: ignore[dict-item]
    if tenant is not None:
        where += " AND tenant = :tenant"
        parameters["tenant"] = tenant  # type: ignore[assignment]
    select = f"SELECT request_id, {_COLUMNS} FROM usage_record WHERE {where}"  # noqa: S608 - constants
    statement = text(f"{select} ORDER BY attempt_number, time, id").bindparams(
        bindparam("ids", type_=ARRAY(UUID_TYPE))
    )
    calls = {request_id: Call(request_id) for request_id in request_ids}
    for row in session.connection().execute(statement, parameters).mappings():
        attempts = calls[row["request_id"]].attempts
        if len(attempts) < MAX_ATTEMPTS_PER_CALL:
            attempts.append(Attempt(**{name: row[name] for name in _NAMES}))
    return [call for call in calls.values() if call.attempts]


_NAMES = tuple(field.name for field in fields(Attempt))
