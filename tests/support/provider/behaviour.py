"""What one answer of the fake provider does: values only, no I/O.

A `Behaviour()` without arguments is a well-behaved OpenAI. Every field changes one thing, and all of
them combine. `to_json` / `from_json` carry one over `POST /_script` to a provider in its own process.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

UsagePlace = Literal["own_chunk", "own_chunk_unasked", "finish_chunk", "chunk_with_choices", "x_groq", "none"]
Framing = Literal["auto", "chunked", "content-length", "close", "malformed-chunked"]
ErrorForm = Literal["openai", "groq", "openrouter", "openrouter_top"]
CutPlace = Literal["before_headers", "wire_bytes", "body_bytes", "events", "mid_event", "end"]
CutKind = Literal["reset", "close", "stall"]
CloseAfter = Literal["", "announced", "silent", "on_next_request"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by class, counted as OpenAI does: cached is part of prompt, reasoning part of completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    audio_prompt_tokens: int = 0
    audio_completion_tokens: int = 0


NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class Cut:
    """Where an answer breaks, and how.

    `count` counts bytes of the connection's answer (wire_bytes), bytes of the body before framing
    (body_bytes) or `data:` events, the role chunk being the first (events, mid_event: that many whole ones
    and half of the next). "end" is after the body, before the last-chunk. A stall lasts `stall_seconds`
    (None: until the client leaves), then the answer goes on.
    """

    at: CutPlace
    count: int = 0
    how: CutKind = "reset"
    stall_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Cuts:
    """How the network cuts an answer: sizes of consecutive writes; what is left over goes in one.

    Cuts the body (each write is one HTTP chunk when chunked), or with `wire` the framed bytes, head
    included. `repeat` starts over at the end: `Cuts((1,), repeat=True)` is one byte at a time.
    A reader sees the cuts for certain only with a pause between the writes.
    """

    sizes: tuple[int, ...]
    repeat: bool = False
    wire: bool = False
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """An error inside a 200: instead of the rest of a stream, or in the body of a whole answer."""

    form: ErrorForm = "openai"
    after_events: int = 1
    message: str = "The model is overloaded"
    code: str = "overloaded"
    status: int = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One answer. `body` and `raw` replace what would be computed; `None` means "as usual"."""

    # What is said.
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | Mapping[str, Any] | list[Any] | None = None
    raw: bytes | None = None  # instead of HTTP, then the connection is closed
    stream: bool | None = None  # None: as the request asks
    text: str | None = None
    chunks: int | None = None  # content events; None: one per token
    reasoning_text: str = ""
    reasoning_field: str = "reasoning"
    call_tools: int | None = None  # tool calls to make; None: 1 if tool_choice insists, else 0
    refusal: str | None = None
    pad_bytes: int = 0  # a `padding` field of this size: huge bodies and events

    # What it costs.
    usage: Usage | None = None
    usage_place: UsagePlace = "own_chunk"
    usage_extra: Mapping[str, Any] = field(default_factory=dict)
    reasoning_apart: bool = False  # xAI: completion_tokens does not contain reasoning_tokens

    # When.
    headers_delay_seconds: float = 0.0
    first_event_delay_seconds: float = 0.0
    tokens_per_second: float | None = None

    # In which form.
    framing: Framing = "auto"
    content_length_extra: int = 0  # promises more than is sent, then closes
    gzip: bool = False  # compresses, whether the client accepts it or not
    newline: str = "\n"
    heartbeats: int = 0  # comments before the first event and, when it is delayed, spread over the delay
    heartbeat_text: str = ": OPENROUTER PROCESSING"
    leading_whitespace: bytes = b""
    finish: bool = True
    done: bool = True
    malformed_event_at: int | None = None
    error_event: ErrorEvent | None = None

    # How it arrives, and what breaks.
    cuts: Cuts | None = None
    cut: Cut | None = None
    close_after: CloseAfter = ""


_NESTED: Mapping[str, type[Any]] = {"usage": Usage, "cut": Cut, "cuts": Cuts, "error_event": ErrorEvent}


def to_json(behaviour: Behaviour) -> dict[str, Any]:
    """The fields that differ from the default; bytes as {"base64": …}."""
    document: dict[str, Any] = {}
    plain = Behaviour()
    for spec in dataclasses.fields(Behaviour):
        value = getattr(behaviour, spec.name)
        if value == getattr(plain, spec.name):
            continue
        if isinstance(value, bytes):
            value = {"base64": base64.b64encode(value).decode()}
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        document[spec.name] = value
    return document


def from_json(document: Mapping[str, Any]) -> Behaviour:
    """The reverse of `to_json`; raises TypeError for a field that does not exist."""
    values: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping) and set(value) == {"base64"}:
            values[name] = base64.b64decode(value["base64"])
        elif name in _NESTED and isinstance(value, Mapping):
            nested = {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
            values[name] = _NESTED[name](**nested)
        else:
            values[name] = value
    return Behaviour(**values)
