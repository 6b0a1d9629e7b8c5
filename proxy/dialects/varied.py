"""A request as a variant of an experiment changes it, in the client's own dialect: system prompt, parameters.

The variant's system text comes first, the client's own follows it. Made once per call and variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.dialects.asked import Asked, anew

# Operations that have a conversation; what else is asked for is left as it is.
CONVERSATIONS = ("chat.completions", "messages", "responses")
# `max_tokens` by the dialect's own word.
_MAX_TOKENS = {"responses": "max_output_tokens"}
_BETWEEN = "\n\n"


def varied(asked: Asked, system: str, parameters: Mapping[str, float]) -> Asked:
    operation = asked.operation
    if operation not in CONVERSATIONS:
        return asked
    document = dict(asked.document)
    if system:
        _place(operation, document, system)
    for name, value in parameters.items():
        document[_word(operation, document, name)] = int(value) if value == int(value) else value
    return anew(asked, document)


def _place(operation: str, document: dict[str, Any], system: str) -> None:
    if operation == "chat.completions":
        document["messages"] = [{"role": "system", "content": system}, *document["messages"]]
        return
    name = "system" if operation == "messages" else "instructions"
    own = document.get(name)
    if isinstance(own, list):  # blocks, with cache marks of the client's that must stay
        document[name] = [{"type": "text", "text": system}, *own]
    else:
        document[name] = system + _BETWEEN + own if isinstance(own, str) and own else system


def _word(operation: str, document: dict[str, Any], name: str) -> str:
    if name != "max_tokens":
        return name
    if operation == "chat.completions" and "max_completion_tokens" in document:
        return "max_completion_tokens"
    return _MAX_TOKENS.get(operation, name)
