"""From a serialised UsageRecord to a line of COPY text, as cheaply as Python can.

Runs for every record of the fleet, so: one parse, one formatted string, checks that are one comparison
where all is well. Impossible counts are clamped and flagged; what cannot be a record is Poison.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from google.protobuf.message import DecodeError

from control_plane.usage.errors import Poison
from headgate.rules.money import MAX_TOKENS
from headgate.v1.usage_pb2 import UsageRecord

MAX_RECORD_BYTES = 64 * 1024
MAX_TEXT_CHARACTERS = 512
MAX_METADATA_ENTRIES = 64
MAX_INT32 = 2**31 - 1
MAX_INT16 = 2**15 - 1
ID_BYTES = 16
# A proxy's clock may be wrong; a record from further ahead is not a record.
MAX_AHEAD_MS = 7 * 86_400_000

# In the order of `line_of`.
STAGING_COLUMNS: Final = (
    "ordinal", "ms", "id", "request_id", "content_hash", "attempt_number", "outcome", "reason", "status",
    "client_status", "cache", "stream", "final", "estimated", "variant_by_request", "outside_variant",
    "purpose", "started_ms", "latency_ms", "first_token_ms", "request_latency_ms", "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens", "cache_write_1h_tokens", "audio_input_tokens", "output_tokens",
    "reasoning_tokens", "audio_output_tokens", "cost_picousd", "metadata", "tenant", "key", "route",
    "model", "provider", "upstream_model", "provider_key", "region", "user_name", "session", "task",
    "operation", "upstream_request_id", "price_version", "service_tier", "experiment", "variant", "proxy",
)  # fmt: skip

_LINE = "%d\t%d\t%s\t%s\t%s" + "\t%d" * 6 + "\t%s" * 5 + "\t%d" * 3 + "\t%s" + "\t%d" * 9 + "\t%s\t%s\t%s\n"
_TEXTS = 18
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": None})


def content_hash(raw: bytes) -> str:
    """128 bits over what the proxy sent; a replay sends the same bytes."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def line_of(raw: bytes, digest: str, proxy: str, ordinal: int, oldest_ms: int, now_ms: int) -> str:
    """The record as a line for STAGING_COLUMNS. Raises Poison."""
    if len(raw) > MAX_RECORD_BYTES:
        raise Poison(f"larger than {MAX_RECORD_BYTES} bytes")
    try:
        r = UsageRecord.FromString(raw)
    except DecodeError:
        raise Poison("not a UsageRecord") from None
    ms = check_id(r.id, oldest_ms, now_ms)
    if len(r.request_id) != ID_BYTES:
        raise Poison("request_id is not 16 bytes")
    counts = (
        r.input_tokens, r.cache_read_tokens, r.cache_write_5m_tokens, r.cache_write_1h_tokens,
        r.audio_input_tokens, r.output_tokens, r.reasoning_tokens, r.audio_output_tokens,
    )  # fmt: skip
    estimated = r.estimated
    if max(counts) > MAX_TOKENS:
        counts = tuple(min(count, MAX_TOKENS) for count in counts)  # type: ignore[assignment]
        estimated = True
    small = (r.attempt_number, r.outcome, r.reason, r.status, r.client_status, r.cache)
    if max(small) > MAX_INT16 or min(small) < 0:
        small = tuple(min(max(number, 0), MAX_INT16) for number in small)  # type: ignore[assignment]
    cost = "\\N"
    if r.HasField("cost_picousd"):
        if r.cost_picousd < 0:
            estimated = True  # a lie; unpriced is the truth
        else:
            cost = str(r.cost_picousd)
    return _LINE % (
        ordinal, ms, r.id.hex(), r.request_id.hex(), digest, *small,
        "t" if r.stream else "f", "t" if r.final else "f", "t" if estimated else "f",
        "t" if r.variant_by_request else "f", "t" if r.outside_variant else "f",
        min(max(r.purpose, 0), MAX_INT16), r.started_ms, r.latency_ms,
        r.first_token_ms if r.HasField("first_token_ms") else "\\N",
        r.request_latency_ms, *counts, cost, _metadata(r) if r.metadata else "\\N", _texts(r, proxy),
    )  # fmt: skip


def check_id(record_id: bytes, oldest_ms: int, now_ms: int) -> int:
    """The time inside a UUIDv7 (RFC 9562 5.7), in Unix milliseconds."""
    if len(record_id) != ID_BYTES or record_id[6] >> 4 != 7:
        raise Poison("id is not a UUIDv7")
    ms = int.from_bytes(record_id[:6], "big")
    if ms < oldest_ms:
        raise Poison("older than what is kept: it may have been billed before")
    if ms > now_ms + MAX_AHEAD_MS:
        raise Poison("from the future")
    return ms


def _texts(r: UsageRecord, proxy: str) -> str:
    fields = (
        r.tenant, r.key, r.route, r.model, r.provider, r.upstream_model, r.provider_key, r.region, r.user,
        r.session, r.task, r.operation, r.upstream_request_id, r.price_version, r.service_tier,
        r.experiment, r.variant, proxy,
    )  # fmt: skip
    joined = "\t".join(fields)
    # Nearly always: nothing to escape, nothing too long.
    if (
        len(joined) <= MAX_TEXT_CHARACTERS
        and joined.count("\t") == _TEXTS - 1
        and "\\" not in joined
        and "\n" not in joined
        and "\r" not in joined
        and "\0" not in joined
    ):
        return joined
    return "\t".join(text[:MAX_TEXT_CHARACTERS].translate(_ESCAPES) for text in fields)


def _metadata(r: UsageRecord) -> str:
    entries = sorted(r.metadata.items())[:MAX_METADATA_ENTRIES]
    clean = {
        k[:MAX_TEXT_CHARACTERS].replace("\0", ""): v[:MAX_TEXT_CHARACTERS].replace("\0", "")
        for k, v in entries
    }
    return json.dumps(clean, ensure_ascii=False).replace("\\", "\\\\")
