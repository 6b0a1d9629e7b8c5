"""Usage records for tests: complete, valid, unique unless asked otherwise."""

from __future__ import annotations

import os
import time
from typing import Any

from headgate.v1 import usage_pb2


def make_id(unix_ms: int | None = None) -> bytes:
    """A UUIDv7 (RFC 9562 5.7)."""
    ms = int(time.time() * 1000) if unix_ms is None else unix_ms
    raw = bytearray(ms.to_bytes(6, "big") + os.urandom(10))
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return bytes(raw)


def make_record(**changes: Any) -> bytes:
    """Serialised; `changes` are fields of UsageRecord."""
    fields: dict[str, Any] = {
        "id": make_id(),
        "request_id": make_id(),
        "attempt_number": 1,
        "tenant": "default",
        "key": "backend",
        "route": "chat",
        "model": "gpt-4o-mini",
        "provider": "openai",
        "upstream_model": "gpt-4o-mini",
        "provider_key": "default",
        "region": "us",
        "user": "user-1",
        "operation": "chat",
        "stream": True,
        "outcome": usage_pb2.OUTCOME_OK,
        "status": 200,
        "final": True,
        "client_status": 200,
        "upstream_request_id": "req_0123456789abcdef",
        "latency_ms": 800,
        "first_token_ms": 120,
        "request_latency_ms": 810,
        "input_tokens": 1000,
        "cache_read_tokens": 200,
        "output_tokens": 300,
        "reasoning_tokens": 50,
        "cost_picousd": 330_000_000,
        "price_version": "genai-prices 0.2.3",
        "cache": usage_pb2.CACHE_RESULT_OFF,
    }
    return usage_pb2.UsageRecord(**{**fields, **changes}).SerializeToString()
