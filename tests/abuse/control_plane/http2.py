"""A gRPC call by hand: one that says it is larger than anything that a client library would send."""

from __future__ import annotations

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
FRAME_BYTES = 16_384


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def head(path: str, token: str) -> bytes:
    """HPACK, every field as a literal that is not indexed (RFC 7541 6.2.2)."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "h",
        "content-type": "application/grpc",
        "te": "trailers",
        "authorization": f"Bearer {token}",
    }
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())


def _text(text: str) -> bytes:
    assert len(text) < 127
    return bytes([len(text)]) + text.encode()


class Announced:
    """A call whose one message has this many bytes, as it says; `send` sends zeros until it is cut off."""

    def __init__(self, address: str, path: str, token: str, message_bytes: int) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._left = message_bytes
        prefix = b"\0" + struct.pack(">I", message_bytes)
        self._socket.sendall(
            PREFACE
            + frame(SETTINGS, 0, 0)
            + frame(HEADERS, END_HEADERS, 1, head(path, token))
            + frame(DATA, 0, 1, prefix)
        )
        self._window = 65_535 - len(prefix)
        self._all_window = self._window

    def send_until_ended(self) -> int:
        """How many bytes passed before the server ended the call. Raises TimeoutError if it never does."""
        sent = 0
        while not self._ended():
            size = min(FRAME_BYTES, self._window, self._all_window, self._left - sent)
            if size > 0:
                self._socket.sendall(frame(DATA, 0, 1, bytes(size)))
                self._window -= size
                self._all_window -= size
                sent += size
        return sent

    def close(self) -> None:
        self._socket.close()

    def _ended(self) -> bool:
        """Reads one frame, if there is one or nothing else can be done."""
        blocked = min(self._window, self._all_window) <= 0
        self._socket.settimeout(10.0 if blocked else 0.0)
        try:
            first = self._socket.recv(1)
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(10.0)
        if not first:
            return True
        header = first + self._exactly(8)
        payload = self._exactly(int.from_bytes(header[:3], "big"))
        kind, flags, stream = header[3], header[4], int.from_bytes(header[5:], "big")
        if kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream:
                self._window += more
            else:
                self._all_window += more
        elif kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[at : at + 6])
                if name == 4:  # INITIAL_WINDOW_SIZE
                    self._window += value - 65_535
            self._socket.sendall(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self._socket.sendall(frame(PING, ACK, 0, payload))
        return kind in (RST_STREAM, GOAWAY) or (kind == HEADERS and bool(flags & END_STREAM))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            if not more:
                raise ConnectionError("closed within a frame")
            data += more
        return data
