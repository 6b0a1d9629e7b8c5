"""The client's end of a stream: bytes written as they come, in the framing that its HTTP version has."""

from __future__ import annotations

from proxy.http.request import Request


class ClientStream:
    """Chunked for HTTP/1.1, delimited by closing for 1.0."""

    __slots__ = ("_chunked", "_connection")

    def __init__(self, request: Request, *, plain: bool = False) -> None:
        """`plain`: its length was told in the head."""
        self._connection = request.connection
        self._chunked = not request.http_1_0 and not plain

    def send(self, data: bytes) -> bool:
        """Writes; False if the client is behind and no more should come for now."""
        connection = self._connection
        transport = connection.transport
        if transport is not None:
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        return not connection.writing_paused

    def end(self) -> None:
        transport = self._connection.transport
        if transport is not None and self._chunked:
            transport.write(b"0\r\n\r\n")

    async def drained(self) -> None:
        """Until the client has caught up. Raises ConnectionError when it left."""
        await self._connection.drained()
