"""A scripted upstream on loopback: one dialect, strict about what it is sent, the same answers every time.

Owns the socket, what was received and what was refused. What a request must look like and how an answer is
written is the dialect's; which answer it is, the script's. Must not correct anything: a request that the
real provider would refuse gets its 400.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol

from tests.programs.upstream.rules import Refused
from tests.programs.upstream.script import Script, Turn


@dataclass(frozen=True, slots=True)
class Received:
    """One request; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    document: dict[str, Any]
    results: Mapping[str, str]  # tool results by the id of their call


class Dialect(Protocol):
    """How one provider is spoken to."""

    @property
    def name(self) -> str: ...

    def base_url(self, url: str) -> str:
        """What a provider resource gets."""

    def check(self, path: str, headers: Mapping[str, str], document: dict[str, Any]) -> None:
        """Raises Refused."""

    def tools(self, document: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
        """The tools that are offered, by name, with their schemas; None where one takes any text."""

    def results(self, document: dict[str, Any]) -> dict[str, str]:
        """The results that tools gave, as text, by the id of the call."""

    def streamed(self, path: str, document: dict[str, Any]) -> bool: ...

    def whole(self, turn: Turn, path: str, document: dict[str, Any]) -> dict[str, Any]: ...

    def events(self, turn: Turn, path: str, document: dict[str, Any]) -> Iterator[bytes]: ...

    def refusal(self, message: str) -> dict[str, Any]:
        """The body of a 400."""


class Upstream:
    """A context manager. `play` sets the script and forgets what came before."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.received: list[Received] = []
        self.refusals: list[str] = []
        self.sent: list[bytes] = []
        self._script: Script | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name=dialect.name, daemon=True)

    def __enter__(self) -> Upstream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def base_url(self) -> str:
        return self.dialect.base_url(self.url)

    def play(self, script: Script) -> None:
        self.received, self.refusals, self.sent, self._script = [], [], [], script

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Turn | str:
        """The turn to say, or why not; and the request is kept."""
        try:
            document = json.loads(body)
            if not isinstance(document, dict):
                raise Refused("the body must be an object")
            self.dialect.check(path, headers, document)
            script, offered = self._script, self.dialect.tools(document)
            if script is None or script.call.name not in offered:
                raise Refused(f"nothing is scripted for tools {sorted(offered)}")
            results = self.dialect.results(document)
        except (Refused, ValueError) as error:
            self.refusals.append(str(error))
            return str(error)
        self.received.append(Received(path, dict(headers), document, results))
        return script.turn(bool(results), offered[script.call.name])


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            turn = upstream.answer(self.path, headers, body)
            if isinstance(turn, str):
                self._send(400, upstream.dialect.refusal(turn))
                return
            document = json.loads(body)
            if not upstream.dialect.streamed(self.path, document):
                whole = upstream.dialect.whole(turn, self.path, document)
                upstream.sent.append(json.dumps(whole).encode())
                self._send(200, whole)
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            events = list(upstream.dialect.events(turn, self.path, document))
            upstream.sent.append(b"".join(events))
            for event in (*events, b""):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))

        def _send(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def event(document: Mapping[str, Any], name: str | None = None, ending: str = "\n") -> bytes:
    """One server-sent event."""
    head = "" if name is None else f"event: {name}{ending}"
    return f"{head}data: {json.dumps(document)}{ending}{ending}".encode()
