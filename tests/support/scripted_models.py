"""Models that answer by a function of the request, where it matters what is said: judges most of all.

`ScriptedModels({"name": function})` is an OpenAI-compatible provider; a function gets the request's
document and gives the text of the answer, a whole message (with tool calls), a number: the status of an
error, or a `Refusal`. `material` reads what a judge was given.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    message: str = "scripted"
    headers: tuple[tuple[str, str], ...] = ()


Model = Callable[[Document], str | int | Document | Refusal]
INPUT_TOKENS, OUTPUT_TOKENS = 100, 20
_PIECE = re.compile(r"^BEGIN ([A-Z]+) ([0-9a-f]{16})\n(.*?)\nEND \1 \2$", re.DOTALL | re.MULTILINE)


def material(document: Document) -> dict[str, str]:
    """What a judge reads: CONVERSATION and ANSWER, or CONVERSATION, FIRST and SECOND."""
    return {title: text for title, _, text in _PIECE.findall(document["messages"][-1]["content"])}


def outside(document: Document) -> str:
    """Everything a judge is told that is no material: what a model that obeys would obey."""
    rules, given = (message["content"] for message in document["messages"])
    return str(rules + _PIECE.sub("", given))


class ScriptedModels:
    """A context manager. `asked`: every request, in the order in which it came."""

    def __init__(self, models: dict[str, Model]) -> None:
        self.models = models
        self.asked: list[Document] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.models = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> ScriptedModels:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def asked_of(self, model: str) -> list[Document]:
        return [document for document in [*self.asked] if document["model"] == model]

    def wait(self, model: str, count: int, seconds: float = 10.0) -> list[Document]:
        """The requests to a model, once there are so many."""
        end = time.monotonic() + seconds
        while len(self.asked_of(model)) < count:
            assert time.monotonic() < end, f"{model}: {len(self.asked_of(model))} of {count} requests came"
            time.sleep(0.02)
        return self.asked_of(model)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    models: ScriptedModels


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.models.asked.append(document)
        said = self.server.models.models[document["model"]](document)
        if isinstance(said, int):
            said = Refusal(said)
        if isinstance(said, Refusal):
            error = {"error": {"message": said.message, "code": said.status}}
            self._send(said.status, json.dumps(error).encode(), headers=said.headers)
            return
        message = {"role": "assistant", **(said if isinstance(said, dict) else {"content": said})}
        if document.get("stream"):
            self._stream(document, message)
        else:
            choice = {"index": 0, "message": message, "finish_reason": _finish(message)}
            self._send(200, json.dumps(_answer(document, "chat.completion", [choice])).encode())

    def _stream(self, document: Document, message: Document) -> None:
        deltas: list[tuple[Document, str | None]] = [({"role": "assistant", "content": ""}, None)]
        words = re.findall(r"\S+\s*|\s+", message.get("content") or "")
        deltas += [({"content": word}, None) for word in words]
        for index, call in enumerate(message.get("tool_calls", ())):
            deltas.append(({"tool_calls": [{"index": index, **call}]}, None))
        deltas.append(({}, _finish(message)))
        body = b""
        for delta, finish in deltas:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            event = _answer(document, "chat.completion.chunk", [choice])
            if finish is None:
                del event["usage"]
            body += b"data: " + json.dumps(event).encode() + b"\n\n"
        self._send(200, body + b"data: [DONE]\n\n", "text/event-stream")

    def _send(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.send_response_only(status, "Scripted")
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


def _finish(message: Document) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"


def _answer(document: Document, kind: str, choices: list[Document]) -> Document:
    usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}
    return {
        "id": "chatcmpl-scripted",
        "object": kind,
        "created": 1_700_000_000,
        "model": document["model"],
        "choices": choices,
        "usage": {**usage, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS},
    }
