"""Requests as clients of each dialect send them, and the bridges they get to a target, without a socket.

The targets are one model of each family whose rules differ; ids are fixed, so that two readings of one
answer can be compared byte for byte.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import orjson

from proxy.config.model import Target
from proxy.dialects.asked import parse_request
from proxy.dialects.bridge import Bridge
from proxy.dialects.choose import bridge_for
from proxy.dialects.neutral.request import Unsupported
from tests.unit.proxy.targets import provider

CHAT, MESSAGES, RESPONSES = "chat.completions", "messages", "responses"
CLIENTS = (CHAT, RESPONSES, MESSAGES)
REQUEST_ID = b"\x11" * 16

QUESTION: dict[str, Any] = {"role": "user", "content": "Which way?"}
CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
# No structured output of Anthropic's takes a minimum.
BOUNDED = {
    "type": "object",
    "properties": {"n": {"type": "number", "minimum": 1}},
    "additionalProperties": False,
}
CHAT_TOOL = {"type": "function", "function": {"name": "look", "parameters": CLOSED}}
MESSAGES_TOOL = {"name": "look", "input_schema": CLOSED}
RESPONSES_TOOL = {"type": "function", "name": "look", "parameters": CLOSED, "strict": False}


def at(model: str, kind: str, *, capabilities: Iterable[str] | None = None, **fields: Any) -> Target:
    """A target: `model` at a provider of that kind."""
    known = None if capabilities is None else frozenset(capabilities)
    return Target(model, provider(kind), model, (), "", 0, disabled=False, capabilities=known, **fields)


OPENAI = at("gpt-4.1", "openai", declared_dialects=("chat",))
BY_RESPONSES = at("gpt-4.1", "openai", declared_dialects=("responses",))
CLAUDE = at("claude-sonnet-4-5", "anthropic")
GEMINI = at("gemini-3-flash-preview", "gemini")
# One of every provider dialect.
TARGETS = {"chat": OPENAI, "responses": BY_RESPONSES, "messages": CLAUDE, "gemini": GEMINI}
# One of every family with rules of its own.
FAMILIES = (
    *TARGETS.values(),
    at("gpt-5.5", "openai"),
    at("openai/gpt-oss-20b", "groq"),
    at("magistral-medium", "mistral"),
    at("anthropic/claude-sonnet-4.5", "openrouter"),
    at("grok-3-mini", "xai"),
    at("any", "openai-compatible"),
    at("plain", "openai-compatible", capabilities=()),
    at("claude-3-5-haiku", "anthropic"),
    at("claude-opus-4-6", "anthropic"),
    at("claude-opus-5", "anthropic"),
    at("claude-opus-5-5", "anthropic"),
    at("gemini-2.0-flash", "gemini"),
    at("gemini-2.5-flash", "gemini"),
    at("gemini-3-pro-preview", "gemini"),
)


def question(client: str, **fields: Any) -> dict[str, Any]:
    """The smallest request of that dialect, and more fields."""
    if client == RESPONSES:
        return {"model": "m", "input": "Which way?", **fields}
    limit = {"max_tokens": 4096} if client == MESSAGES else {}
    return {"model": "m", "messages": [QUESTION], **limit, **fields}


def bridge(
    client: str, document: dict[str, Any], target: Target, *, request_id: bytes = REQUEST_ID
) -> Bridge:
    """Raises Unsupported or CallError as the product does."""
    asked = parse_request(client, orjson.dumps(document))
    return bridge_for(asked, target, request_id, hold_end=False)


def written(client: str, document: dict[str, Any], target: Target) -> dict[str, Any]:
    """What the target's provider is sent."""
    sent: dict[str, Any] = orjson.loads(bridge(client, document, target).body)
    return sent


def left_out(client: str, document: dict[str, Any], target: Target) -> list[str]:
    return bridge(client, document, target).left_out


def refused(client: str, document: dict[str, Any], target: Target) -> str:
    """The field for which this target is passed over; fails if it is not."""
    try:
        sent = bridge(client, document, target).body
    except Unsupported as reason:
        return reason.at
    raise AssertionError(f"not refused: {sent!r:.500}")


def events_of(*documents: dict[str, Any] | bytes) -> bytes:
    """A provider's stream; bytes are put in as they are."""
    return b"".join(
        one if isinstance(one, bytes) else b"data: " + orjson.dumps(one) + b"\n\n" for one in documents
    )


def streamed(
    client: str, target: Target, raw: bytes, *, cuts: Iterable[int] = (), **fields: Any
) -> list[dict[str, Any]]:
    """The documents of the events that a client gets of a provider's stream. Raises AttemptFailed."""
    stream = bridge(client, question(client, stream=True, **fields), target).stream()
    assert stream is not None
    out = b""
    for start, end in pieces(len(raw), cuts):
        out += stream.feed(raw[start:end])
    return parsed(out + stream.end())


def whole(client: str, target: Target, answer: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The document that a client gets of a provider's whole answer. Raises AttemptFailed."""
    made = bridge(client, question(client, **fields), target).whole(orjson.dumps(answer))
    document: dict[str, Any] = orjson.loads(made.body)
    return document


def pieces(length: int, cuts: Iterable[int]) -> list[tuple[int, int]]:
    """Spans between the cuts; a cut beyond the end does nothing."""
    places = [0, *sorted({cut % (length + 1) for cut in cuts}), length]
    return [(start, end) for start, end in itertools.pairwise(places) if end > start]


def parsed(stream: bytes) -> list[dict[str, Any]]:
    """Every event's document; what is no well-formed event of one line of data fails."""
    found = []
    for event in stream.split(b"\n\n"):
        lines = [line for line in event.split(b"\n") if line]
        if not lines or lines == [b"data: [DONE]"]:
            continue
        assert lines[-1].startswith(b"data: "), event
        assert all(line.startswith(b"event: ") for line in lines[:-1]), event
        document = orjson.loads(lines[-1][6:])
        assert len(lines) == 1 or lines[0] == b"event: " + document["type"].encode(), event
        found.append(document)
    return found
