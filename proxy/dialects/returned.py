"""What translated answers left in a conversation, on its way to a provider of the client's own dialect.

A client sends back what it was given: reasoning marked with another maker, fields of ours beside a message.
The provider that takes the bytes as they are would refuse them, so they are taken out (or put where this
provider reads them), and nothing else is touched. Looked for by byte search: usually there is nothing.
"""

from __future__ import annotations

from typing import Any

from proxy.config.model import Target
from proxy.dialects.asked import Asked
from proxy.dialects.neutral.reasoning import MARK
from proxy.providers.families import thinks

_MARKED = b'"' + MARK.encode()
# In a chat message: ours, or other servers' that clients have taken over from them.
_BESIDE = {
    name: f'"{name}"'.encode() for name in ("reasoning_content", "reasoning_details", "provider_content")
}


def mended_document(asked: Asked, target: Target, left_out: list[str]) -> dict[str, Any] | None:
    """The request's document as this provider takes it; None: the bytes can go as they are."""
    body = asked.body
    if asked.operation == "chat.completions":
        manners = target.provider.kind.manners
        found = [
            name for name, quoted in _BESIDE.items() if quoted in body and name != manners.reasoning_back
        ]
        if not found or manners.lenient:
            return None
        return _chat(asked.document, target, left_out)
    if _MARKED not in body:
        return None
    if asked.operation == "responses":
        return _responses(asked.document, left_out)
    if asked.operation in ("messages", "messages.count_tokens"):
        return _messages(asked.document, left_out)
    return None


def _is_marked(value: object) -> bool:
    return isinstance(value, str) and value.startswith(MARK)


def _responses(document: dict[str, Any], left_out: list[str]) -> dict[str, Any]:
    items = document.get("input")
    kept = []
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and _is_marked(item.get("encrypted_content")):
            left_out.append(f"input[{index}]")
        else:
            kept.append(item)
    return {**document, "input": kept} if isinstance(items, list) else document


def _messages(document: dict[str, Any], left_out: list[str]) -> dict[str, Any]:
    messages = []
    for index, message in enumerate(document["messages"]):
        content = message.get("content")
        if isinstance(content, list):
            kept = []
            for position, block in enumerate(content):
                data = isinstance(block, dict) and (block.get("signature") or block.get("data"))
                if _is_marked(data):
                    left_out.append(f"messages[{index}].content[{position}]")
                else:
                    kept.append(block)
            if not kept and content:
                continue  # it held nothing else
            message = {**message, "content": kept}
        messages.append(message)
    mended = {**document, "messages": messages}
    thinking = document.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "enabled" and not _may_think(messages):
        del mended["thinking"]
        left_out.append("thinking")
    return mended


def _may_think(messages: list[dict[str, Any]]) -> bool:
    """With a budget, the turns whose calls are being worked at must begin with thinking; if another model
    thought it, it is gone now. https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking"""
    results = False
    for message in reversed(messages):
        if message.get("role") != "assistant":
            results = results or _holds(message, "tool_result")
            continue
        if not results:
            return True  # it was answered by words: a new turn
        if _holds(message, "tool_use"):
            first = message["content"][0]
            if not isinstance(first, dict) or first.get("type") not in ("thinking", "redacted_thinking"):
                return False
        results = False
    return True


def _holds(message: dict[str, Any], kind: str) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") == kind for block in content
    )


def _chat(document: dict[str, Any], target: Target, left_out: list[str]) -> dict[str, Any]:
    back = target.provider.kind.manners.reasoning_back
    if back and not thinks(target.upstream_model):
        back = ""
    messages = []
    for index, message in enumerate(document["messages"]):
        found = [name for name in _BESIDE if message.get(name) is not None]
        if found:
            text = message.get("reasoning_content")
            message = {name: value for name, value in message.items() if name not in _BESIDE}
            if isinstance(text, str) and text and back in ("reasoning", "reasoning_content"):
                message[back] = text
            elif isinstance(text, str) and text and back == "parts":
                message["content"] = _with_thinking(message.get("content"), text)
            else:
                left_out += [f"messages[{index}].{name}" for name in found]
        messages.append(message)
    return {**document, "messages": messages}


def _with_thinking(content: Any, text: str) -> list[Any]:
    """Mistral's form: https://docs.mistral.ai/capabilities/reasoning"""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    said = content if isinstance(content, list) else [] if content is None else [content]
    return [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}, *said]
