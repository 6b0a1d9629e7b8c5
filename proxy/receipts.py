"""How recent calls were answered, for `GET /headgate/v1/receipts/ID`: ten minutes, bounded.

Two generations of plain dictionaries instead of a cache with a clock per entry: an insert costs 50 ns
on the call path, and the older half is dropped as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from headgate.rules.money import usd_text
from headgate.v1 import usage_pb2
from proxy.upstream.failure import reason_text

KEEP_SECONDS = 600
# Per generation; about 400 bytes each.
MAX_PER_GENERATION = 20_000
# Serialised records, and who was left out.
_Kept = tuple[list[bytes], list[tuple[str, str]]]


class Receipts:
    """Serialised usage records by request id; documents are made when somebody asks."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._young: dict[bytes, _Kept] = {}
        self._old: dict[bytes, _Kept] = {}
        self._turned_at = clock()

    def add(self, request_id: bytes, records: list[bytes], excluded: list[tuple[str, str]]) -> None:
        young = self._young
        if len(young) >= MAX_PER_GENERATION or self._clock() - self._turned_at > KEEP_SECONDS:
            self._old, self._young = young, {}
            self._turned_at = self._clock()
            young = self._young
        young[request_id] = records, excluded

    def get(self, request_id: bytes, tenant: str, key: str) -> dict[str, Any] | None:
        """The receipt; None if there is none, or if it is somebody else's."""
        kept = self._young.get(request_id) or self._old.get(request_id)
        if kept is None:
            return None
        records, excluded = kept
        receipt = document([usage_pb2.UsageRecord.FromString(record) for record in records], excluded)
        return receipt if (receipt["tenant"], receipt["key"]) == (tenant, key) else None


def document(
    records: list[usage_pb2.UsageRecord], excluded: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """A receipt as clients see it. Money is a decimal string, or null where something is unpriced.

    `excluded`: (model, reason) of those that were not asked, or only after the others.
    """
    last = records[-1]
    costs = [record.cost_picousd if record.HasField("cost_picousd") else None for record in records]
    known = [cost for cost in costs if cost is not None]
    return {
        "request_id": last.request_id.hex(),
        "tenant": last.tenant,
        "key": last.key,
        "route": last.route,
        "model": f"{last.provider}/{last.upstream_model}",
        "status": last.client_status,
        "outcome": _lower(usage_pb2.Outcome.Name(last.outcome), "OUTCOME_"),
        "cost_usd": usd_text(sum(known)) if len(known) == len(costs) else None,
        "latency_ms": last.request_latency_ms,
        **_tokens(last),
        "cache": "off",
        "experiment": f"{last.experiment}/{last.variant}" if last.experiment else None,
        "attempts": [_attempt(record) for record in records],
        "excluded": [{"model": model, "reason": reason} for model, reason in dict.fromkeys(excluded)],
    }


def _attempt(record: usage_pb2.UsageRecord) -> dict[str, Any]:
    return {
        "id": record.id.hex(),
        "model": record.model,
        "provider": record.provider,
        "upstream_model": record.upstream_model,
        "upstream_request_id": record.upstream_request_id or None,
        "outcome": _lower(usage_pb2.Outcome.Name(record.outcome), "OUTCOME_"),
        "status": record.status or None,
        "reason": reason_text(record.reason) if record.reason else None,
        "started_ms": record.started_ms,
        "latency_ms": record.latency_ms,
        "first_token_ms": record.first_token_ms if record.HasField("first_token_ms") else None,
        **_tokens(record),
        "cost_usd": usd_text(record.cost_picousd) if record.HasField("cost_picousd") else None,
        "estimated": record.estimated,
    }


def _tokens(record: usage_pb2.UsageRecord) -> dict[str, int]:
    return {
        "input_tokens": record.input_tokens,
        "cache_read_tokens": record.cache_read_tokens,
        "cache_write_tokens": record.cache_write_5m_tokens + record.cache_write_1h_tokens,
        "output_tokens": record.output_tokens,
        "reasoning_tokens": record.reasoning_tokens,
    }


def _lower(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()
