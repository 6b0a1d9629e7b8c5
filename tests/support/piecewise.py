"""A provider whose test sees every byte as it comes and sends every byte itself: for what streams both ways.

One connection at a time, on a real loopback socket; nothing is parsed but the end of the head.
"""

from __future__ import annotations

import socket
import threading
from queue import Empty, Queue
from types import TracebackType

WAIT_SECONDS = 10.0
READ_BYTES = 1 << 16


class PiecewiseProvider:
    """A context manager. `accept` gives the next connection that the gateway opened."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: Queue[PiecewiseConnection] = Queue()
        self._thread = threading.Thread(target=self._accept_all, daemon=True)

    def __enter__(self) -> PiecewiseProvider:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing alone leaves a blocked `accept` blocked.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(WAIT_SECONDS)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def accept(self) -> PiecewiseConnection:
        return self._connections.get(timeout=WAIT_SECONDS)

    def nobody_came(self) -> bool:
        try:
            self._connections.get_nowait()
        except Empty:
            return True
        return False

    def _accept_all(self) -> None:
        while True:
            try:
                found, _ = self._listener.accept()
            except OSError:
                return
            self._connections.put(PiecewiseConnection(found))


class PiecewiseConnection:
    """A context manager; `received` is everything that came so far."""

    def __init__(self, found: socket.socket) -> None:
        found.settimeout(WAIT_SECONDS)
        self._socket = found
        self.received = b""

    def __enter__(self) -> PiecewiseConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def head(self) -> str:
        self.read_until(b"\r\n\r\n")
        return self.received.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def body(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[2]

    def header(self, name: str) -> list[str]:
        lines = self.head.split("\r\n")[1:]
        return [v.strip() for n, _, v in (line.partition(":") for line in lines) if n.lower() == name]

    def read_until(self, wanted: bytes) -> None:
        while wanted not in self.received:
            self._read()

    def read_bytes(self, count: int) -> None:
        """Until that many bytes of the body are here."""
        self.read_until(b"\r\n\r\n")
        while len(self.body) < count:
            self._read()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def is_gone(self) -> bool:
        """Waits until the gateway has closed the connection."""
        try:
            while self._socket.recv(READ_BYTES):
                pass
        except ConnectionResetError:
            return True
        return True

    def reset(self) -> None:
        """Leaves with a reset, so that nothing looks like a clean end."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._socket.close()

    def _read(self) -> None:
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise ConnectionError(f"the gateway closed after {len(self.received)} bytes")
        self.received += data
