"""The bytes that the bench sends and expects: one chat request, one answer, the events of a stream.

Every system gets the same bytes, so that a difference between two systems is never a difference in work
asked. What the upstream shall do is written in the model name (`chat`, `chat-c500-r100-t0`, `chat-idle`),
because a gateway forwards the model and seldom an unknown header. Nothing here opens a socket.
"""

import json
import re
from dataclasses import dataclass

REQUEST_BYTES = 1200  # the 1.2 KB chat request of architecture.md
PATH = "/v1/chat/completions"
MESSAGES_PATH = "/v1/messages"
INSTANT_MODEL = "chat"
IDLE_MODEL = "chat-idle"
SHAPE_HEADER = "x-bench-shape"  # the same names as the model, for callers that go to the upstream directly

_SHAPE = re.compile(rb"chat-c(\d{1,6})-r(\d{1,5})-t(\d{1,3})")
_CREATED = 1_750_000_000


@dataclass(frozen=True, slots=True)
class StreamShape:
    """A stream of `chunks` content events at `chunks_per_second`, then usage, then [DONE].

    With `tick_ms` 0 the chunks of all streams are spread evenly, as those of strangers are; else they leave
    in bunches, on whole multiples of the tick, as from a server with millisecond timers.
    """

    chunks: int
    chunks_per_second: int
    tick_ms: int = 0

    @property
    def model(self) -> str:
        return f"{INSTANT_MODEL}-c{self.chunks}-r{self.chunks_per_second}-t{self.tick_ms}"


def shape_in(text: bytes) -> StreamShape | None:
    """The first stream shape that is named in `text`, or None."""
    found = _SHAPE.search(text)
    if found is None or int(found[2]) == 0:
        return None
    return StreamShape(int(found[1]), int(found[2]), int(found[3]))


def chat_body(model: str, *, stream: bool = False) -> bytes:
    """A chat request of REQUEST_BYTES bytes, whatever the model is called."""
    document: dict[str, object] = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a careful clerk. Answer in one short line."},
            {"role": "user", "content": ""},
        ],
        "temperature": 0.2,
        "max_tokens": 256,
    }
    if stream:
        # Asked for by the client, so that no system has to add it or to hide the usage event again.
        document |= {"stream": True, "stream_options": {"include_usage": True}}
    bare = json.dumps(document, separators=(",", ":"))
    words = "Summarise the following ledger entry for the monthly report. " * 40
    filling = words[: REQUEST_BYTES - len(bare)]
    document["messages"] = [
        {"role": "system", "content": "You are a careful clerk. Answer in one short line."},
        {"role": "user", "content": filling},
    ]
    return json.dumps(document, separators=(",", ":")).encode()


def messages_body(model: str, *, stream: bool = False) -> bytes:
    """The same question in Anthropic's dialect, for the translated path."""
    document = json.loads(chat_body(model))
    system, question = document["messages"]
    asked = {
        "model": model,
        "system": system["content"],
        "messages": [question],
        "temperature": 0.2,
        "max_tokens": 256,
    }
    return json.dumps({**asked, "stream": True} if stream else asked, separators=(",", ":")).encode()


def post(path: str, host: str, port: int, body: bytes, headers: dict[str, str]) -> bytes:
    """The whole HTTP/1.1 request, ready to be written."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"host: {host}:{port}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def instant_answer() -> bytes:
    """A complete HTTP response with a chat completion of about 600 bytes."""
    document = {
        "id": "chatcmpl-bench0000000000000000000000",
        "object": "chat.completion",
        "created": _CREATED,
        "model": "bench-model",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "The entry books the rent of the northern office for the month. " * 3,
                    "refusal": None,
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 231,
            "completion_tokens": 42,
            "total_tokens": 273,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        },
        "system_fingerprint": "fp_bench",
    }
    return json_response(document)


def json_response(document: dict[str, object], status: str = "200 OK") -> bytes:
    body = json.dumps(document, separators=(",", ":")).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
STREAM_END = b"0\r\n\r\n"


def word(index: int) -> str:
    """The content of chunk `index`, of fixed width: a lost, doubled or swapped chunk can be told."""
    return f" w{index:06d}"


def content_event(index: int) -> bytes:
    return _event({"index": 0, "delta": {"role": "assistant", "content": word(index)}, "finish_reason": None})


def closing_events() -> bytes:
    """The finish event, the usage event and [DONE], as one write and three HTTP chunks."""
    finish = _event({"index": 0, "delta": {}, "finish_reason": "stop"})
    usage = {"prompt_tokens": 231, "completion_tokens": 42, "total_tokens": 273}
    return finish + _event(None, usage) + _http_chunk(b"data: [DONE]\n\n")


def _event(choice: dict[str, object] | None, usage: dict[str, int] | None = None) -> bytes:
    document = {
        "id": "chatcmpl-bench0000000000000000000000",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": "bench-model",
        "system_fingerprint": "fp_bench",
        "choices": [] if choice is None else [choice],
        "usage": usage,
    }
    return _http_chunk(b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
