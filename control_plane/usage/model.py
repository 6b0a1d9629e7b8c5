"""Values of usage: what a batch became, what a report asks for and says. Money in pico-dollars."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch as a proxy sent it: serialised records, unread."""

    proxy: str
    records: list[bytes]
    scores: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """What became of a batch's records."""

    inserted: int = 0
    repeated: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class Quarantined:
    proxy: str
    content_hash: str
    record_id: str | None
    why: str
    raw: bytes
    is_score: bool = False


@dataclass(frozen=True, slots=True)
class UsageRow:
    group: tuple[str, ...]
    calls: int
    attempts: int
    errors: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    # None: nothing here has a price.
    cost_picousd: int | None
    unpriced_attempts: int
    p50_ms: float | None
    p95_ms: float | None
    first_token_p50_ms: float | None


@dataclass(frozen=True, slots=True)
class Attempt:
    id: UUID
    time: datetime
    attempt_number: int
    tenant: str
    key: str
    user: str
    route: str
    model: str
    provider: str
    upstream_model: str
    upstream_request_id: str
    region: str
    task: str
    experiment: str
    variant: str
    cache: int
    outcome: int
    status: int
    reason: int
    final: bool
    client_status: int
    started_ms: int
    latency_ms: int
    first_token_ms: int | None
    request_latency_ms: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_picousd: int | None
    estimated: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One request with its attempts, oldest first; at least one."""

    request_id: UUID
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def answered(self) -> Attempt:
        """The attempt that the client got, or the last one."""
        return next((a for a in self.attempts if a.final), self.attempts[-1])

    @property
    def cost_picousd(self) -> int | None:
        costs = [a.cost_picousd for a in self.attempts]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None
