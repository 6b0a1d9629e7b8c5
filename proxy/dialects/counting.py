"""How many tokens a request would have: asked of the provider where it counts, else estimated and marked.

https://docs.anthropic.com/en/api/messages-count-tokens, https://ai.google.dev/api/tokens,
https://platform.openai.com/docs/api-reference/responses/input-tokens
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from headgate.rules.money import Tokens
from proxy.config.model import Target
from proxy.dialects.asked import Asked, with_model
from proxy.dialects.bridge import ANTHROPIC_VERSION, Whole, anthropic_headers, parsed
from proxy.dialects.documents import dumped
from proxy.dialects.neutral.request import Media, ModelRequest, Part, Text, Thinking, ToolCall, ToolResult
from proxy.dialects.neutral.tools import schema_of
from proxy.dialects.outgoing import write_for
from proxy.dialects.sse import Stream
from proxy.dialects.translate import neutral_request

# What the two counting endpoints take of a request.
_MESSAGES = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config")
_RESPONSES = (
    *("model", "input", "instructions", "tools", "tool_choice", "text", "reasoning"),
    *("parallel_tool_calls", "truncation"),
)
_CHARACTERS_PER_TOKEN = 4
# Around a message, and for a picture of usual size: https://docs.anthropic.com/en/docs/build-with-claude/vision
_PER_TURN = 4
_PER_MEDIA = 1_500


class CountTokens:
    """A Bridge to a provider's counting endpoint. Counting costs nothing."""

    def __init__(self, asked: Asked, target: Target) -> None:
        self._asked = asked
        self.headers = b""
        self.left_out: list[str] = []
        self.operation = native_counter(target) or ""
        if self.operation == asked.operation:
            self.body = with_model(asked, target.upstream_model, target.upstream_json)
            if asked.operation == "messages.count_tokens":
                self.headers = anthropic_headers(asked.version or ANTHROPIC_VERSION, asked.betas)
            return
        dialect = self.operation.partition(".")[0]
        outgoing = write_for(neutral_request(asked), target, dialect)
        self.left_out = outgoing.left_out
        document = outgoing.document
        if dialect == "gemini":
            document = {"generateContentRequest": {"model": f"models/{target.upstream_model}", **document}}
        else:
            kept = _MESSAGES if dialect == "messages" else _RESPONSES
            document = {name: document[name] for name in kept if name in document}
            if dialect == "messages":
                self.headers = anthropic_headers(ANTHROPIC_VERSION)
        self.body = dumped(document)

    def stream(self) -> Stream | None:
        return None

    def whole(self, body: bytes) -> Whole:
        document = parsed(body)
        if self.operation == self._asked.operation:
            return Whole(body)
        count = document.get("input_tokens", document.get("totalTokens"))
        return Whole(
            orjson.dumps(count_document(self._asked.operation, count)), content_type=b"application/json"
        )

    def tokens_of(self, usage: dict[str, Any]) -> tuple[Tokens, bool]:
        return Tokens(), False


def native_counter(target: Target) -> str | None:
    """The operation by which this target's provider counts; None: it does not."""
    if target.provider.kind.name == "sandbox":
        return None
    if "messages" in target.dialects:
        return "messages.count_tokens"
    if "gemini" in target.dialects:
        return "gemini.count_tokens"
    if "responses" in target.dialects and "responses.input_tokens" in target.provider.kind.paths:
        return "responses.input_tokens"
    return None


def uncounted(asked: Asked, plan: Sequence[Target]) -> dict[str, Any] | None:
    """The answer where the model that would answer has nobody to count for it; None: its provider counts."""
    for target in plan:
        if not target.disabled and not target.provider.disabled:
            if native_counter(target) is not None:
                return None
            count = estimated_count(neutral_request(asked))
            return count_document(asked.operation, count, estimated=True)
    return None


def count_document(operation: str, count: object, *, estimated: bool = False) -> dict[str, Any]:
    document: dict[str, Any] = {"input_tokens": count if isinstance(count, int) else 0}
    if operation == "responses.input_tokens":
        document = {"object": "response.input_tokens", **document}
    return {**document, "estimated": True} if estimated else document


def estimated_count(request: ModelRequest) -> int:
    """By characters; pictures and documents at a flat rate."""
    characters = 0
    extra = 0
    for turn in request.turns:
        extra += _PER_TURN
        for part in turn.parts:
            more, media = _weight(part)
            characters += more
            extra += media
    for tool in request.tools:
        characters += len(tool.name) + len(tool.description)
        try:
            characters += len(orjson.dumps(schema_of(tool)))
        except TypeError:
            extra += _PER_MEDIA
    return characters // _CHARACTERS_PER_TOKEN + extra


def _weight(part: Part) -> tuple[int, int]:
    """(characters, tokens beside them)."""
    if isinstance(part, ToolCall):
        return len(part.name) + len(part.arguments), 0
    if isinstance(part, ToolResult):
        weights = [_weight(inner) for inner in part.parts]
        return sum(w[0] for w in weights), sum(w[1] for w in weights)
    if isinstance(part, Media):
        return (len(part.text), 0) if part.text is not None else (0, _PER_MEDIA)
    if isinstance(part, (Text, Thinking)):
        return len(part.text), 0
    return 0, 0
