"""What the provider says: from a request document and a behaviour to an `Answer`, deterministic.

Honours tool_choice, response_format, n, logprobs, max_tokens and stop limits of the request. An
`Answer` knows no wire form; `documents` and `events` give it one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.support.provider.behaviour import Behaviour, Usage
from tests.support.provider.fitting import fitting
from tests.support.provider.tokens import count_prompt, split_tokens

# Characters of two to four bytes are in it, so that byte cuts split characters.
DEFAULT_TEXT = "The answer of {model} is forty-two, naïvely — ☕ 🐟."


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Choice:
    index: int
    pieces: tuple[str, ...]
    reasoning: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    refusal: str | None
    finish_reason: str

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        tools = sum(len(split_tokens(call.arguments)) for call in self.tool_calls)
        return len(self.pieces) + len(self.reasoning) + tools + len(split_tokens(self.refusal or ""))


@dataclass(frozen=True, slots=True)
class Answer:
    id: str
    model: str
    legacy: bool  # /completions
    choices: tuple[Choice, ...]
    usage: Usage
    logprobs: bool
    top_logprobs: int


def build_answer(document: dict[str, Any], behaviour: Behaviour, number: int, *, legacy: bool) -> Answer:
    model = str(document.get("model", ""))
    count = document.get("n") or 1
    if legacy and isinstance(document.get("prompt"), list) and document["prompt"]:
        count *= len(document["prompt"]) if isinstance(document["prompt"][0], (str, list)) else 1
    choices = tuple(_choice(index, document, behaviour, number) for index in range(count))
    usage = behaviour.usage or Usage(
        prompt_tokens=count_prompt(document),
        completion_tokens=sum(choice.tokens for choice in choices),
        reasoning_tokens=sum(len(choice.reasoning) for choice in choices),
    )
    return Answer(
        id=f"{'cmpl' if legacy else 'chatcmpl'}-fake{number}",
        model=model,
        legacy=legacy,
        choices=choices,
        usage=usage,
        logprobs=document.get("logprobs") not in (None, False),
        top_logprobs=int(document.get("top_logprobs") or (document.get("logprobs") if legacy else 0) or 0),
    )


def _choice(index: int, document: dict[str, Any], behaviour: Behaviour, number: int) -> Choice:
    reasoning = split_tokens(behaviour.reasoning_text)
    if behaviour.refusal is not None:
        return Choice(index, (), reasoning, (), behaviour.refusal, "stop")
    calls = _tool_calls(index, document, behaviour, number)
    if calls:
        return Choice(index, (), reasoning, calls, None, "tool_calls")
    pieces = split_tokens(_text(document, behaviour))
    if index:
        pieces = (*pieces, f" #{index}")
    limit = document.get("max_completion_tokens") or document.get("max_tokens")
    if limit and len(pieces) > limit:
        return Choice(index, pieces[:limit], reasoning, (), None, "length")
    return Choice(index, pieces, reasoning, (), None, "stop")


def _text(document: dict[str, Any], behaviour: Behaviour) -> str:
    if behaviour.text is not None:
        return behaviour.text
    wanted = document.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return json.dumps(fitting(wanted.get("json_schema", {}).get("schema") or {"type": "object"}))
    if wanted.get("type") == "json_object":
        return json.dumps({"answer": 42})
    return DEFAULT_TEXT.format(model=document.get("model", ""))


def _tool_calls(
    index: int, document: dict[str, Any], behaviour: Behaviour, number: int
) -> tuple[ToolCall, ...]:
    tools = [
        tool.get("function", {}) for tool in document.get("tools") or () if tool.get("type") == "function"
    ]
    choice = document.get("tool_choice")
    if not tools or choice == "none":
        return ()
    insisted = choice in ("required", "any") or isinstance(choice, dict)
    count = behaviour.call_tools if behaviour.call_tools is not None else int(insisted)
    if isinstance(choice, dict):
        name = choice.get("function", {}).get("name")
        tools = [tool for tool in tools if tool.get("name") == name] or tools
    return tuple(
        ToolCall(
            id=f"call_fake_{number}_{index}_{position}",
            name=str(tools[position % len(tools)].get("name")),
            arguments=json.dumps(
                fitting(tools[position % len(tools)].get("parameters") or {"type": "object"})
            ),
        )
        for position in range(count)
    )
