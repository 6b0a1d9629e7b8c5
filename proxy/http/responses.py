"""Answers on the wire: heads written by hand, error documents in the client's dialect.

Head and body of a whole answer leave in one write.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson

from proxy.errors import CallError
from proxy.http.request import Request
from proxy.http.values import header_value

ANTHROPIC_PATHS = ("/v1/messages",)


def speaks_anthropic(request: Request) -> bool:
    """By its path; where both have one (models), by the header that Anthropic's SDKs always send."""
    if request.path.startswith(ANTHROPIC_PATHS):
        return True
    return request.path.startswith("/v1/models") and b"anthropic-version" in request.headers


STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def status_line(status: int) -> bytes:
    return STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n".encode()


class Raw:
    """A whole answer. `head` ends after its last header line."""

    __slots__ = ("body", "head", "keep_alive", "status")

    def __init__(self, status: int, head: bytes, body: bytes, *, keep_alive: bool = True) -> None:
        self.status = status
        self.head = head
        self.body = body
        self.keep_alive = keep_alive

    def write(self, request: Request) -> None:
        transport = request.connection.transport
        if transport is None:
            return
        body = b"" if request.method == "HEAD" else self.body
        if request.keep_alive and self.keep_alive and not request.http_1_0:
            transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (self.head, len(self.body), body))
            return
        self.keep_alive = self.keep_alive and request.keep_alive
        connection = b"keep-alive" if self.keep_alive else b"close"
        transport.write(
            b"%bcontent-length: %d\r\nconnection: %b\r\n\r\n%b"
            % (self.head, len(self.body), connection, body)
        )


class Streamed:
    """An answer that was written while it came. Nothing is left to do."""

    __slots__ = ("keep_alive",)

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    def write(self, request: Request) -> None: ...


def error_document(error: CallError, *, anthropic: bool, request_id: str) -> dict[str, Any]:
    if anthropic:
        kind = _ANTHROPIC_TYPES.get(error.status)
        if kind is None:
            kind = "invalid_request_error" if error.status < 500 else "api_error"
        inner: dict[str, Any] = {"type": kind, "message": error.message, "code": error.code}
        if error.param is not None:
            inner["param"] = error.param
        return {
            "type": "error",
            "error": {**{k: v for k, v in error.extra.items() if v is not None}, **inner},
            "request_id": request_id,
        }
    body = {
        "message": error.message,
        "type": error.kind,
        "code": error.code,
        "param": error.param,
    }
    return {"error": {**body, **error.extra}}


# https://docs.anthropic.com/en/api/errors
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_response(
    error: CallError, request: Request, request_id: str, headers: dict[str, str] | None = None
) -> Raw:
    """An error in the dialect of the path, with the headers of interface.md."""
    anthropic = speaks_anthropic(request)
    body = orjson.dumps(error_document(error, anthropic=anthropic, request_id=request_id))
    lines = {
        "content-type": "application/json",
        "x-request-id": request_id,
        "x-headgate-error": error.code,
        **(headers or {}),
        **error.headers,
    }
    if anthropic:
        lines["request-id"] = request_id
    head = status_line(error.status) + "".join(
        f"{name}: {header_value(value)}\r\n" for name, value in lines.items()
    ).encode("latin-1")
    return Raw(error.status, head, body, keep_alive=not error.close)


def json_response(document: Any, request_id: str) -> Raw:
    head = STATUS_LINES[200] + f"content-type: application/json\r\nx-request-id: {request_id}\r\n".encode()
    return Raw(200, head, orjson.dumps(document))
