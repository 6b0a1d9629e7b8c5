"""The numbers and words that dialects share, put under a provider's names for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.dialects.neutral.request import ModelRequest, Unsupported

# Without a counterpart they are left out and named in `x-headgate-left-out`: they say who asks and how the
# provider may schedule it, not what is asked.
SOFT = ("user", "service_tier")


def write_settings(
    request: ModelRequest, names: Mapping[str, str], left_out: list[str], provider: str
) -> dict[str, Any]:
    """`names`: neutral → the provider's. Raises Unsupported for what it has no name for."""
    written: dict[str, Any] = {}
    for name, setting in request.settings.items():
        wire = names.get(name)
        if wire is not None:
            written[wire] = setting.value
        elif name in SOFT:
            left_out.append(setting.at)
        else:
            raise Unsupported(setting.at, f"has no counterpart at {provider}")
    return written


def refuse_unread(request: ModelRequest, left_out: list[str], provider: str) -> None:
    """Fields that only the client's dialect knows: hints are left out and said so, others refused."""
    for item in request.foreign:
        raise Unsupported(item.at, f"{item.what} at {provider}")
    for path in request.unread:
        raise Unsupported(path, f"has no counterpart at {provider}")
    left_out += request.hints
