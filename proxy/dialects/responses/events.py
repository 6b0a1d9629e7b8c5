"""How an error ends a Responses stream that has begun."""

from __future__ import annotations

from typing import Any

from proxy.dialects.sse import named_event_of


def error_events(error: dict[str, object], sequence: int, response: dict[str, Any] | None = None) -> bytes:
    """`response.failed`, on which agents end their turn, and `error`, on which the SDKs raise: they do so
    for a truthy `error` member only, which the documented flat form does not have; so it has both.
    `response`: as far as it came."""
    code = str(error.get("code") or "server_error")
    message = str(error.get("message") or "")
    failed = {
        "type": "response.failed",
        "sequence_number": sequence,
        "response": {
            "id": str(error.get("request_id") or ""),
            "object": "response",
            "output": [],
            **(response or {}),
            "status": "failed",
            "error": {"code": code, "message": message},
        },
    }
    raised = {
        "type": "error",
        "sequence_number": sequence + 1,
        "code": code,
        "message": message,
        "param": error.get("param"),
        "error": error,
    }
    return named_event_of(failed) + named_event_of(raised)
