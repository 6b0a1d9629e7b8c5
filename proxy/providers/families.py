"""What is known of model families by their names, where the providers' rules differ by model.

A model that nobody knows counts as a new one of its family. What a manifest says (`capabilities`,
`max_output_tokens`) comes first; see `Target.can`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

# Models of OpenAI-dialect providers that think, and that take an effort.
THINKING = re.compile(
    r"(^|[/-])(o[1345]\b|o[1345]-|gpt-5|gpt-6|gpt-oss|codex|qwen-?3|qwq|deepseek-r|deepseek-v[34]|deepseek-reasoner"
    r"|magistral|mistral-(small|medium)(-latest|-26\d\d)?$|grok-3-mini|grok-[4-9]|glm-|kimi-k2|minimax-m|nemotron|gemini-2\.5|gemini-[3-9])",
    re.IGNORECASE,
)


# https://platform.openai.com/docs/guides/reasoning: `none` since GPT-5.1, `minimal` before, `low` at first.
_NONE = re.compile(r"gpt-(5\.\d|[6-9])|qwen", re.IGNORECASE)
_MINIMAL = re.compile(r"gpt-5", re.IGNORECASE)


@lru_cache(maxsize=1_000)
def lowest_effort(model: str) -> str:
    """The word for not thinking, or for thinking as little as this model can."""
    if _NONE.search(model):
        return "none"
    return "minimal" if _MINIMAL.search(model) else "low"


@dataclass(frozen=True, slots=True)
class Claude:
    """https://docs.anthropic.com/en/docs/about-claude/models, …/build-with-claude/effort, …/extended-thinking

    `thinking`: budget (a number of tokens), adaptive (the model decides, guided by the effort), none.
    """

    thinking: Literal["none", "budget", "adaptive"]
    efforts: tuple[str, ...]
    max_output_tokens: int
    # Structured output by `output_config.format`.
    json_schema: bool
    # It thinks unless told not to, and can be told so.
    can_be_off: bool = True
    # temperature, top_p and top_k are refused.
    fixed_sampling: bool = False
    # tool_choice any / tool is refused, always.
    free_choice_only: bool = False
    # Takes `role: system` inside messages.
    system_turns: bool = False
    # Thinks when `thinking` is left out.
    thinks_by_default: bool = False
    # Takes temperature or top_p, not both.
    one_of_sampling: bool = False
    # Continues a last message of the assistant.
    prefill: bool = False


_LOW_TO_HIGH = ("low", "medium", "high")
_WITH_MAX = (*_LOW_TO_HIGH, "max")
_ALL = (*_LOW_TO_HIGH, "xhigh", "max")

_CLAUDES: tuple[tuple[str, Claude], ...] = (
    (r"claude-(instant|2)", Claude("none", (), 4_096, json_schema=False, prefill=True)),
    (r"claude-3-(opus|sonnet|haiku)", Claude("none", (), 4_096, json_schema=False, prefill=True)),
    (r"claude-3-5|claude-3\.5", Claude("none", (), 8_192, json_schema=False, prefill=True)),
    (r"claude-3-7|claude-3\.7", Claude("budget", (), 64_000, json_schema=False, prefill=True)),
    (r"claude-opus-4([-.](0|20\d+)|$)", Claude("budget", (), 32_000, json_schema=False, prefill=True)),
    (
        r"claude-opus-4[-.]1",
        Claude("budget", (), 32_000, json_schema=True, prefill=True, one_of_sampling=True),
    ),
    (r"claude-sonnet-4([-.](0|20\d+)|$)", Claude("budget", (), 64_000, json_schema=False, prefill=True)),
    (
        r"claude-opus-4[-.]5",
        Claude("budget", _LOW_TO_HIGH, 64_000, json_schema=True, prefill=True, one_of_sampling=True),
    ),
    (
        r"claude-(sonnet|haiku)-4[-.]5",
        Claude("budget", (), 64_000, json_schema=True, prefill=True, one_of_sampling=True),
    ),
    (
        r"claude-(opus|sonnet)-4[-.]6",
        Claude("adaptive", _WITH_MAX, 128_000, json_schema=True, one_of_sampling=True),
    ),
    (r"claude-opus-4[-.]7", Claude("adaptive", _ALL, 128_000, json_schema=True, fixed_sampling=True)),
    (
        r"claude-opus-4[-.]8",
        Claude("adaptive", _ALL, 128_000, json_schema=True, fixed_sampling=True, system_turns=True),
    ),
    (
        r"claude-haiku-5",
        Claude(
            "adaptive",
            _ALL,
            128_000,
            json_schema=True,
            fixed_sampling=True,
            system_turns=True,
            thinks_by_default=True,
        ),
    ),
    (
        r"claude-(opus|sonnet)-5([-.]20|$)",
        Claude(
            "adaptive",
            _ALL,
            128_000,
            json_schema=True,
            fixed_sampling=True,
            system_turns=True,
            thinks_by_default=True,
        ),
    ),
    (
        r"claude-(fable|mythos)-5([-.]20|$)",
        Claude(
            "adaptive",
            _ALL,
            128_000,
            json_schema=True,
            can_be_off=False,
            fixed_sampling=True,
            system_turns=True,
            thinks_by_default=True,
        ),
    ),
)
_NEWEST_CLAUDE = Claude(
    "adaptive",
    _ALL,
    128_000,
    json_schema=True,
    can_be_off=False,
    fixed_sampling=True,
    free_choice_only=True,
    system_turns=True,
    thinks_by_default=True,
)


@lru_cache(maxsize=1_000)
def claude(model: str) -> Claude:
    """What this model of Anthropic's takes. Names may carry a host's prefix (anthropic/claude-…)."""
    name = model.rpartition("/")[2].lower()
    for pattern, known in _CLAUDES:
        if re.match(pattern, name):
            return known
    return _NEWEST_CLAUDE


@lru_cache(maxsize=1_000)
def thinks(model: str) -> bool:
    """Whether a model at an OpenAI-dialect provider takes a reasoning effort."""
    return THINKING.search(model) is not None


@dataclass(frozen=True, slots=True)
class Gemini:
    """https://ai.google.dev/gemini-api/docs/thinking

    `thinking`: budget (tokens, within `budgets`), level (one of `levels`), none.
    """

    thinking: Literal["none", "budget", "level"]
    levels: tuple[str, ...] = ()
    budgets: tuple[int, int] = (0, 24_576)
    can_be_off: bool = True
    # Calls must come back with their thought signatures; results may hold media.
    needs_signatures: bool = False


_GEMINIS: tuple[tuple[str, Gemini], ...] = (
    (r"gemini-(1|2\.0)|gemma", Gemini("none")),
    (r"gemini-2\.5-pro", Gemini("budget", budgets=(128, 32_768), can_be_off=False)),
    (r"gemini-2\.5-flash-lite", Gemini("budget", budgets=(512, 24_576))),
    (r"gemini-2", Gemini("budget")),
    (r"gemini-3-pro", Gemini("level", ("low", "high"), can_be_off=False, needs_signatures=True)),
    (
        r"gemini-3\.[78]-flash|gemini-4",
        Gemini("level", _LOW_TO_HIGH, can_be_off=False, needs_signatures=True),
    ),
    (r"gemini-[\d.]+-pro", Gemini("level", _LOW_TO_HIGH, can_be_off=False, needs_signatures=True)),
)
_NEWEST_GEMINI = Gemini("level", ("minimal", *_LOW_TO_HIGH), needs_signatures=True)


@lru_cache(maxsize=1_000)
def gemini(model: str) -> Gemini:
    """What this model of Google's takes."""
    name = model.rpartition("/")[2].lower()
    for pattern, known in _GEMINIS:
        if re.match(pattern, name):
            return known
    return _NEWEST_GEMINI
