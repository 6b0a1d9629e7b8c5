"""The kinds of provider: where they are, which dialects they speak, and how each differs from plain OpenAI
dialect. To add one, add a row.

Sources: the providers' API references, and the recorded traffic the tests replay:
Mistral refuses unknown fields and sends usage unasked; OpenAI's reasoning models refuse `max_tokens`;
xAI, OpenRouter, Groq, Cerebras, DeepInfra and NVIDIA take `stream_options`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.providers import manners
from proxy.providers.manners import ChatManners

# Operations of the chat dialect that every such provider has.
_CHAT = MappingProxyType(
    {
        "chat.completions": "/chat/completions",
        "completions": "/completions",
        "embeddings": "/embeddings",
    }
)
_RESPONSES = {"responses": "/responses"}
_AUDIO = {
    "audio.speech": "/audio/speech",
    "audio.transcriptions": "/audio/transcriptions",
    "audio.translations": "/audio/translations",
}
_IMAGES = {
    "images.generations": "/images/generations",
    "images.edits": "/images/edits",
    "images.variations": "/images/variations",
}
_MODERATIONS = {"moderations": "/moderations"}
_STATE = {
    "responses.input_tokens": "/responses/input_tokens",
    "responses.compact": "/responses/compact",
}
_MESSAGES = {"messages": "/messages", "messages.count_tokens": "/messages/count_tokens"}
# `{model}` is the upstream model.
_GEMINI = {
    "gemini": "/models/{model}:generateContent",
    "gemini.stream": "/models/{model}:streamGenerateContent?alt=sse",
    "gemini.embeddings": "/models/{model}:batchEmbedContents",
    "gemini.count_tokens": "/models/{model}:countTokens",
    # Its OpenAI-dialect door: https://ai.google.dev/gemini-api/docs/openai
    "chat.completions": "/openai/chat/completions",
    "embeddings": "/openai/embeddings",
}
_NO_RENAMES: Mapping[str, str] = MappingProxyType({})


def _paths(*more: Mapping[str, str]) -> Mapping[str, str]:
    found = dict(_CHAT)
    for paths in more:
        found.update(paths)
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    # Root of its API; "" where the manifest must say it.
    base_url: str = ""
    # What its paths begin with, unless the base URL ends with something like it already.
    version: str = ""
    # Dialects it speaks, the usual one first. A client's own comes first where it is among them.
    dialects: tuple[str, ...] = ("chat",)
    # Paths below the root, by operation.
    paths: Mapping[str, str] = field(default_factory=lambda: _CHAT)
    # The header for the key, and what stands before it.
    key_header: tuple[str, str] = ("authorization", "Bearer ")
    # It takes `stream_options: {include_usage: true}`; the others send usage unasked.
    takes_stream_options: bool = True
    # Request fields it knows under another name.
    renames: Mapping[str, str] = field(default_factory=lambda: _NO_RENAMES)
    # Only for upstream models that match; None: for all.
    renames_models: re.Pattern[str] | None = None
    # Its answers state what the call was charged, fees beside the tokens included (web searches, another
    # host's price): that is the real money, and only a price of the operator's own comes before it.
    states_cost: bool = False
    # Whose reasoning its Responses API gives and reads, encrypted.
    maker: str = "openai"
    # For requests that are written anew for it.
    manners: ChatManners = manners.PLAIN
    # Models that only its Responses API offers; those that call functions only there.
    # https://platform.openai.com/docs/models. Chat completions answer for GPT-5.4 and later: `Function tools
    # with reasoning_effort are not supported`.
    by_responses: re.Pattern[str] | None = None
    tools_by_responses: re.Pattern[str] | None = None
    # Keeps answers, so that `previous_response_id` means something to it.
    keeps_state: bool = False


_TO_MAX_TOKENS = MappingProxyType({"max_completion_tokens": "max_tokens"})
_TO_MAX_COMPLETION_TOKENS = MappingProxyType({"max_tokens": "max_completion_tokens"})

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                "openai",
                "https://api.openai.com/v1",
                dialects=("chat", "responses"),
                paths=_paths(_RESPONSES, _STATE, _MODERATIONS, _IMAGES, _AUDIO),
                renames=_TO_MAX_COMPLETION_TOKENS,
                # https://platform.openai.com/docs/api-reference/chat/create#max_tokens
                renames_models=re.compile(r"(o\d|gpt-5|codex)"),
                manners=manners.OPENAI,
                by_responses=re.compile(r"codex|o[13]-pro|gpt-5[\w.]*-pro|deep-research|computer-use"),
                tools_by_responses=re.compile(r"gpt-(5\.([4-9]|\d\d)|[6-9])"),
                keeps_state=True,
            ),
            Kind("groq", "https://api.groq.com/openai/v1", paths=_paths(_AUDIO), manners=manners.GROQ),
            Kind("cerebras", "https://api.cerebras.ai/v1", manners=manners.CEREBRAS),
            Kind(
                "deepinfra",
                "https://api.deepinfra.com/v1/openai",
                paths=_paths(_IMAGES, _AUDIO),
                renames=_TO_MAX_TOKENS,
                manners=manners.DEEPINFRA,
            ),
            Kind(
                "mistral",
                "https://api.mistral.ai/v1",
                paths=_paths(_MODERATIONS, {"audio.transcriptions": _AUDIO["audio.transcriptions"]}),
                takes_stream_options=False,
                renames=_TO_MAX_TOKENS,
                manners=manners.MISTRAL,
            ),
            Kind(
                "xai",
                "https://api.x.ai/v1",
                dialects=("chat", "responses"),
                paths=_paths(_RESPONSES, {"images.generations": _IMAGES["images.generations"]}),
                states_cost=True,
                maker="xai",
                manners=manners.XAI,
                keeps_state=True,
            ),
            Kind(
                "openrouter",
                "https://openrouter.ai/api/v1",
                dialects=("chat", "responses"),
                paths=_paths(_RESPONSES, _MESSAGES),
                states_cost=True,
                maker="openrouter",
                manners=manners.OPENROUTER,
            ),
            Kind(
                "nvidia",
                "https://integrate.api.nvidia.com/v1",
                renames=_TO_MAX_TOKENS,
                manners=manners.NVIDIA,
            ),
            Kind(
                "openai-compatible",
                # What a server does not have, it answers with its own 404.
                paths=_paths(_RESPONSES, _STATE, _MESSAGES, _MODERATIONS, _IMAGES, _AUDIO),
                manners=manners.COMPATIBLE,
                keeps_state=True,
            ),
            Kind("sandbox", "http://sandbox.invalid/v1"),
            Kind(
                "anthropic",
                "https://api.anthropic.com",
                version="/v1",
                dialects=("messages",),
                paths=MappingProxyType(_MESSAGES),
                key_header=("x-api-key", ""),
            ),
            Kind(
                "gemini",
                "https://generativelanguage.googleapis.com",
                version="/v1beta",
                dialects=("gemini",),
                paths=MappingProxyType(_GEMINI),
                key_header=("x-goog-api-key", ""),
            ),
        )
    }
)
