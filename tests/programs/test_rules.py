"""The scripted upstreams refuse what the real providers refuse: one breach each, in a session else right.

Without these, a translation that breaks a rule could pass because the upstream looked away.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.programs.upstream import anthropic_rules, chat_rules, gemini_rules, responses_rules
from tests.programs.upstream.rules import Refused

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
JSON_SCHEMA = {**SCHEMA, "$schema": "https://json-schema.org/draft/2020-12/schema"}
INPUT = {"type": "input_text", "text": "!"}
Document = dict[str, Any]
Breach = Callable[[Document], object]

ANTHROPIC: Document = {
    "model": "m",
    "max_tokens": 2048,
    "messages": [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"}]},
    ],
    "tools": [{"name": "weather", "input_schema": SCHEMA}],
}
CALL = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CHAT: Document = {
    "model": "m",
    "messages": [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}],
}
RESPONSES: Document = {
    "model": "m",
    "store": False,
    "input": [
        {"role": "user", "content": "?"},
        {"type": "reasoning", "summary": [], "encrypted_content": "c2lnbmF0dXJl"},
        {"type": "function_call", "call_id": "t1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t1", "output": "rain"},
    ],
    "tools": [{"type": "function", "name": "weather", "parameters": SCHEMA}],
}
GEMINI: Document = {
    "contents": [
        {"role": "user", "parts": [{"text": "?"}]},
        {
            "role": "model",
            "parts": [{"functionCall": {"name": "weather", "args": {}}, "thoughtSignature": "c2lnbmF0dXJl"}],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "weather", "response": {"output": "rain"}}}],
        },
    ],
    "tools": [{"functionDeclarations": [{"name": "weather", "parameters": SCHEMA}]}],
}


def anthropic(document: Document) -> None:
    headers = {"anthropic-version": "2023-06-01", "x-api-key": "pk"}
    anthropic_rules.check(headers, document)


def chat(document: Document) -> None:
    chat_rules.check({"authorization": "Bearer pk"}, document)


def responses(document: Document) -> None:
    responses_rules.check({"authorization": "Bearer pk"}, document)


def gemini(document: Document) -> None:
    gemini_rules.check({"x-goog-api-key": "pk"}, document)
    gemini_rules.check_signed(document)


SESSIONS = {
    "anthropic": (anthropic, ANTHROPIC),
    "chat": (chat, CHAT),
    "responses": (responses, RESPONSES),
    "gemini": (gemini, GEMINI),
}
BREACHES: list[tuple[str, Breach, str]] = [
    ("anthropic", lambda d: d.pop("max_tokens"), "max_tokens"),
    ("anthropic", lambda d: d["messages"].pop(), "without|last message"),
    ("anthropic", lambda d: d["messages"].pop(1), "unexpected"),
    ("anthropic", lambda d: d["messages"][2]["content"].insert(0, {"type": "text", "text": "!"}), "first"),
    ("anthropic", lambda d: d["messages"].insert(2, {"role": "user", "content": "!"}), "first"),
    ("anthropic", lambda d: d["messages"][0].update(role="developer"), "role"),
    ("anthropic", lambda d: d.update(thinking={"type": "enabled", "budget_tokens": 2048}), "greater"),
    (
        "anthropic",
        lambda d: d.update(thinking={"type": "enabled", "budget_tokens": 1024}),
        "expected `thinking`",
    ),
    ("anthropic", lambda d: d.update(parallel_tool_calls=True), "unknown field"),
    ("anthropic", lambda d: d["tools"].append(d["tools"][0]), "unique"),
    ("chat", lambda d: d["messages"].pop(), "without response"),
    ("chat", lambda d: d["messages"].pop(1), "response to a preceding"),
    ("chat", lambda d: d["messages"].insert(2, {"role": "user", "content": "!"}), "without response"),
    ("chat", lambda d: d["messages"][2].update(tool_call_id="t2"), "response to a preceding"),
    ("chat", lambda d: d["messages"][0].update(cache_control={}), "unknown field"),
    ("chat", lambda d: d["messages"][0].update(content=[INPUT]), "type"),
    ("chat", lambda d: d["tools"].append({"type": "web_search"}), "type"),
    ("chat", lambda d: (d.pop("tools"), d.update(tool_choice="auto")), "tool_choice"),
    ("chat", lambda d: d.update(thinking={}), "unknown field"),
    ("responses", lambda d: d["input"].pop(), "no tool output"),
    ("responses", lambda d: d["input"].pop(2), "no tool call|following"),
    ("responses", lambda d: d["input"][1].pop("encrypted_content"), "not persisted"),
    ("responses", lambda d: d["input"][2].update(id="call_1"), "begins with"),
    ("responses", lambda d: d["input"].append({"role": "assistant", "content": [INPUT]}), "type"),
    ("responses", lambda d: d.update(tools=CHAT["tools"]), "name"),
    ("responses", lambda d: d["tools"][0].update(strict=True), "strict"),
    ("responses", lambda d: d.update(max_output_tokens=1), "at least"),
    ("gemini", lambda d: d["contents"].pop(), "no response"),
    ("gemini", lambda d: d["contents"].pop(1), "number"),
    ("gemini", lambda d: d["contents"].pop(0), "user"),
    ("gemini", lambda d: d["contents"][1]["parts"][0].pop("thoughtSignature"), "thought_signature"),
    ("gemini", lambda d: d["contents"][0].update(role="assistant"), "role"),
    ("gemini", lambda d: d["contents"].append({"role": "user", "parts": []}), "empty"),
    (
        "gemini",
        lambda d: d["tools"][0]["functionDeclarations"][0].update(parameters=JSON_SCHEMA),
        "unknown field",
    ),
    ("gemini", lambda d: d["tools"].append({"googleSearch": {}}), "unsupported"),
    ("gemini", lambda d: d.update(generationConfig={"maxTokens": 1}), "unknown field"),
]


@pytest.mark.parametrize("dialect", SESSIONS)
def test_a_session_that_is_right_is_accepted(dialect: str) -> None:
    check, document = SESSIONS[dialect]
    check(copy.deepcopy(document))


@pytest.mark.parametrize(("dialect", "breach", "why"), BREACHES)
def test_a_breach_is_refused(dialect: str, breach: Breach, why: str) -> None:
    check, document = SESSIONS[dialect]
    broken = copy.deepcopy(document)
    breach(broken)
    with pytest.raises(Refused, match=why):
        check(broken)
