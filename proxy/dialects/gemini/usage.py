"""Token counts from Gemini's `usageMetadata`, by class. It repeats in streams; the last counts.

Thoughts stand beside the candidates' tokens and tool use beside the prompt's (in 119 of 119 recordings the
total is the sum of the four); cached tokens are part of the prompt's.
https://ai.google.dev/api/generate-content#UsageMetadata
"""

from __future__ import annotations

from typing import Any

from headgate.rules.money import Tokens
from proxy.dialects.counts import clamped, counted


def tokens_of(usage: dict[str, Any]) -> tuple[Tokens, bool]:
    """(counts, whether one of them had to be mended)."""
    counts, mended = counted(
        usage.get("promptTokenCount"),
        usage.get("toolUsePromptTokenCount"),
        usage.get("cachedContentTokenCount"),
        usage.get("candidatesTokenCount"),
        usage.get("thoughtsTokenCount"),
    )
    prompt, tools, cached, said, thoughts = counts
    audio_in = _audio(usage.get("promptTokensDetails") or usage.get("promptTokenDetails"))
    audio_out = _audio(usage.get("candidatesTokensDetails"))
    given, output = prompt + tools, said + thoughts
    tokens, beyond = clamped(Tokens(given, cached, 0, 0, audio_in, output, thoughts, audio_out))
    return tokens, mended or beyond or usage.get("promptTokenCount") is None


def _audio(details: object) -> int:
    found = 0
    for entry in details if isinstance(details, list) else ():
        if isinstance(entry, dict) and entry.get("modality") == "AUDIO":
            found += counted(entry.get("tokenCount"))[0][0]
    return found
