"""Google's rules for generateContent that depend on the model and on the conversation.

https://ai.google.dev/gemini-api/docs/thought-signatures: the first call of every step of the current turn
brings its signature back, on the part it came with. https://ai.google.dev/gemini-api/docs/thinking: budgets
up to 2.5, levels from 3 on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from tests.programs.upstream import gemini_rules
from tests.programs.upstream.rules import need, one_of

_OLD = re.compile(r"gemini-(1|2)")
_LEVELS = (
    (re.compile(r"gemini-3-pro"), ("low", "high")),
    (re.compile(r"gemini-[\d.]+-pro|gemini-3\.[78]|gemini-4-argon"), ("low", "medium", "high")),
    (re.compile(r"gemini-4-hydrogen"), ("low", "medium", "high", "xhigh")),
)


def check(
    headers: Mapping[str, str], document: dict[str, Any], model: str, sealed: Collection[str] | None
) -> None:
    """`model`: of the path; a new one if it is empty."""
    gemini_rules.check(headers, document)
    old = _OLD.match(model) is not None
    if not old:
        gemini_rules.check_signed(document)
    if sealed is not None:
        known = {*sealed, *gemini_rules.DUMMY_SIGNATURES}
        for part in _parts(document):
            given = part.get("thoughtSignature")
            need(given is None or given in known, f"Thought signature is not valid: {given}")
    config = document.get("generationConfig", {})
    thinking = config.get("thinkingConfig", {})
    need(old or "thinkingBudget" not in thinking, "thinkingBudget: not for this model")
    if "thinkingLevel" in thinking:
        need(not old, "thinkingLevel: not supported for this model")
        levels = next((words for pattern, words in _LEVELS if pattern.match(model)), None)
        one_of(thinking["thinkingLevel"], levels or ("minimal", "low", "medium", "high"), "thinkingLevel")
    as_json = config.get("responseMimeType") == "application/json"
    declared = any("functionDeclarations" in tool for tool in document.get("tools", ()))
    need(not (old and as_json and declared), "Function calling with a response mime type is unsupported")
    need(
        not ("logprobs" in config and not config.get("responseLogprobs")), "logprobs: needs responseLogprobs"
    )


def _parts(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for content in document["contents"] for part in content["parts"]]
