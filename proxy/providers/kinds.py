"""The kinds of provider and how each differs from plain OpenAI dialect. To add one, add a row.

Sources: the providers' API references, and the recorded traffic the tests replay:
Mistral refuses unknown fields and sends usage unasked; OpenAI's reasoning models refuse `max_tokens`;
xAI, OpenRouter, Groq, Cerebras, DeepInfra and NVIDIA take `stream_options`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_PATHS = MappingProxyType(
    {
        "chat.completions": "/chat/completions",
        "completions": "/completions",
        "embeddings": "/embeddings",
    }
)
_NO_RENAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    # Root of its API; "" where the manifest must say it.
    base_url: str = ""
    # Paths below the root, by operation.
    paths: Mapping[str, str] = field(default_factory=lambda: _PATHS)
    # It takes `stream_options: {include_usage: true}`; the others send usage unasked.
    takes_stream_options: bool = True
    # Request fields it knows under another name.
    renames: Mapping[str, str] = field(default_factory=lambda: _NO_RENAMES)
    # Only for upstream models that match; None: for all.
    renames_models: re.Pattern[str] | None = None
    # Its answers state what the call was charged, fees beside the tokens included (web searches, another
    # host's price): that is the real money, and only a price of the operator's own comes before it.
    states_cost: bool = False
    supported: bool = True


_TO_MAX_TOKENS = MappingProxyType({"max_completion_tokens": "max_tokens"})
_TO_MAX_COMPLETION_TOKENS = MappingProxyType({"max_tokens": "max_completion_tokens"})

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                "openai",
                "https://api.openai.com/v1",
                renames=_TO_MAX_COMPLETION_TOKENS,
                # https://platform.openai.com/docs/api-reference/chat/create#max_tokens
                renames_models=re.compile(r"(o\d|gpt-5|codex)"),
            ),
            Kind("groq", "https://api.groq.com/openai/v1"),
            Kind("cerebras", "https://api.cerebras.ai/v1"),
            Kind("deepinfra", "https://api.deepinfra.com/v1/openai", renames=_TO_MAX_TOKENS),
            Kind("mistral", "https://api.mistral.ai/v1", takes_stream_options=False, renames=_TO_MAX_TOKENS),
            Kind("xai", "https://api.x.ai/v1", states_cost=True),
            Kind("openrouter", "https://openrouter.ai/api/v1", states_cost=True),
            Kind("nvidia", "https://integrate.api.nvidia.com/v1", renames=_TO_MAX_TOKENS),
            Kind("openai-compatible"),
            Kind("sandbox", "http://sandbox.invalid/v1"),
            Kind("anthropic", "https://api.anthropic.com", supported=False),
            Kind("gemini", "https://generativelanguage.googleapis.com", supported=False),
        )
    }
)
