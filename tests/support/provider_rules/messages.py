"""Anthropic's rules that depend on the model and on the conversation.

https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking, …/effort, …/structured-outputs,
…/prompt-caching, and the 400s that real requests got (notes of the translation's review, facts 1b to 1f).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tests.programs.upstream import anthropic_rules
from tests.programs.upstream.rules import need, one_of

MOST_BREAKPOINTS = 4
# Thinking cannot be switched on by a budget, or not at all; tools cannot be forced; how much comes at most.
_ONLY_BUDGET = re.compile(r"claude-(3-7|(opus|sonnet|haiku)-4-[015]\b|(opus|sonnet)-4-\d{8})")
_NO_THINKING = re.compile(r"claude-3-[^7]")
_NEVER_FORCED = re.compile(r"claude-((opus|sonnet)-5-5|(fable|mythos)-5-[1-9])")
_ALWAYS_THINKS = re.compile(r"claude-((opus|sonnet)-5-5|(fable|mythos)-5)")
_THINKS_UNASKED = re.compile(r"claude-(opus|sonnet|haiku|fable|mythos)-5")
_FIXED_SAMPLING = re.compile(r"claude-(opus-4-[78]|(opus|sonnet|haiku|fable|mythos)-5)")
_MOST_TOKENS = (
    (re.compile(r"claude-3-(opus|haiku|sonnet)"), 4_096),
    (re.compile(r"claude-3-5"), 8_192),
    (re.compile(r"claude-opus-4-([01]\b|\d{8})"), 32_000),
    (re.compile(r"claude-(3-7|sonnet-4-[05]|haiku-4-5|opus-4-5)"), 64_000),
)
_EFFORTS = (
    (re.compile(r"claude-opus-4-5"), ("low", "medium", "high")),
    (re.compile(r"claude-(opus|sonnet)-4-6"), ("low", "medium", "high", "max")),
    (re.compile(r"claude-(opus-4-[78]|\w+-5)"), ("low", "medium", "high", "xhigh", "max")),
)
_NO_SCHEMA = re.compile(r"claude-(3|(opus|sonnet)-4-(0|\d{8}))")
_SCHEMA_WORDS = {
    *("type", "properties", "required", "items", "enum", "const", "anyOf", "allOf", "$ref", "$defs"),
    *("definitions", "title", "description", "default", "format", "minItems", "additionalProperties"),
}


def check(headers: Mapping[str, str], document: dict[str, Any], sealed: Collection[str] | None) -> None:
    anthropic_rules.check(headers, document)
    model = document["model"]
    _check_limits(document, model)
    _check_sampling(document, model)
    _check_thinking(document, model)
    _check_output(document, model)
    _check_breakpoints(document)
    if sealed is not None:
        for block in _blocks(document):
            if block["type"] == "thinking":
                need(block["signature"] in sealed, f"Invalid `signature` in `thinking` block: {block}")
            elif block["type"] == "redacted_thinking":
                need(block["data"] in sealed, f"Invalid `data` in `redacted_thinking` block: {block}")
    for message in document["messages"]:
        if message["role"] == "assistant":
            last = anthropic_rules.blocks(message)[-1]
            need("thinking" not in last["type"], "The final block in an assistant message cannot be thinking")


def _blocks(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for message in document["messages"]:
        yield from anthropic_rules.blocks(message)


def _check_limits(document: dict[str, Any], model: str) -> None:
    most = next((limit for pattern, limit in _MOST_TOKENS if pattern.match(model)), 128_000)
    need(document["max_tokens"] <= most, f"max_tokens: {document['max_tokens']} > {most}")
    need(document.get("service_tier", "auto") in ("auto", "standard_only"), "service_tier: unknown")


def _check_sampling(document: dict[str, Any], model: str) -> None:
    given = {name for name in ("temperature", "top_p", "top_k") if name in document}
    need(not (given and _FIXED_SAMPLING.match(model)), f"{given}: not supported by this model")
    both = {"temperature", "top_p"} <= given and not model.startswith("claude-3")
    need(not both, "`temperature` and `top_p` cannot both be specified for this model")


def _check_thinking(document: dict[str, Any], model: str) -> None:
    thinking = document.get("thinking", {})
    kind = thinking.get("type")
    forced = document.get("tool_choice", {}).get("type") in ("any", "tool")
    need(not (forced and _NEVER_FORCED.match(model)), "tool_choice: cannot be forced at this model")
    unasked = kind is None and _THINKS_UNASKED.match(model) is not None
    need(not (forced and unasked), "Thinking may not be enabled when tool_choice forces tool use")
    need(not (kind == "disabled" and _ALWAYS_THINKS.match(model)), "thinking.type.disabled: not supported")
    need(not (kind == "adaptive" and _ONLY_BUDGET.match(model)), "thinking.type.adaptive: not supported")
    need(not (kind in ("adaptive", "enabled") and _NO_THINKING.match(model)), "thinking: not supported")
    if kind == "enabled":
        need("top_k" not in document, "top_k: not allowed with thinking")
        need(0.95 <= document.get("top_p", 1) <= 1, "top_p: 0.95 to 1 with thinking")
    effort = document.get("output_config", {}).get("effort")
    if effort is not None:
        known = next((words for pattern, words in _EFFORTS if pattern.match(model)), ())
        one_of(effort, known, "output_config.effort")
        need(not (kind == "disabled" and effort in ("xhigh", "max")), "thinking.disabled: up to effort high")


def _check_output(document: dict[str, Any], model: str) -> None:
    form = document.get("output_config", {}).get("format")
    if form is None:
        return
    one_of(form.get("type"), ["json_schema"], "output_config.format.type")
    need(not _NO_SCHEMA.match(model), "output_config.format: not supported by this model")
    _check_schema(form["schema"], "output_config.format.schema")


def _check_schema(schema: Any, where: str) -> None:
    if not isinstance(schema, dict):
        return
    unknown = set(schema) - _SCHEMA_WORDS
    need(not unknown, f"{where}: {sorted(unknown)} not supported")
    need(schema.get("minItems", 0) in (0, 1), f"{where}.minItems: only 0 and 1")
    if schema.get("type") == "object" or "properties" in schema:
        need(schema.get("additionalProperties") is False, f"{where}.additionalProperties: must be false")
    for name in ("properties", "$defs", "definitions"):
        for key, below in schema.get(name, {}).items():
            _check_schema(below, f"{where}.{name}.{key}")
    for below in (*schema.get("anyOf", ()), *schema.get("allOf", ()), schema.get("items")):
        _check_schema(below, where)


def _check_breakpoints(document: dict[str, Any]) -> None:
    """At most four; those of an hour come first. Order: tools, system, messages."""
    system = document.get("system", [])
    places: list[dict[str, Any]] = [*document.get("tools", []), *(system if isinstance(system, list) else [])]
    for block in _blocks(document):
        inner = block.get("content")
        places += [*(inner if isinstance(inner, list) else []), block]
    marks = [place["cache_control"].get("ttl", "5m") for place in places if "cache_control" in place]
    need(len(marks) <= MOST_BREAKPOINTS, f"cache_control: {len(marks)} blocks, at most {MOST_BREAKPOINTS}")
    need(marks == sorted(marks), f"cache_control: ttl 1h must not come after 5m: {marks}")
    for place in places:
        empty = place.get("type") == "text" and not place.get("text") and "cache_control" in place
        need(not empty, "cache_control: cannot be set for empty text blocks")
