"""Usage and tier of answers that are searched instead of parsed: the same as if they were."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.dialects.large import usage_and_tier

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0}}
SAID = 'a model may say "usage": {"prompt_tokens": 1} and "service_tier": "flex"'


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize(
    ("document", "tier"),
    [
        ({"choices": [SAID], "usage": USAGE, "service_tier": "priority"}, "priority"),
        ({"service_tier": "priority", "choices": [SAID], "usage": USAGE}, "priority"),
        ({"usage": USAGE, "choices": [SAID]}, ""),
        ({"choices": [SAID], "usage": USAGE, "service_tier": None}, ""),
        ({"content": [SAID], "usage": {**USAGE, "service_tier": "batch"}}, "batch"),
        ({"output": [SAID], "usage": USAGE, "metadata": {"usage": "mine"}}, ""),
        ({"choices": [SAID]}, ""),
    ],
)
def test_what_is_found_is_what_the_document_has(
    document: dict[str, Any], tier: str, separators: tuple[str, str]
) -> None:
    body = json.dumps(document, separators=separators).encode()
    assert usage_and_tier(body) == (document.get("usage"), tier)
    assert usage_and_tier(json.dumps(document, indent=2).encode()) == (document.get("usage"), tier)
