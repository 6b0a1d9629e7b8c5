"""The fake provider's tokenizer: words and punctuation marks, spaces belong to the token that follows.

Not any real model's count; what matters is that it is the same every time and that tests can compute
it. An image is 85 tokens, a message has an overhead of 3.
"""

from __future__ import annotations

import re
from typing import Any

IMAGE_TOKENS = 85
MESSAGE_TOKENS = 3

_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+$")


def split_tokens(text: str) -> tuple[str, ...]:
    """The pieces of a text; joined they are the text again."""
    return tuple(_TOKEN.findall(text))


def count_prompt(document: dict[str, Any]) -> int:
    """Input tokens of a chat, completion or embedding request."""
    total = 0
    for message in document.get("messages") or ():
        total += MESSAGE_TOKENS + _count_content(
            message.get("content") if isinstance(message, dict) else None
        )
    for name in ("prompt", "input"):
        total += _count_content(document.get(name))
    return total


def _count_content(content: Any) -> int:
    if isinstance(content, str):
        return len(split_tokens(content))
    if isinstance(content, int):
        return 1
    if isinstance(content, list):
        return sum(_count_content(part) for part in content)
    if isinstance(content, dict):
        return IMAGE_TOKENS if content.get("type") == "image_url" else _count_content(content.get("text"))
    return 0
