"""Conversations as the official SDKs hold them: ask, get the final answer, append it, go on.

What is appended is exactly what the SDK gave: the message, the content blocks, the output items.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import anthropic
import openai

from tests.integration.proxy.gateway import Gateway

QUESTION = "How warm is it there?"
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL_NAMES = ("look_0", "look_1")


@dataclass(frozen=True, slots=True)
class Heard:
    """A final answer. `calls`: (id, name, arguments)."""

    text: str
    calls: list[tuple[str, str, Any]]
    reasoning: str


class Talk(Protocol):
    """One client's conversation so far; `ask` sends it, appends the answer and tells it."""

    def ask(self, *, stream: bool) -> Heard: ...

    def tell(self, results: dict[str, str]) -> None:
        """Tool results by call id."""
        ...

    def say(self, text: str) -> None: ...


@dataclass
class ChatTalk:
    client: openai.OpenAI
    model: str
    fields: dict[str, Any] = field(default_factory=lambda: {"reasoning_effort": "low"})

    def __post_init__(self) -> None:
        self.messages: list[Any] = [{"role": "user", "content": QUESTION}]
        # Not strict: of such tools the SDK parses each piece of arguments that another call's interrupts.
        self._tools: list[Any] = [
            {"type": "function", "function": {"name": name, "parameters": PARAMETERS}} for name in TOOL_NAMES
        ]

    def ask(self, *, stream: bool) -> Heard:
        asked: dict[str, Any] = {
            "model": self.model,
            "messages": self.messages,
            "tools": self._tools,
            **self.fields,
        }
        if stream:
            with self.client.chat.completions.stream(**asked) as events:
                for _ in events:
                    pass
                message: Any = events.get_final_completion().choices[0].message
        else:
            message = self.client.chat.completions.create(**asked).choices[0].message
        self.messages.append(message)
        calls = [
            (call.id, call.function.name, json.loads(call.function.arguments))
            for call in message.tool_calls or ()
        ]
        extra = message.model_extra or {}
        return Heard(
            message.content or "", calls, extra.get("reasoning_content") or extra.get("reasoning") or ""
        )

    def tell(self, results: dict[str, str]) -> None:
        self.messages += [
            {"role": "tool", "tool_call_id": id, "content": text} for id, text in results.items()
        ]

    def say(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})


@dataclass
class MessagesTalk:
    client: anthropic.Anthropic
    model: str
    fields: dict[str, Any] = field(
        default_factory=lambda: {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    )

    def __post_init__(self) -> None:
        self.messages: list[Any] = [{"role": "user", "content": QUESTION}]
        self._tools: list[Any] = [{"name": name, "input_schema": PARAMETERS} for name in TOOL_NAMES]

    def ask(self, *, stream: bool) -> Heard:
        asked: dict[str, Any] = {
            "model": self.model,
            "messages": self.messages,
            "tools": self._tools,
            **self.fields,
        }
        asked["max_tokens"] = 4096
        if stream:
            with self.client.messages.stream(**asked) as events:
                message: Any = events.get_final_message()
        else:
            message = self.client.messages.create(**asked)
        self.messages.append({"role": "assistant", "content": message.content})
        blocks = message.content
        return Heard(
            "".join(block.text for block in blocks if block.type == "text"),
            [(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"],
            "".join(block.thinking for block in blocks if block.type == "thinking"),
        )

    def tell(self, results: dict[str, str]) -> None:
        told = [{"type": "tool_result", "tool_use_id": id, "content": text} for id, text in results.items()]
        self.messages.append({"role": "user", "content": told})

    def say(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})


@dataclass
class ResponsesTalk:
    client: openai.OpenAI
    model: str
    fields: dict[str, Any] = field(
        default_factory=lambda: {
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "store": False,
        }
    )

    def __post_init__(self) -> None:
        self.items: list[Any] = [{"role": "user", "content": QUESTION}]
        self._tools: list[Any] = [
            {"type": "function", "name": name, "parameters": PARAMETERS, "strict": True}
            for name in TOOL_NAMES
        ]

    def ask(self, *, stream: bool) -> Heard:
        asked: dict[str, Any] = {
            "model": self.model,
            "input": self.items,
            "tools": self._tools,
            **self.fields,
        }
        if stream:
            with self.client.responses.stream(**asked) as events:
                for _ in events:
                    pass
                response: Any = events.get_final_response()
        else:
            response = self.client.responses.create(**asked)
        self.items += response.output
        items = response.output
        return Heard(
            response.output_text,
            [(i.call_id, i.name, json.loads(i.arguments)) for i in items if i.type == "function_call"],
            "".join(part.text for i in items if i.type == "reasoning" for part in i.summary),
        )

    def tell(self, results: dict[str, str]) -> None:
        self.items += [
            {"type": "function_call_output", "call_id": id, "output": text} for id, text in results.items()
        ]

    def say(self, text: str) -> None:
        self.items.append({"role": "user", "content": text})


TALKS = ("chat", "responses", "messages")


@contextmanager
def openai_client(gateway: Gateway, **more: Any) -> Iterator[openai.OpenAI]:
    """Without its own retries, so that one call is one request."""
    settings = {"base_url": gateway.base_url, "api_key": gateway.key, "max_retries": 0, "timeout": 15}
    with openai.OpenAI(**{**settings, **more}) as client:
        yield client


@contextmanager
def anthropic_client(gateway: Gateway, **more: Any) -> Iterator[anthropic.Anthropic]:
    settings = {"base_url": gateway.url, "api_key": gateway.key, "max_retries": 0, "timeout": 15}
    with anthropic.Anthropic(**{**settings, **more}) as client:
        yield client


@contextmanager
def talk(gateway: Gateway, dialect: str, model: str, **fields: Any) -> Iterator[Any]:
    """A new conversation of a client of that dialect; `fields` instead of those that ask for reasoning."""
    more = {"fields": fields} if fields else {}
    if dialect == "messages":
        with anthropic_client(gateway) as client:
            yield MessagesTalk(client, model, **more)
        return
    with openai_client(gateway) as other:
        yield (ChatTalk if dialect == "chat" else ResponsesTalk)(other, model, **more)
