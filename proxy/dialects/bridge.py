"""What stands between a client and a provider for one attempt: the bytes that go out, and how the answer
comes back. Chosen per attempt, once the target is known.

Where both speak the same dialect, bytes pass; see `translate.py` for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from headgate.rules.money import Tokens
from headgate.v1 import usage_pb2
from proxy.config.model import Target
from proxy.dialects.asked import Asked, anew, with_model
from proxy.dialects.chat import usage as chat_usage
from proxy.dialects.chat.patch import body_for
from proxy.dialects.chat.watch import ChatWatch
from proxy.dialects.failures import failure_in_answer
from proxy.dialects.large import usage_and_tier
from proxy.dialects.media import MediaWatch, RawStream
from proxy.dialects.messages import usage as messages_usage
from proxy.dialects.messages.watch import MessagesWatch
from proxy.dialects.multipart import MULTIPART
from proxy.dialects.multipart import with_model as form_with_model
from proxy.dialects.responses import usage as responses_usage
from proxy.dialects.responses.watch import ResponsesWatch
from proxy.dialects.returned import mended_document
from proxy.dialects.sse import Stream
from proxy.upstream.failure import AttemptFailed, broken

# The pinned version towards Anthropic; a client of the same dialect brings its own.
# https://docs.anthropic.com/en/api/versioning
ANTHROPIC_VERSION = "2023-06-01"
# Answers up to this size are parsed whole; in larger ones (embeddings, images) usage and tier are searched.
_PARSE_BYTES = 256 * 2**10
CountTokens = Callable[[dict[str, Any]], tuple[Tokens, bool]]


@dataclass(slots=True)
class Whole:
    """A whole answer as the client gets it, and what is worth recording of it."""

    body: bytes
    usage: dict[str, Any] | None = None
    service_tier: str = ""
    # Instead of the provider's own.
    content_type: bytes = b""


class Bridge(Protocol):
    """`operation` decides the provider's path; `headers` are further lines of the request's head."""

    operation: str
    body: bytes
    headers: bytes
    # Fields of the client's that the provider was not sent.
    left_out: list[str]

    def stream(self) -> Stream | None:
        """A new reader of the answer as events; None: a whole answer is expected."""
        ...

    def whole(self, body: bytes) -> Whole:
        """Raises AttemptFailed if it is no answer after all."""
        ...

    def tokens_of(self, usage: dict[str, Any]) -> tuple[Tokens, bool]: ...


MEDIA = ("images.", "audio.")
_COUNTS: dict[str, CountTokens] = {
    "messages": messages_usage.tokens_of,
    "responses": responses_usage.tokens_of,
}


class PassThrough:
    """Both sides speak the client's dialect."""

    __slots__ = ("_asked", "_hold_end", "body", "headers", "left_out", "operation", "tokens_of")

    def __init__(self, asked: Asked, target: Target, *, hold_end: bool) -> None:
        operation = asked.operation
        self.operation = operation
        self.headers = b""
        self.tokens_of: CountTokens = chat_usage.tokens_of
        self._asked = asked
        self._hold_end = hold_end
        self.left_out: list[str] = []
        mended = mended_document(asked, target, self.left_out)
        if mended is not None:
            asked = self._asked = anew(asked, mended)
        if operation == "chat.completions" or operation == "completions":
            self.body = body_for(asked, target)
            return
        if operation in MULTIPART:
            self.body = form_with_model(asked, target.upstream_model)
            self.headers = b"content-type: %b\r\n" % asked.content_type.encode("latin-1")
            self.tokens_of = usage_of_either
            return
        self.body = with_model(asked, target.upstream_model, target.upstream_json)
        family = operation.partition(".")[0]
        self.tokens_of = _COUNTS.get(family, usage_of_either)
        if family == "messages":
            self.headers = anthropic_headers(asked.version or ANTHROPIC_VERSION, asked.betas)

    def stream(self) -> Stream | None:
        asked = self._asked
        if asked.operation == "audio.speech":
            return RawStream()
        if not asked.stream:
            return None
        if asked.operation == "messages":
            return MessagesWatch(hold_end=self._hold_end)
        if asked.operation == "responses":
            return ResponsesWatch(hold_end=self._hold_end)
        if asked.operation.startswith(MEDIA):
            return MediaWatch(hold_end=self._hold_end)
        return ChatWatch(hide_usage=not asked.wants_usage, hold_end=self._hold_end)

    def whole(self, body: bytes) -> Whole:
        if self.operation.startswith("audio.") and body.lstrip()[:1] != b"{":
            return Whole(body)  # text, subtitles or sound, as the client wished
        if len(body) > _PARSE_BYTES:
            if body.lstrip()[:1] != b"{":
                raise not_an_object()
            return Whole(body, *usage_and_tier(body))
        document = parsed(body)
        error = document.get("error") or _error_of_choice(document)
        if error:
            raise failure_in_answer(error)
        tier = document.get("service_tier")
        usage = document.get("usage")
        if not isinstance(usage, dict):
            usage = None
        elif tier is None:
            tier = usage.get("service_tier")  # Anthropic
        return Whole(body, usage, tier if isinstance(tier, str) else "")


def _error_of_choice(document: dict[str, Any]) -> Any:
    """OpenRouter's way to say that the provider behind it failed.
    https://openrouter.ai/docs/api-reference/errors"""
    choices = document.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first.get("error") if isinstance(first, dict) else None


def usage_of_either(usage: dict[str, Any]) -> tuple[Tokens, bool]:
    """Images and audio count like Responses, embeddings like chat."""
    if "input_tokens" in usage:
        return responses_usage.tokens_of(usage)
    return chat_usage.tokens_of(usage)


def anthropic_headers(version: str, betas: str = "") -> bytes:
    lines = f"anthropic-version: {version}\r\n"
    if betas:
        lines += f"anthropic-beta: {betas}\r\n"
    return lines.encode("ascii")


def parsed(body: bytes) -> dict[str, Any]:
    """A provider's whole answer. Raises AttemptFailed."""
    try:
        document = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError):
        raise broken(usage_pb2.REASON_PROTOCOL_ERROR, "the provider's answer is not JSON") from None
    if not isinstance(document, dict):
        raise not_an_object()
    return document


def not_an_object() -> AttemptFailed:
    return broken(usage_pb2.REASON_PROTOCOL_ERROR, "the provider's answer is not a JSON object")
