"""Usage in an answer that is passed on unread: found by its shape, whatever dialect it is in.

A stream is read line by line as it comes, and only where a line tells a usage; a whole answer at its end,
or that end alone where it is larger than what is kept.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import orjson

from headgate.rules.money import Tokens
from proxy.dialects.chat import usage as chat_usage
from proxy.dialects.gemini import usage as gemini_usage
from proxy.dialects.large import usage_and_tier
from proxy.dialects.messages import usage as messages_usage
from proxy.dialects.responses import usage as responses_usage
from proxy.dialects.sse import data_of

# Of a JSON answer, or of one line of a stream: of a longer line its end.
KEPT_BYTES = 512 * 2**10
# Of a usage, put together from what several events told of it.
MAX_USAGE_FIELDS = 64
_TOLD = re.compile(rb'"usage(?:Metadata)?"\s*:\s*{')


class Found(NamedTuple):
    """What an answer told."""

    tokens: Tokens
    # One of the counts had to be mended.
    mended: bool
    # The model's name and the service tier, where the answer says them.
    model: str
    service_tier: str


class UsageSniffer:
    """Fed the answer's bytes; `found` at its end. Of a stream nothing is kept but an incomplete line."""

    def __init__(self, content_type: bytes) -> None:
        self._events = content_type.startswith(b"text/event-stream")
        self._wanted = self._events or b"json" in content_type
        self._kept = bytearray()
        self._usage: dict[str, Any] | None = None
        self._model = ""
        self._service_tier = ""

    def feed(self, data: bytes) -> None:
        if not self._wanted:
            return
        head, newline, rest = data.rpartition(b"\n") if self._events else (b"", b"", data)
        if newline:
            self._kept += head
            self._read_kept()
        self._kept += rest
        del self._kept[:-KEPT_BYTES]

    def found(self) -> Found | None:
        self._read_kept()
        if self._usage is None:
            return None
        return Found(*_tokens(self._usage), self._model, self._service_tier)

    def _read_kept(self) -> None:
        kept = bytes(self._kept)
        self._kept.clear()
        if not self._events:
            self._take(_object(kept) or _end_of(kept))
            return
        for line in kept.split(b"\n"):
            # Most chunks say that they have none, `"usage":null`: those need not be parsed.
            if _TOLD.search(line) is not None or (not self._model and b'"model"' in line):
                self._take(_object(data_of(line.strip()) or b"") or _end_of(line))

    def _take(self, document: dict[str, Any]) -> None:
        inner = _inner(document)
        self._model = str(document.get("model") or inner.get("model") or self._model)
        usage = _usage_in(document) or _usage_in(inner)
        if usage is None:
            return
        merged = messages_usage.merged(self._usage, usage)
        self._usage = merged if merged is not None and len(merged) <= MAX_USAGE_FIELDS else usage
        tier = document.get("service_tier") or inner.get("service_tier") or usage.get("service_tier")
        gemini = usage.get("serviceTier")
        if isinstance(tier, str):
            self._service_tier = tier
        elif isinstance(gemini, str):
            self._service_tier = gemini.lower()


def _object(data: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(data)
    except (orjson.JSONDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _end_of(data: bytes) -> dict[str, Any]:
    """Of an object that is longer than what is kept, or of a list: what its end tells."""
    usage, tier = usage_and_tier(data)
    return {"usage": usage, "service_tier": tier}


def _inner(document: dict[str, Any]) -> dict[str, Any]:
    """Of an event that wraps the answer so far."""
    for name in ("message", "response"):
        if isinstance(document.get(name), dict):
            found: dict[str, Any] = document[name]
            return found
    return {}


def _usage_in(document: dict[str, Any]) -> dict[str, Any] | None:
    usage = document.get("usage") or document.get("usageMetadata")
    return usage if isinstance(usage, dict) else None


def _tokens(usage: dict[str, Any]) -> tuple[Tokens, bool]:
    if "promptTokenCount" in usage or "totalTokenCount" in usage:
        return gemini_usage.tokens_of(usage)
    if "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage:
        return messages_usage.tokens_of(usage)
    if "input_tokens" in usage:
        return responses_usage.tokens_of(usage)
    return chat_usage.tokens_of(usage)
