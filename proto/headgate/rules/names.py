"""Names: what a resource may be called, and in which order kinds depend on each other.

A tenant's own resource comes before a shared one of the same name (tenant "*").
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

DEFAULT_TENANT = "default"
SHARED_TENANT = "*"

# In the order in which they can be applied: a kind refers only to earlier ones (and to itself).
KINDS = (
    "tenant",
    "provider",
    "model",
    "prompt",
    "transform",
    "guard",
    "experiment",
    "route",
    "key",
    "limit",
)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def plural(kind: str) -> str:
    return "proxies" if kind == "proxy" else f"{kind}s"


def singular(kind_or_plural: str) -> str | None:
    """The kind that a user means by `routes` or `route`; None if there is none."""
    for kind in (*KINDS, "proxy", "token"):
        if kind_or_plural in (kind, plural(kind)):
            return kind
    return None


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def name_problem(text: str) -> str | None:
    """Why `text` cannot be a name, or None."""
    if is_name(text):
        return None
    if not text:
        return "a name is missing"
    return (
        f"{text[:80]!r} cannot be a name: lower-case letters, digits, and inside also '.', '_' and '-', "
        "at most 63 characters"
    )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing."""
    match = nearest(word, known)
    return f" (did you mean {match!r}?)" if match else ""
