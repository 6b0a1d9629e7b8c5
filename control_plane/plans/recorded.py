"""What was recorded of attempts, read again in the order of time: names, counts and times, never content.

Read in pages by (time, id), so that no statement runs for long; of very much, every n-th request is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

PAGE = 5_000
# Beyond it requests are sampled; about ten minutes of work for the control plane.
MAX_ATTEMPTS = 1_000_000
MAX_ONE_IN = 65_536


@dataclass(frozen=True, slots=True)
class Recorded:
    """One attempt. `unix_ms`: the time inside its id."""

    id: UUID
    time: datetime
    key: str
    route: str
    model: str
    provider: str
    upstream_model: str
    region: str
    user_name: str
    session: str
    task: str
    metadata: dict[str, str] | None
    operation: str
    stream: bool
    outcome: int
    reason: int
    final: bool
    client_status: int
    latency_ms: int
    first_token_ms: int | None
    request_latency_ms: int
    input_tokens: int
    cache_read_tokens: int
    output_tokens: int
    cost_picousd: int | None
    service_tier: str

    @property
    def unix_ms(self) -> int:
        return int(self.time.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Window:
    tenant: str
    start: datetime
    end: datetime
    # Of requests, by the last bytes of their ids.
    one_in: int = 1


_COLUMNS = ", ".join(field.name for field in fields(Recorded))


def count(session: Session, window: Window) -> int:
    """Attempts, by the hourly roll-ups: what is in the window's first and last hour counts whole."""
    row = session.connection().execute(
        text(
            "SELECT coalesce(sum(attempts), 0) FROM usage_hour WHERE tenant = :tenant "
            "AND purpose = 0 AND hour >= date_trunc('hour', CAST(:start AS timestamptz)) AND hour < :end"
        ),
        {"tenant": window.tenant, "start": window.start, "end": window.end},
    )
    return int(row.scalar_one())


def page(session: Session, window: Window, after: tuple[datetime, UUID] | None) -> list[Recorded]:
    """The next attempts in the order of (time, id); fewer than PAGE: the last."""
    where = "tenant = :tenant AND purpose = 0 AND time >= :start AND time < :end"
    parameters: dict[str, Any] = {
        "tenant": window.tenant,
        "start": window.start if after is None else after[0],
        "end": window.end,
        "limit": PAGE,
    }
    if after is not None:
        where += " AND (time, id) > (:time, :id)"
        parameters |= {"time": after[0], "id": after[1]}
    if window.one_in > 1:
        # The last two bytes of a UUIDv7 are chance.
        where += (
            " AND (get_byte(uuid_send(request_id), 14) * 256 + get_byte(uuid_send(request_id), 15))"
            " % :one_in = 0"
        )
        parameters["one_in"] = window.one_in
    rows = session.connection().execute(
        text(f"SELECT {_COLUMNS} FROM usage_record WHERE {where} ORDER BY time, id LIMIT :limit"),  # noqa: S608
        parameters,
    )
    return [Recorded(*row) for row in rows]


def sampled(attempts: int) -> int:
    """Every how-manieth request to take."""
    return min(MAX_ONE_IN, -(-attempts // MAX_ATTEMPTS) or 1)
