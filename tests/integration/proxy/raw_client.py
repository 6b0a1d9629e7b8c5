"""An HTTP/1.1 client that sends any bytes and hides nothing of what comes back.

What an SDK or http.client would refuse to send (two lengths, bare line feeds, half a body) goes out as it
is; answers are read by their own framing, so that a byte too many or too few is seen.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

READ_BYTES = 1 << 16


class Closed(Exception):
    """The server closed the connection, before or inside an answer; `data` is what had come."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"closed after {len(data)} bytes: {data[:200]!r}")
        self.data = data


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name]
        assert len(found) <= 1, f"{name} occurs {len(found)} times"
        return found[0] if found else None

    @property
    def request_id(self) -> str:
        return self.header("x-request-id") or ""

    def document(self) -> Any:
        return json.loads(self.body)

    def error(self) -> dict[str, Any]:
        """The error object, in the OpenAI form; fails if it is anything else."""
        assert self.status >= 400, (self.status, self.body[:300])
        assert self.header("content-type") == "application/json"
        document = self.document()
        assert set(document) == {"error"}
        error: dict[str, Any] = document["error"]
        assert {"message", "type", "code", "param"} <= set(error)
        assert isinstance(error["message"], str)
        assert error["message"]
        assert isinstance(error["type"], str)
        return error

    def events(self) -> list[Any]:
        """The documents of a stream's events; `[DONE]` as that text."""
        found = []
        for event in self.body.decode().replace("\r\n", "\n").split("\n\n"):
            lines = [line[5:].strip() for line in event.split("\n") if line.startswith("data:")]
            if lines:
                data = "\n".join(lines)
                found.append(data if data == "[DONE]" else json.loads(data))
        return found


class RawClient:
    """One connection to an `http://host:port`; a context manager."""

    def __init__(self, url: str, *, source: str = "127.0.0.1", timeout_seconds: float = 15.0) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection(
            (parts.hostname or "", parts.port or 80), timeout_seconds, source_address=(source, 0)
        )
        self._input = bytearray()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, *, head_only: bool = False) -> Answer:
        """The next final answer; interim ones (100) are passed over. Raises Closed."""
        while True:
            status, headers = self._head()
            if status >= 200:
                break
        if head_only or status in (204, 304):
            return Answer(status, headers, b"")
        fields = {name.lower(): value for name, value in headers}
        if "chunked" in fields.get("transfer-encoding", ""):
            body = self._chunked()
        elif "content-length" in fields:
            body = self._exactly(int(fields["content-length"]))
        else:
            body = self._rest()
        return Answer(status, headers, body)

    def wait_for(self, wanted: bytes) -> None:
        """Until these bytes have come; they stay to be read. Raises Closed."""
        while wanted not in self._input:
            self._more()

    def answers_until_close(self) -> list[Answer]:
        """Every answer until the server closes; fails if it closes inside one."""
        found = []
        while self._input or not self._at_end():
            found.append(self.answer())
        return found

    def closes_within(self, seconds: float) -> bool:
        """Whether the server closes; what still comes until then is thrown away."""
        deadline = time.monotonic() + seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                self.socket.settimeout(left)
                if not self.socket.recv(READ_BYTES):
                    return True
        except TimeoutError:
            return False
        except OSError:
            return True
        return False

    def read_some(self) -> bytes:
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise Closed(b"")
        return data

    def _at_end(self) -> bool:
        try:
            data = self.socket.recv(READ_BYTES)
        except ConnectionResetError:
            return True
        self._input += data
        return not data

    def _more(self) -> None:
        try:
            data = self.socket.recv(READ_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed(bytes(self._input))
        self._input += data

    def _head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        while (end := self._input.find(b"\r\n\r\n")) < 0:
            self._more()
        lines = bytes(self._input[:end]).decode("latin-1").split("\r\n")
        del self._input[: end + 4]
        version, status, *_ = lines[0].split(" ")
        assert version == "HTTP/1.1", lines[0]
        pairs = [line.partition(":") for line in lines[1:]]
        return int(status), tuple((name, value.strip()) for name, _, value in pairs)

    def _exactly(self, size: int) -> bytes:
        while len(self._input) < size:
            self._more()
        data = bytes(self._input[:size])
        del self._input[:size]
        return data

    def _line(self) -> bytes:
        while (end := self._input.find(b"\r\n")) < 0:
            self._more()
        return self._exactly(end + 2)[:-2]

    def _chunked(self) -> bytes:
        body = bytearray()
        while size := int(self._line(), 16):
            body += self._exactly(size)
            assert self._line() == b""
        while self._line():
            pass
        return bytes(body)

    def _rest(self) -> bytes:
        while not self._at_end():
            pass
        data = bytes(self._input)
        self._input.clear()
        return data


def request_bytes(
    body: bytes,
    key: str | None,
    path: str = "/v1/chat/completions",
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A well-formed request. `headers` come last, as they are; `content-length: ""` leaves it out."""
    fields = {
        "host": "headgate.test",
        "content-type": "application/json",
        "content-length": str(len(body)),
        **({"authorization": f"Bearer {key}"} if key is not None else {}),
        **(headers or {}),
    }
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value != ""]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("utf-8", "surrogateescape") + body
