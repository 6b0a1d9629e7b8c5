"""What is answered to one request, before any byte moves: a body or a list of events, and what it serves.

Pure. A request that makes no sense (tools that are numbers) is a 400, as at a provider.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.support.provider import documents
from tests.support.provider.answer import build_answer
from tests.support.provider.behaviour import NOTHING, Behaviour, Usage
from tests.support.provider.connection import Request
from tests.support.provider.events import Event, stream_events

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    content_type: str = JSON
    body: bytes = b""
    events: list[Event] | None = None  # a stream instead of `body`
    usage: Usage = NOTHING
    reports_usage: bool = False  # whether `body` says what it used


def parsed(body: bytes) -> dict[str, Any]:
    """The request's JSON object; anything else is an empty one, for the ledger has the bytes."""
    try:
        document = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def reply_to(
    request: Request, document: dict[str, Any], behaviour: Behaviour, number: int, models: list[str]
) -> Reply:
    """`number` is the attempt's; `models` is what GET /models lists."""
    if behaviour.body is not None:
        content_type = EVENT_STREAM if behaviour.stream else JSON
        body, usage = _bytes_of(behaviour.body), behaviour.usage or NOTHING
        return Reply(
            behaviour.status, content_type, body, usage=usage, reports_usage=behaviour.usage is not None
        )
    if behaviour.status >= 300:
        return _error(behaviour.status)
    if request.header("content-encoding"):
        return _error(415)
    try:
        return _said(request.path, document, behaviour, number, models)
    except (AttributeError, KeyError, TypeError, ValueError):
        return _error(400)


def _said(path: str, document: dict[str, Any], behaviour: Behaviour, number: int, models: list[str]) -> Reply:
    if path.endswith("/models"):
        return Reply(behaviour.status, body=_bytes_of(documents.models_document(models)))
    if "/models/" in path:
        return Reply(
            behaviour.status, body=_bytes_of(documents.model_document(path.rsplit("/models/", 1)[1]))
        )
    if path.endswith("/embeddings"):
        usage = behaviour.usage or documents.embeddings_usage(document)
        whole = documents.embeddings_document(document, usage)
        return Reply(behaviour.status, body=_bytes_of(whole), usage=usage, reports_usage=True)
    if not path.endswith("/completions"):
        return _error(404)
    answer = build_answer(document, behaviour, number, legacy=not path.endswith("/chat/completions"))
    if document.get("stream") is True if behaviour.stream is None else behaviour.stream:
        include_usage = bool((document.get("stream_options") or {}).get("include_usage"))
        events = stream_events(answer, behaviour, include_usage=include_usage)
        return Reply(behaviour.status, EVENT_STREAM, events=events, usage=answer.usage)
    if behaviour.error_event is not None:
        return Reply(
            behaviour.status, body=_bytes_of(documents.in_body_error(behaviour.error_event, answer.model))
        )
    whole = documents.answer_document(answer, behaviour)
    if behaviour.pad_bytes:
        whole["padding"] = "x" * behaviour.pad_bytes
    return Reply(behaviour.status, body=_bytes_of(whole), usage=answer.usage, reports_usage="usage" in whole)


def _error(status: int) -> Reply:
    return Reply(status, body=_bytes_of(documents.error_document(status)))


def _bytes_of(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
