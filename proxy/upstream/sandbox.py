"""The provider that lives in the proxy: deterministic answers for first steps, demos and drills.

Feeds an exchange the way a connection does, so that everything behind it is the real path. The same
request always gets the same answer, and says that the sandbox gave it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from typing import Any

import orjson

from proxy.config.model import SandboxSettings, Target
from proxy.upstream.exchange import Exchange

_WORDS = (  # noqa: SIM905 - a sentence is easier to read than its words
    "water finds the gate and the gate decides how much goes where so that every field gets its share "
    "and none is flooded while the river keeps its own counsel and the keeper writes down each turn of "
    "the wheel in a book that the morning can read"
).split()
_OPENING = "This is the Headgate sandbox speaking; no provider was called."
_DIMENSIONS = 64
_HEADERS = {b"content-type": b"application/json"}
_STREAM_HEADERS = {b"content-type": b"text/event-stream"}


class Sandbox:
    """One exchange with the sandbox."""

    __slots__ = ("_exchange", "_handle", "_loop", "_paused", "_pending", "_seconds")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._exchange: Exchange | None = None
        self._handle: asyncio.Handle | None = None
        self._pending: list[bytes] = []
        self._paused = False
        self._seconds = 0.0

    def start(self, target: Target, operation: str, body: bytes, exchange: Exchange) -> None:
        settings = target.provider.sandbox
        request = orjson.loads(body)
        self._exchange = exchange
        seed = hashlib.sha256(body).digest()
        if int.from_bytes(seed[:8], "big") / 2**64 < settings.error_rate:
            answer = {"error": {"message": "The sandbox fails this request.", "type": "sandbox_error"}}
            self._later(settings.latency_seconds, settings.error_status, orjson.dumps(answer))
        elif operation == "embeddings":
            self._later(settings.latency_seconds, 200, orjson.dumps(_embeddings(request)))
        elif request.get("stream"):
            text = _words(settings, seed)
            self._pending = _events(request, operation, text, seed)
            self._seconds = 1 / settings.tokens_per_second if settings.tokens_per_second else 0.0
            self._handle = self._loop.call_later(settings.latency_seconds, self._begin_stream)
        else:
            text = _words(settings, seed)
            seconds = settings.latency_seconds
            if settings.tokens_per_second:
                seconds += len(text) / settings.tokens_per_second
            self._later(seconds, 200, orjson.dumps(_completion(request, operation, text, seed)))

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._handle is None and self._exchange is not None:
            self._handle = self._loop.call_soon(self._next)

    def abort(self) -> None:
        self._exchange = None
        if self._handle is not None:
            self._handle.cancel()

    def _later(self, seconds: float, status: int, body: bytes) -> None:
        def answer() -> None:
            exchange = self._exchange
            if exchange is not None:
                exchange.on_head(status, _HEADERS)
                exchange.on_body(body)
                exchange.on_complete()

        self._handle = self._loop.call_later(seconds, answer) if seconds else self._loop.call_soon(answer)

    def _begin_stream(self) -> None:
        if self._exchange is not None:
            self._exchange.on_head(200, _STREAM_HEADERS)
            self._next()

    def _next(self) -> None:
        self._handle = None
        while (exchange := self._exchange) is not None and not self._paused:
            if not self._pending:
                self._exchange = None
                exchange.on_complete()
                return
            exchange.on_body(self._pending.pop(0))
            if self._seconds and self._pending:
                self._handle = self._loop.call_later(self._seconds, self._next)
                return


def _words(settings: SandboxSettings, seed: bytes) -> list[str]:
    start = seed[8]
    opening = _OPENING.split()
    count = max(settings.output_tokens, 1)
    drawn = [_WORDS[(start + i) % len(_WORDS)] for i in range(max(0, count - len(opening)))]
    return (opening + drawn)[:count]


def _usage(request: dict[str, Any], output: int) -> dict[str, int]:
    said = request.get("messages") or request.get("prompt") or request.get("input") or ""
    prompt = max(1, len(orjson.dumps(said)) // 4)
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


def _envelope(request: dict[str, Any], operation: str, seed: bytes, *, chunk: bool) -> dict[str, Any]:
    chat = operation == "chat.completions"
    kind = ("chat.completion.chunk" if chunk else "chat.completion") if chat else "text_completion"
    return {"id": f"sandbox-{seed.hex()[:16]}", "object": kind, "created": 0, "model": request["model"]}


def _completion(request: dict[str, Any], operation: str, words: list[str], seed: bytes) -> dict[str, Any]:
    text = " ".join(words)
    chat = operation == "chat.completions"
    said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    choices = [
        {"index": index, **said, "finish_reason": "stop", "logprobs": None}
        for index in range(min(int(request.get("n") or 1), 16))
    ]
    usage = _usage(request, len(words) * len(choices))
    return {**_envelope(request, operation, seed, chunk=False), "choices": choices, "usage": usage}


def _events(request: dict[str, Any], operation: str, words: list[str], seed: bytes) -> list[bytes]:
    chat = operation == "chat.completions"
    envelope = _envelope(request, operation, seed, chunk=True)

    def event(delta: dict[str, Any], finish: str | None) -> bytes:
        said = {"delta": delta} if chat else {"text": delta.get("content", "")}
        choice = {"index": 0, **said, "finish_reason": finish}
        return b"data: " + orjson.dumps({**envelope, "choices": [choice]}) + b"\n\n"

    events = [event({"role": "assistant", "content": ""}, None)] if chat else []
    events += [event({"content": word if i == 0 else f" {word}"}, None) for i, word in enumerate(words)]
    events.append(event({}, "stop"))
    if (request.get("stream_options") or {}).get("include_usage"):
        last = {**envelope, "choices": [], "usage": _usage(request, len(words))}
        events.append(b"data: " + orjson.dumps(last) + b"\n\n")
    events.append(b"data: [DONE]\n\n")
    return events


def _embeddings(request: dict[str, Any]) -> dict[str, Any]:
    given = request.get("input")
    texts = given if isinstance(given, list) and given and isinstance(given[0], (str, list)) else [given]
    dimensions = min(int(request.get("dimensions") or _DIMENSIONS), 4096)
    data = []
    for index, text in enumerate(texts):
        digest = hashlib.shake_256(orjson.dumps(text)).digest(dimensions * 2)
        vector = [value / 32768 for value in struct.unpack(f"<{dimensions}h", digest)]
        encoded: Any = vector
        if request.get("encoding_format") == "base64":
            encoded = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": encoded})
    usage = _usage(request, 0)
    return {
        "object": "list",
        "data": data,
        "model": request["model"],
        "usage": {"prompt_tokens": usage["prompt_tokens"], "total_tokens": usage["prompt_tokens"]},
    }
