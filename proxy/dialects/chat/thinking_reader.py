"""Reasoning that a chat client sends back in an assistant message, in the ways in which it may have got it.

`reasoning_details` as OpenRouter writes them (and as we do), else `reasoning_content` or `reasoning`, which
is text alone. https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning
"""

from __future__ import annotations

from proxy.dialects.neutral.fields import Fields
from proxy.dialects.neutral.reasoning import origin_of
from proxy.dialects.neutral.request import Thinking


def thinking_of(message: Fields) -> list[Thinking]:
    texts = [name for name in ("reasoning_content", "reasoning") if isinstance(message.raw(name), str)]
    found = [_one(entry) for entry in message.objects("reasoning_details")]
    if not found:
        return [Thinking(message.path(name), message.text(name)) for name in texts[:1] if message.text(name)]
    merged: list[Thinking] = []
    for thinking in found:
        before = merged[-1] if merged else None
        # A readable entry and the encrypted one after it are two halves of one.
        if (
            before is not None
            and not thinking.text
            and before.text
            and not before.data
            and before.origin == thinking.origin
            and thinking.origin != "anthropic"
        ):
            before.data, before.id = thinking.data, thinking.id
        else:
            merged.append(thinking)
    return merged


def _one(entry: Fields) -> Thinking:
    kind = entry.text("type")
    origin = origin_of(entry.text("format"))
    if kind == "reasoning.encrypted":
        data = entry.text("data")
        return Thinking(
            entry.at, data=data, origin=origin, redacted=origin == "anthropic", id=entry.text("id")
        )
    text = entry.text("text") or entry.text("summary")
    return Thinking(entry.at, text, entry.text("signature"), origin, id=entry.text("id"))
