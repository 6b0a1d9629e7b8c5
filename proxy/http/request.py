"""A client's request, complete: head and body are in, bounded and checked before anyone sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import CallError, invalid_request

if TYPE_CHECKING:
    from proxy.http.body import BodyStream
    from proxy.http.connection import ClientConnection


class Request:
    """One request on one connection. Header names are lower-case bytes."""

    __slots__ = (
        "body",
        "body_stream",
        "connection",
        "has_options",
        "headers",
        "http_1_0",
        "keep_alive",
        "method",
        "path",
        "query",
        "response_begun",
    )

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.method = ""
        self.path = ""
        self.query = ""
        self.headers: dict[bytes, bytes] = {}
        # Some header begins with `x-headgate-`.
        self.has_options = False
        self.body = b""
        # Instead of `body` where it is passed on as it comes in.
        self.body_stream: BodyStream | None = None
        self.http_1_0 = False
        self.keep_alive = True
        self.response_begun = False

    def header(self, name: bytes) -> str:
        """The header's value, or ""."""
        return self.headers.get(name, b"").decode("latin-1")

    def credential(self) -> bytes:
        """What the client presents: `Authorization: Bearer …` or `x-api-key`; empty if nothing."""
        text = self.headers.get(b"authorization")
        if text is not None:
            if text[:7] == b"Bearer " or text[:7].lower() == b"bearer ":
                return text[7:].strip()
            return b""
        return self.headers.get(b"x-api-key", b"")


def require_json(request: Request) -> None:
    """A body of another declared type is a mistake that is better named than parsed."""
    kind = request.headers.get(b"content-type")
    if kind is not None and kind != b"application/json" and b"json" not in kind.lower():
        raise invalid_request(
            f"The content type {kind[:100].decode('latin-1')!r} is not accepted here; send application/json.",
            "content-type",
        )
    if request.headers.get(b"content-encoding", b"identity") != b"identity":
        raise CallError(
            415, "unsupported_encoding", "Compressed request bodies are not accepted; send the JSON as it is."
        )
