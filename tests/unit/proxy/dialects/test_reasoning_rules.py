"""How much a model is to think, in each provider's own words, and never in words that its model refuses.

Tables by hand: facts 1b (Claude), 2 (Gemini), 5 (the OpenAI-dialect providers).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import provider_rules
from tests.unit.proxy.dialects.asking import (
    CHAT,
    CHAT_TOOL,
    CLAUDE,
    MESSAGES,
    QUESTION,
    RESPONSES,
    at,
    left_out,
    question,
    refused,
    written,
)

EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 32_000}
CLAUDES = (
    "claude-3-5-haiku",
    "claude-3-7-sonnet",
    "claude-sonnet-4-0",
    "claude-opus-4-1",
    "claude-opus-4-5",
    "claude-haiku-4-5",
    "claude-sonnet-4-6",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-haiku-5-5",
    "claude-fable-5",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
)
GEMINIS = (
    "gemini-2.0-flash",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-3-pro-preview",
    "gemini-3.1-pro-preview",
    "gemini-3-flash-preview",
    "gemini-3.8-flash",
    "gemini-4-argon",
)


def asked(client: str, effort: str, **fields: Any) -> dict[str, Any]:
    if client == CHAT:
        return question(CHAT, reasoning_effort=effort, **fields)
    if client == RESPONSES:
        return question(RESPONSES, reasoning={"effort": effort}, **fields)
    return question(MESSAGES, output_config={"effort": effort}, **{"max_tokens": 64_000, **fields})


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("client", [CHAT, RESPONSES])
def test_an_effort_is_a_budget_for_claudes_up_to_four_five(client: str, effort: str) -> None:
    document = written(client, asked(client, effort), CLAUDE)
    assert document["thinking"] == {"type": "enabled", "budget_tokens": BUDGETS[effort]}
    assert document["max_tokens"] > BUDGETS[effort]
    provider_rules.check("messages", document)


@pytest.mark.parametrize("effort", [*EFFORTS, "none"])
@pytest.mark.parametrize("model", CLAUDES)
def test_every_claude_takes_what_it_is_sent_for_every_effort(model: str, effort: str) -> None:
    target = at(model, "anthropic")
    if effort == "none" and model in CLAUDES[-3:]:
        assert refused(CHAT, asked(CHAT, effort), target) == "reasoning_effort"
        return
    document = written(CHAT, asked(CHAT, effort), target)
    provider_rules.check("messages", document)
    thinks = document.get("thinking", {}).get("type") in ("enabled", "adaptive")
    assert thinks == (effort != "none" and model != CLAUDES[0])
    assert left_out(CHAT, asked(CHAT, effort), target) == (
        ["reasoning_effort"] if model == CLAUDES[0] and effort != "none" else []
    )


@pytest.mark.parametrize(("most", "budget"), [(2_000, 1_999), (1_024, None), (50_000, 24_576)])
def test_a_budget_stays_below_the_limit_of_the_answer(most: int, budget: int | None) -> None:
    document = written(CHAT, asked(CHAT, "high", max_tokens=most), CLAUDE)
    assert document["max_tokens"] == most
    assert document.get("thinking", {}).get("budget_tokens") == budget


@pytest.mark.parametrize(("budget", "effort"), [(1_024, "low"), (8_192, "medium"), (30_000, "high")])
def test_a_budget_is_the_nearest_effort_elsewhere(budget: int, effort: str) -> None:
    thinking = {"type": "enabled", "budget_tokens": budget}
    request = question(MESSAGES, thinking=thinking, max_tokens=64_000)
    assert written(MESSAGES, request, at("gpt-5", "openai"))["reasoning_effort"] == effort
    by_responses = written(MESSAGES, request, at("gpt-5-pro", "openai"))
    assert by_responses["reasoning"]["effort"] == effort
    newest = written(MESSAGES, request, at("gemini-3-flash-preview", "gemini"))
    assert newest["generationConfig"]["thinkingConfig"]["thinkingLevel"] == effort
    older = written(MESSAGES, request, at("gemini-2.5-flash", "gemini"))
    assert older["generationConfig"]["thinkingConfig"]["thinkingBudget"] == min(budget, 24_576)


@pytest.mark.parametrize("effort", [*EFFORTS, "none"])
@pytest.mark.parametrize("model", GEMINIS)
def test_every_gemini_takes_what_it_is_sent_for_every_effort(model: str, effort: str) -> None:
    target = at(model, "gemini")
    can_be_off = model in ("gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-flash-lite")
    can_be_off |= model == "gemini-3-flash-preview"  # by its lowest level
    if effort == "none" and not can_be_off:
        assert refused(CHAT, asked(CHAT, effort), target) == "reasoning_effort"
        return
    document = written(CHAT, asked(CHAT, effort), target)
    provider_rules.check("gemini", document, model=model)
    thinking = document.get("generationConfig", {}).get("thinkingConfig", {})
    assert bool(thinking) == (model != "gemini-2.0-flash")
    if effort != "none" and thinking:
        assert thinking["includeThoughts"] is True


@pytest.mark.parametrize(
    ("model", "kind", "expected"),
    [
        ("gpt-5", "openai", dict(zip(EFFORTS, EFFORTS, strict=True))),
        ("openai/gpt-oss-20b", "groq", {"minimal": "low", "low": "low", "high": "high", "xhigh": "high"}),
        ("gpt-oss-120b", "cerebras", {"minimal": "low", "xhigh": "high"}),
        ("magistral-medium", "mistral", {"medium": "high", "high": "high"}),
        ("grok-3-mini", "xai", {"low": "low", "xhigh": "high"}),
        # Models that refuse the field.
        ("grok-4", "xai", {"low": None, "high": None}),
        ("qwen/qwen3-32b", "groq", {"low": None}),
        ("llama-3.3-70b", "groq", {"low": None}),
        ("gpt-4.1", "openai", {"high": None}),
    ],
)
def test_chat_providers_are_asked_in_words_that_they_know(
    model: str, kind: str, expected: dict[str, str | None]
) -> None:
    target = at(model, kind)
    for effort, word in expected.items():
        request = asked(MESSAGES, effort)
        assert written(MESSAGES, request, target).get("reasoning_effort") == word, effort
        assert left_out(MESSAGES, request, target) == ([] if word else ["output_config.effort"])


@pytest.mark.parametrize(
    ("model", "kind", "word", "said"),
    [
        ("gpt-5", "openai", "minimal", ["thinking"]),
        ("gpt-5.1", "openai", "none", []),
        ("o3", "openai", "low", ["thinking"]),
        ("openai/gpt-oss-20b", "groq", "low", ["thinking"]),
        ("grok-4", "xai", None, ["thinking"]),
        # They do not think anyway.
        ("gpt-4.1", "openai", None, []),
        ("llama-3.3-70b", "groq", None, []),
    ],
)
def test_not_thinking_is_asked_for_where_it_can_be(
    model: str, kind: str, word: str | None, said: list[str]
) -> None:
    """Claude Code asks so for its small calls: a word that the model refuses would break it."""
    request = question(MESSAGES, thinking={"type": "disabled"})
    target = at(model, kind)
    assert written(MESSAGES, request, target).get("reasoning_effort") == word
    assert left_out(MESSAGES, request, target) == said


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"output_config": {"effort": "high"}}, {"effort": "high"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 3_000}}, {"max_tokens": 3_000}),
        ({"thinking": {"type": "disabled"}}, {"enabled": False}),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, {"exclude": True}),
    ],
)
def test_openrouter_has_a_field_of_its_own(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    document = written(MESSAGES, question(MESSAGES, **fields), at("openai/gpt-5", "openrouter"))
    assert document["reasoning"] == expected
    assert "reasoning_effort" not in document


FOREIGN_CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "done"}


@pytest.mark.parametrize("more", [[], [QUESTION]])
def test_a_budgeted_claude_does_not_think_after_calls_that_it_did_not_make(more: list[Any]) -> None:
    """Its turn would have to begin with its own thinking; text after the results is in the same turn."""
    request = asked(CHAT, "high", messages=[QUESTION, FOREIGN_CALL, RESULT, *more], tools=[CHAT_TOOL])
    document = written(CHAT, request, CLAUDE)
    assert "thinking" not in document
    assert left_out(CHAT, request, CLAUDE) == ["reasoning_effort"]
    provider_rules.check("messages", document)
    adaptive = written(CHAT, request, at("claude-opus-4-6", "anthropic"))
    assert adaptive["thinking"]["type"] == "adaptive"


def test_a_budgeted_claude_thinks_again_in_the_users_next_turn() -> None:
    answered = {"role": "assistant", "content": "There."}
    messages = [QUESTION, FOREIGN_CALL, RESULT, answered, QUESTION]
    request = asked(CHAT, "high", messages=messages, tools=[CHAT_TOOL])
    assert written(CHAT, request, CLAUDE)["thinking"]["type"] == "enabled"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look"}}])
@pytest.mark.parametrize("model", CLAUDES)
def test_no_claude_thinks_while_a_tool_is_forced(model: str, choice: Any) -> None:
    target = at(model, "anthropic")
    request = asked(CHAT, "high", tools=[CHAT_TOOL], tool_choice=choice)
    if model in CLAUDES[-2:]:
        assert refused(CHAT, request, target) == "tool_choice"
        return
    if model == "claude-fable-5":
        return  # always thinks, and takes a forced tool all the same
    document = written(CHAT, request, target)
    provider_rules.check("messages", document)
    assert document.get("thinking", {}).get("type") in (None, "disabled")


@pytest.mark.parametrize("field", ["temperature", "top_k"])
def test_sampling_and_a_budget_are_refused_together(field: str) -> None:
    value = 0.5 if field == "temperature" else 5
    assert refused(CHAT, asked(CHAT, "high", **{field: value}), CLAUDE) == field


@pytest.mark.parametrize(("display", "show"), [(None, "summarized"), ("omitted", "omitted")])
def test_adaptive_claudes_show_their_thoughts_unless_told_not_to(display: str | None, show: str) -> None:
    exclude = {"reasoning": {"effort": "low", "exclude": True}} if display else {"reasoning_effort": "low"}
    document = written(CHAT, question(CHAT, **exclude), at("claude-opus-4-8", "anthropic"))
    assert document["thinking"] == {"type": "adaptive", "display": show}
    assert document["output_config"] == {"effort": "low"}


def test_a_responses_client_that_wants_summaries_gets_them_asked_for() -> None:
    request = question(RESPONSES, reasoning={"effort": "low", "summary": "auto"})
    gemini = written(RESPONSES, request, at("gemini-3-flash-preview", "gemini"))
    assert gemini["generationConfig"]["thinkingConfig"]["includeThoughts"] is True
    shown = question(MESSAGES, thinking={"type": "adaptive", "display": "summarized"})
    assert written(MESSAGES, shown, at("gpt-5-pro", "openai"))["reasoning"]["summary"] == "auto"


def test_openai_gives_its_reasoning_back_encrypted_because_nothing_is_stored() -> None:
    document = written(MESSAGES, question(MESSAGES), at("gpt-5-pro", "openai"))
    assert document["store"] is False
    assert "reasoning.encrypted_content" in document["include"]
    plain = written(MESSAGES, question(MESSAGES), at("gpt-4.1", "openai", declared_dialects=("responses",)))
    assert "include" not in plain
