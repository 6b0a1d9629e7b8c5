"""How the OpenAI-dialect providers differ when a request of another dialect is written for them.

A request that comes in this dialect is passed on as it is; see `kinds.py` for what is changed even then.
Sources: the providers' API references and the recorded traffic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

# Neutral setting → the field's name. Common to all.
_SETTINGS = MappingProxyType(
    {
        name: name
        for name in (
            *("max_tokens", "temperature", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty"),
            *("logit_bias", "logprobs", "top_logprobs", "user", "service_tier"),
        )
    }
)


def _with(**names: str) -> Mapping[str, str]:
    return MappingProxyType({**_SETTINGS, **names})


def _without(*left: str, **names: str) -> Mapping[str, str]:
    return MappingProxyType({**{k: v for k, v in _SETTINGS.items() if k not in left}, **names})


@dataclass(frozen=True, slots=True)
class ChatManners:
    settings: Mapping[str, str] = field(default_factory=lambda: _SETTINGS)
    # Knows the role `developer`; the others get `system`.
    developer: bool = False
    # Takes a JSON Schema in response_format; else it is emulated by a forced tool.
    json_schema: bool = True
    # Takes `cache_control` on parts and tools.
    cache_control: bool = False
    # How a document is sent: `file` with base64 data, `file` with a URL too, by `document_url`, not at all.
    documents: Literal["file", "file or url", "document_url", ""] = "file"
    # What ids of tool calls must look like, and how long one is that has to be made.
    call_id: re.Pattern[str] = re.compile(r"[!-~]{1,64}")
    call_id_length: int = 24
    # How reasoning is asked for, and the field in which an earlier turn's is sent back.
    effort: Literal["reasoning_effort", "reasoning"] = "reasoning_effort"
    # The words it knows for it, weakest first; models that take one, where not all that think do.
    efforts: tuple[str, ...] = ("minimal", "low", "medium", "high", "xhigh")
    effort_models: re.Pattern[str] | None = None
    # Its word for not thinking; "": the model's own lowest.
    effort_off: str = ""
    # Models that search the web by `web_search_options`.
    search_models: re.Pattern[str] | None = None
    reasoning_back: Literal["reasoning_content", "reasoning", "reasoning_details", "parts", ""] = ""
    # Passes over fields of a message that it does not know, or reads them.
    lenient: bool = False
    # Has the field `refusal` in an assistant's message.
    refusal: bool = False
    # Continues a trailing assistant message if it says `prefix`.
    prefix: bool = False


PLAIN = ChatManners(lenient=True)
OPENAI = ChatManners(
    settings=_with(
        verbosity="verbosity",
        prompt_cache_key="prompt_cache_key",
        prompt_cache_retention="prompt_cache_retention",
        safety_identifier="safety_identifier",
    ),
    developer=True,
    call_id=re.compile(r"[!-~]{1,40}"),
    search_models=re.compile(r"-search-(preview|api)"),
    refusal=True,
)
_THREE = ("low", "medium", "high")
# Groq's and Cerebras' other models that think do so without being asked, or know words of their own.
_GPT_OSS = re.compile(r"gpt-oss", re.IGNORECASE)
GROQ = ChatManners(
    settings=_without("logit_bias"),
    documents="",
    efforts=_THREE,
    effort_models=_GPT_OSS,
    reasoning_back="reasoning",
)
CEREBRAS = GROQ
DEEPINFRA = ChatManners(lenient=True, settings=_with(top_k="top_k"), reasoning_back="reasoning_content")
MISTRAL = ChatManners(
    settings=_without("logit_bias", "logprobs", "top_logprobs", "user", "service_tier", seed="random_seed"),
    documents="document_url",
    call_id=re.compile(r"[a-zA-Z0-9]{9}"),
    call_id_length=9,
    efforts=("high",),
    effort_off="none",
    reasoning_back="parts",
    prefix=True,
)
XAI = ChatManners(
    settings=_without("logit_bias", "service_tier"),
    efforts=_THREE,
    # Grok 4 thinks as it likes and answers 400 to an effort.
    effort_models=re.compile(r"grok-3-mini"),
    reasoning_back="reasoning_content",
)
OPENROUTER = ChatManners(
    lenient=True,
    settings=_without("service_tier", top_k="top_k", verbosity="verbosity"),
    cache_control=True,
    documents="file or url",
    effort="reasoning",
    reasoning_back="reasoning_details",
)
NVIDIA = ChatManners(
    lenient=True, settings=_with(top_k="top_k"), documents="", reasoning_back="reasoning_content"
)
COMPATIBLE = ChatManners(lenient=True, settings=_with(top_k="top_k"), reasoning_back="reasoning_content")
