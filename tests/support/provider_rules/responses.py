"""OpenAI's rules for the Responses API that depend on the model and on the conversation.

https://platform.openai.com/docs/api-reference/responses/create, …/docs/guides/reasoning: encrypted content
goes back unchanged, and a response that is not stored has no ids to refer to.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from tests.programs.upstream import responses_rules
from tests.programs.upstream.rules import need

_THINKS = re.compile(r"o\d|gpt-5|codex")
_ABSENT = ("stop", "seed", "n", "frequency_penalty", "presence_penalty", "logit_bias", "max_tokens")


def check(headers: Mapping[str, str], document: dict[str, Any], sealed: Collection[str] | None) -> None:
    responses_rules.check(headers, document)
    for name in _ABSENT:
        need(name not in document, f"{name}: unknown parameter")
    thinks = _THINKS.match(document["model"]) is not None
    for name in ("temperature", "top_p"):
        need(not thinks or name not in document, f"{name}: not supported with this model")
    need(thinks or not document.get("reasoning"), "reasoning: not supported with this model")
    for index, item in enumerate(document["input"]):
        if item.get("type") == "reasoning" and sealed is not None:
            given = item.get("encrypted_content")
            need(given in sealed, f"input[{index}].encrypted_content: could not be verified: {given}")
        need(item.get("type") != "item_reference", f"input[{index}]: nothing is stored")
