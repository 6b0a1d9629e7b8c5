"""A stream that is to be judged, kept beside its client: what was sent, up to a limit."""

from __future__ import annotations

from proxy.client_stream import ClientStream
from proxy.http.request import Request

# An answer beyond this is not judged.
MAX_OVERHEARD_BYTES = 2**20


class Overheard(ClientStream):
    """With a client, or with nobody but the listener."""

    __slots__ = ("_client", "_parts", "_size")

    def __init__(self, request: Request | None = None) -> None:
        self._client = request is not None
        if request is not None:
            super().__init__(request)
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def data(self) -> bytes | None:
        """None: it was too long to be kept."""
        return b"".join(self._parts) if self._size <= MAX_OVERHEARD_BYTES else None

    def send(self, data: bytes) -> bool:
        self._size += len(data)
        if self._size <= MAX_OVERHEARD_BYTES:
            self._parts.append(data)
        elif self._parts:
            self._parts.clear()
        return super().send(data) if self._client else True

    def end(self) -> None:
        if self._client:
            super().end()

    async def drained(self) -> None:
        if self._client:
            await super().drained()
