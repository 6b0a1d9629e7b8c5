"""The validators refuse: one breach each, in a request that is else right.

Without these they could look away, and the tests that rely on them would prove nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import provider_rules
from tests.support.provider_rules import Refused

Document = dict[str, Any]
Breach = Callable[[Document], object]
SCHEMA: Document = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
MARK: Document = {"cache_control": {"type": "ephemeral"}}
HOUR: Document = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}

CLAUDE: Document = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 4096,
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "S"},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]},
    ],
    "tools": [{"name": "look", "input_schema": SCHEMA}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
}
GEMINI: Document = {
    "contents": [
        {"role": "user", "parts": [{"text": "?"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "S"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"output": "x"}}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "look"}]}],
}
RESPONSES: Document = {
    "model": "gpt-5",
    "store": False,
    "input": [
        {"role": "user", "content": "?"},
        {"type": "reasoning", "summary": [], "encrypted_content": "S"},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
    ],
}
CALL: Document = {"id": "abcdefgh1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CHAT: Document = {
    "model": "m",
    "messages": [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "abcdefgh1", "content": "x"},
    ],
}


def test_what_is_right_passes() -> None:
    provider_rules.check("messages", CLAUDE, sealed=["S"])
    provider_rules.check("gemini", GEMINI, sealed=["S"])
    provider_rules.check("responses", RESPONSES, sealed=["S"])
    for kind in ("mistral", "groq", "cerebras", "xai", "openrouter", "openai-compatible"):
        provider_rules.check("chat", CHAT, kind=kind)


def model(name: str, **more: Any) -> Breach:
    """Another model, without what only the first takes."""

    def change(document: Document) -> None:
        document.pop("thinking")
        document.update(model=name, **more)

    return change


CLAUDE_BREACHES: dict[str, Breach] = {
    "more tokens than the model has": lambda d: d.update(max_tokens=64_001),
    "a tier of OpenAI's": lambda d: d.update(service_tier="default"),
    "temperature and top_p": lambda d: (d.pop("thinking"), d.update(temperature=1, top_p=1)),
    "top_k while thinking": lambda d: d.update(top_k=3),
    "top_p while thinking": lambda d: d.update(top_p=0.5),
    "adaptive thinking in an old model": lambda d: d.update(thinking={"type": "adaptive"}),
    "an effort in a model without one": lambda d: d.update(output_config={"effort": "low"}),
    "sampling in a model that fixes it": model("claude-opus-4-7", top_k=1),
    "an effort that the model has not": model("claude-opus-4-6", output_config={"effort": "xhigh"}),
    "a budget in a model that decides": lambda d: d.update(model="claude-opus-4-8"),
    "a forced tool in a thinking model": model("claude-opus-5", tool_choice={"type": "any"}),
    "a forced tool where none can be": model("claude-opus-5-5", tool_choice={"type": "any"}),
    "no thinking where it always thinks": model("claude-opus-5-5", thinking={"type": "disabled"}),
    "a schema in an old model": model(
        "claude-3-5-haiku", output_config={"format": {"type": "json_schema", "schema": SCHEMA}}
    ),
    "an open schema": lambda d: d.update(
        output_config={"format": {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": True}}}
    ),
    "a schema with a minimum": lambda d: d.update(
        output_config={
            "format": {
                "type": "json_schema",
                "schema": {**SCHEMA, "properties": {"a": {"type": "number", "minimum": 1}}},
            }
        }
    ),
    "five cache marks": lambda d: d.update(
        system=[{"type": "text", "text": str(n), **MARK} for n in range(5)]
    ),
    "an hour after five minutes": lambda d: (
        d.update(system=[{"type": "text", "text": "s", **MARK}]),
        d["messages"][0]["content"][0].update(HOUR),
    ),
    "another's signature": lambda d: d["messages"][1]["content"][0].update(signature="X"),
    "calls that do not begin with thinking": lambda d: d["messages"][1]["content"].pop(0),
    "a last thought": lambda d: d["messages"].insert(
        0, {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "S"}]}
    ),
}
GEMINI_BREACHES: dict[str, Breach] = {
    "no signature on a call": lambda d: d["contents"][1]["parts"][0].pop("thoughtSignature"),
    "another's signature": lambda d: d["contents"][1]["parts"][0].update(thoughtSignature="X"),
    "a budget": lambda d: d.update(generationConfig={"thinkingConfig": {"thinkingBudget": 1}}),
    "a level nobody has": lambda d: d.update(generationConfig={"thinkingConfig": {"thinkingLevel": "max"}}),
    "logprobs without asking": lambda d: d.update(generationConfig={"logprobs": 2}),
    "a result too few": lambda d: d["contents"].pop(),
}
RESPONSES_BREACHES: dict[str, Breach] = {
    "another's reasoning": lambda d: d["input"][1].update(encrypted_content="X"),
    "a stop": lambda d: d.update(stop=["x"]),
    "a temperature in a model that thinks": lambda d: d.update(temperature=1),
    "an effort in a model that does not": lambda d: d.update(model="gpt-4.1", reasoning={"effort": "low"}),
    "a reference": lambda d: d["input"].insert(0, {"type": "item_reference", "id": "x"}),
    "too few tokens": lambda d: d.update(max_output_tokens=1),
}


def breached(document: Document, breach: Breach) -> Document:
    changed = copy.deepcopy(document)
    breach(changed)
    return changed


@pytest.mark.parametrize("name", CLAUDE_BREACHES)
def test_claude_refuses(name: str) -> None:
    with pytest.raises(Refused):
        provider_rules.check("messages", breached(CLAUDE, CLAUDE_BREACHES[name]), sealed=["S"])


@pytest.mark.parametrize("name", GEMINI_BREACHES)
def test_gemini_refuses(name: str) -> None:
    with pytest.raises(Refused):
        provider_rules.check("gemini", breached(GEMINI, GEMINI_BREACHES[name]), sealed=["S"])


def test_older_geminis_need_no_signatures_and_refuse_levels_and_json_beside_tools() -> None:
    unsigned = breached(GEMINI, GEMINI_BREACHES["no signature on a call"])
    provider_rules.check("gemini", unsigned, model="gemini-2.5-flash")
    for config in ({"thinkingConfig": {"thinkingLevel": "low"}}, {"responseMimeType": "application/json"}):
        with pytest.raises(Refused):
            provider_rules.check("gemini", {**unsigned, "generationConfig": config}, model="gemini-2.5-flash")


@pytest.mark.parametrize("name", RESPONSES_BREACHES)
def test_the_responses_api_refuses(name: str) -> None:
    with pytest.raises(Refused):
        provider_rules.check("responses", breached(RESPONSES, RESPONSES_BREACHES[name]), sealed=["S"])


@pytest.mark.parametrize(
    ("kind", "breach"),
    [
        ("mistral", lambda d: d.update(seed=1)),
        ("mistral", lambda d: d["messages"][1].update(reasoning_content="x")),
        ("mistral", lambda d: d["messages"][1].update(refusal="x")),
        ("mistral", lambda d: d["messages"][0].update(role="developer")),
        ("mistral", lambda d: d.update(reasoning_effort="low")),
        ("mistral", lambda d: d["messages"][1]["tool_calls"][0].update(id="call_123456")),
        ("groq", lambda d: d["messages"][1].update(reasoning="x")),
        ("groq", lambda d: d["messages"][1].update(reasoning_content="x")),
        ("groq", lambda d: d.update(model="openai/gpt-oss-20b", reasoning_effort="minimal")),
        ("cerebras", lambda d: d["messages"][1].update(reasoning_details=[])),
        ("xai", lambda d: d["messages"][0].update(role="developer")),
        ("openrouter", lambda d: d["messages"].pop()),
        ("openai-compatible", lambda d: d.update(messages=[])),
    ],
)
def test_chat_providers_refuse_each_by_its_manners(kind: str, breach: Breach) -> None:
    with pytest.raises(Refused):
        provider_rules.check("chat", breached(CHAT, breach), kind=kind)
