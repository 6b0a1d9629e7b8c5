"""The chat dialect's rules by provider: what OpenAI takes, and what Mistral, Groq and the like refuse of it.

https://docs.mistral.ai/api (unknown fields are 422 extra_forbidden, call ids have nine letters),
https://console.groq.com/docs/reasoning, and the 400s that real requests got (facts 5).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.programs.upstream import chat_rules
from tests.programs.upstream.rules import a_name, need, one_of, only, words

_MISTRAL_FIELDS = words(
    """
    model messages temperature top_p max_tokens stream stop random_seed metadata response_format tools
    tool_choice presence_penalty frequency_penalty n prediction parallel_tool_calls reasoning_effort
    prompt_mode top_k min_tokens
    """
)
_MISTRAL_MESSAGES = {
    "system": "role content",
    "user": "role content",
    "assistant": "role content tool_calls prefix",
    "tool": "role content tool_call_id name",
}
# What a provider calls an earlier turn's reasoning, and takes back; what other names it refuses.
_REASONING = {
    "groq": ("reasoning", ("reasoning_content", "reasoning_details")),
    "cerebras": ("reasoning", ("reasoning_content", "reasoning_details")),
    "xai": ("reasoning_content", ("reasoning",)),
    "openrouter": ("reasoning_details", ()),
    "deepinfra": ("reasoning_content", ()),
    "nvidia": ("reasoning_content", ()),
    "openai-compatible": ("reasoning_content", ()),
}
_THINKS = re.compile(r"gpt-oss|qwen-?3|grok-3-mini|grok-4|deepseek-r|magistral|claude|gemini")
_NO_DEVELOPER = ("mistral", "deepinfra", "cerebras", "xai")


def check(headers: Mapping[str, str], document: dict[str, Any], kind: str) -> None:
    if kind == "openai":
        chat_rules.check(headers, document)
        return
    need(headers.get("authorization", "").startswith("Bearer "), "authorization: must be a bearer token")
    messages = document["messages"]
    need(messages, "messages: must not be empty")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        roles = ["system", "user", "assistant", "tool", *(["developer"] if kind not in _NO_DEVELOPER else [])]
        one_of(message.get("role"), roles, f"{where}.role")
        if kind == "mistral":
            only(message, _MISTRAL_MESSAGES[message["role"]].split(), where)
        _check_reasoning(message, kind, document["model"], where)
        for call in message.get("tool_calls") or ():
            if kind == "mistral":
                a_name(call["id"], f"{where}.tool_calls", r"[a-zA-Z0-9]{9}")
            json.loads(call["function"]["arguments"])
    chat_rules._check_pairs(messages)
    if kind == "mistral":
        only(document, _MISTRAL_FIELDS, "body")
        one_of(document.get("reasoning_effort", "none"), ["none", "high"], "reasoning_effort")
    if kind in ("groq", "cerebras") and "gpt-oss" in document["model"]:
        one_of(document.get("reasoning_effort", "low"), ["low", "medium", "high"], "reasoning_effort")
    need(len(document.get("stop") or []) <= 4, "stop: at most 4")


def _check_reasoning(message: dict[str, Any], kind: str, model: str, where: str) -> None:
    taken, refused = _REASONING.get(kind, ("", ("reasoning", "reasoning_content")))
    for name in refused:
        need(name not in message, f"{where}.{name}: property is unsupported")
    if taken and taken in message:
        need(message[taken], f"{where}.{taken}: must not be empty")
        need(kind != "groq" or _THINKS.search(model), f"{where}.{taken}: not supported with this model")
