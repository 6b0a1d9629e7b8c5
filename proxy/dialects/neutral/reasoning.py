"""Reasoning across dialects: effort in words and in tokens, and opaque reasoning that finds its way home.

What a model needs to go on thinking next turn (Anthropic's signatures, OpenAI's encrypted content, Gemini's
thought signatures) can be read by its maker only. Towards clients of another dialect it travels in their own
field for such things, marked with its maker; on the way back it goes to that maker and to nobody else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.dialects.neutral.request import Origin, Reasoning

# https://ai.google.dev/gemini-api/docs/openai#thinking – the one published table of words to tokens.
_BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 32_000, "max": 64_000}
MIN_BUDGET = 1_024
EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")

MARK = "headgate."
_NOBODY = "none"
_REDACTED = "-redacted"
_ID = re.compile(r"[\w:-]{1,128}")
# OpenRouter's names for makers, in `reasoning_details`: https://openrouter.ai/docs/use-cases/reasoning-tokens
_FORMATS: dict[Origin, str] = {
    "anthropic": "anthropic-claude-v1",
    "openai": "openai-responses-v1",
    "gemini": "google-gemini-v1",
    "xai": "xai-responses-v1",
    "": "unknown",
}
_ORIGINS: dict[str, Origin] = {name: origin for origin, name in _FORMATS.items()}
_ORIGIN = re.compile(r"[\w-]{1,64}", re.ASCII)


def format_of(origin: Origin) -> str:
    """OpenRouter's name for a maker."""
    return _FORMATS.get(origin, origin)


def origin_of(name: str) -> Origin:
    """The maker by OpenRouter's name; one that we do not know keeps it, and gets it back."""
    known = _ORIGINS.get(name)
    if known is not None:
        return known
    return name if _ORIGIN.fullmatch(name) else ""


def budget_of(reasoning: Reasoning) -> int:
    """Tokens to think with."""
    if reasoning.budget is not None:
        return reasoning.budget
    return _BUDGETS.get(reasoning.effort, _BUDGETS["medium"])


def effort_of(reasoning: Reasoning) -> str:
    """The word for it; the nearest one where only a budget was given."""
    if reasoning.effort or reasoning.budget is None:
        return reasoning.effort or "medium"
    if reasoning.budget <= _BUDGETS["low"] * 2:
        return "low"
    return "medium" if reasoning.budget <= _BUDGETS["medium"] * 2 else "high"


def at_most(effort: str, allowed: tuple[str, ...]) -> str:
    """The effort, or the strongest allowed one below it (else the weakest allowed)."""
    if effort in allowed or effort not in EFFORTS:
        return effort
    weaker = [word for word in EFFORTS[: EFFORTS.index(effort)] if word in allowed]
    return weaker[-1] if weaker else allowed[0]


@dataclass(frozen=True, slots=True)
class Carried:
    """Opaque reasoning that came back. `redacted`: nothing in it could be read; `id`: its maker's for it."""

    data: str
    origin: Origin
    redacted: bool = False
    id: str = ""


def wrapped(data: str, origin: Origin, native: Origin, *, redacted: bool = False, id: str = "") -> str:
    """Opaque reasoning as a client of dialect `native` carries it:
    `headgate.<maker>[-redacted][~<id>].<data>`, or the data alone where the client's dialect made it."""
    if origin == native and data:
        return data
    kind = _REDACTED if redacted else ""
    name = f"~{id}" if _ID.fullmatch(id) else ""
    return f"{MARK}{origin or _NOBODY}{kind}{name}.{data}"


def unwrapped(carried: str, native: Origin) -> Carried:
    """What a client of dialect `native` sent back."""
    if not carried.startswith(MARK):
        return Carried(carried, native if carried else "")
    head, _, data = carried[len(MARK) :].partition(".")
    word, _, id = head.partition("~")
    origin = word.removesuffix(_REDACTED)
    if not _ORIGIN.fullmatch(origin) or origin == _NOBODY or not data:
        return Carried("", "")
    return Carried(data, origin, word != origin, id)
