"""Usage in an answer that is passed on unread: found by its shape, whatever dialect it is in.

Keeps a bounded end of the answer; nothing is parsed before the answer is over.
"""

from __future__ import annotations

from typing import Any

import orjson

from headgate.rules.money import Tokens
from proxy.dialects.chat import usage as chat_usage
from proxy.dialects.gemini import usage as gemini_usage
from proxy.dialects.messages import usage as messages_usage
from proxy.dialects.responses import usage as responses_usage
from proxy.dialects.sse import data_of

# Of a JSON answer, or of a stream from its last usage on.
KEPT_BYTES = 512 * 2**10


class UsageSniffer:
    """Fed the answer's bytes; `found` at its end."""

    def __init__(self, content_type: bytes) -> None:
        self._events = content_type.startswith(b"text/event-stream")
        self._wanted = self._events or b"json" in content_type
        self._kept = bytearray()
        self._carry = b""

    def feed(self, data: bytes) -> None:
        if not self._wanted:
            return
        if not self._events:
            self._kept += data
            if len(self._kept) > KEPT_BYTES:
                self._wanted = False  # a list of files or a batch of vectors: nothing to bill by the token
                self._kept.clear()
            return
        lines = (self._carry + data).split(b"\n")
        self._carry = lines.pop()[-KEPT_BYTES:]
        for line in lines:
            if b'"usage' in line and len(self._kept) + len(line) < KEPT_BYTES:
                self._kept += line + b"\n"

    def found(self) -> tuple[Tokens, bool, str] | None:
        """(tokens, whether one had to be mended, the model's name where the answer says it); or nothing."""
        if not self._events:
            document = _object(bytes(self._kept))
            usage = _usage_in(document)
            return None if usage is None else (*_tokens(usage), str(document.get("model") or ""))
        merged: dict[str, Any] | None = None
        model = ""
        for line in bytes(self._kept + self._carry).split(b"\n"):
            document = _object(data_of(line.strip()) or b"")
            inner = _inner(document)
            usage = _usage_in(document) or _usage_in(inner)
            merged = messages_usage.merged(merged, usage)
            model = str(document.get("model") or inner.get("model") or model)
        return None if merged is None else (*_tokens(merged), model)


def _object(data: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(data)
    except (orjson.JSONDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


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
