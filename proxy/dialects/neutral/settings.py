"""The numbers and words that dialects share, put under a provider's names for them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from proxy.dialects.neutral.request import ModelRequest, Unsupported

# Without a counterpart they are left out and named in `x-headgate-left-out`: they say who asks, how the
# provider may schedule it and how wordy it may be, not what is asked.
SOFT = (
    *("user", "service_tier", "verbosity"),
    *("prompt_cache_key", "prompt_cache_retention", "safety_identifier"),
)
# OpenAI refuses longer ones, and Claude Code's have 150 characters.
MAX_USER_LENGTH = 64


def write_settings(
    request: ModelRequest, names: Mapping[str, str], left_out: list[str], provider: str
) -> dict[str, Any]:
    """`names`: neutral → the provider's. Raises Unsupported for what it has no name for."""
    written: dict[str, Any] = {}
    for name, setting in request.settings.items():
        wire = names.get(name)
        if wire is not None:
            written[wire] = user_id(setting.value) if name == "user" else setting.value
        elif name in SOFT:
            left_out.append(setting.at)
        else:
            raise Unsupported(setting.at, f"has no counterpart at {provider}")
    return written


def drop_default_sampling(document: dict[str, Any]) -> None:
    """Models that think refuse sampling parameters; the values that hold anyway need not be sent."""
    for name in ("temperature", "top_p"):
        if document.get(name) == 1:
            del document[name]


def user_id(user: str) -> str:
    """The user as providers take it: a long one as its digest, which tells users apart as well."""
    if len(user) <= MAX_USER_LENGTH:
        return user
    return hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()


def refuse_unread(request: ModelRequest, left_out: list[str], provider: str) -> None:
    """Fields that only the client's dialect knows: hints are left out and said so, others refused."""
    for item in request.foreign:
        raise Unsupported(item.at, f"{item.what} at {provider}")
    for path in request.unread:
        raise Unsupported(path, f"has no counterpart at {provider}")
    left_out += request.hints
