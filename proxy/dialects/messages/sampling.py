"""temperature, top_p and top_k, which Claude's generations take more and more narrowly.

https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking#feature-compatibility,
https://docs.anthropic.com/en/docs/about-claude/models/migrating-to-claude-4
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.neutral.request import ModelRequest, Unsupported
from proxy.providers.families import Claude

SAMPLING = ("temperature", "top_p", "top_k")
# The value that holds anyway; top_k has none.
_DEFAULT = 1
# https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking
_LEAST_TOP_P_THINKING = 0.95


def write_sampling(request: ModelRequest, document: dict[str, Any], provider: str, claude: Claude) -> None:
    """After `thinking` is decided. Raises Unsupported for what this model would refuse."""
    thinking = document.get("thinking", {}).get("type") in ("enabled", "adaptive")
    given = {name: request.settings[name] for name in SAMPLING if name in request.settings}
    for name, setting in list(given.items()):
        default = name != "top_k" and setting.value == _DEFAULT
        if claude.fixed_sampling:
            if not default:
                raise Unsupported(setting.at, f"is fixed for this model at {provider}")
            del given[name]
        elif name == "temperature" and not 0 <= setting.value <= 1:
            raise Unsupported(setting.at, f"must be from 0 to 1 at {provider}")
        elif thinking:
            if default or (name == "top_p" and setting.value >= _LEAST_TOP_P_THINKING):
                if default:
                    del given[name]
            else:
                raise Unsupported(setting.at, f"cannot be set while a model of {provider} thinks")
    if claude.one_of_sampling and "temperature" in given and "top_p" in given:
        for name in ("top_p", "temperature"):
            if given[name].value == _DEFAULT:
                del given[name]
                break
        else:
            raise Unsupported(
                given["top_p"].at, f"cannot stand beside temperature at this model of {provider}"
            )
    document.update({name: setting.value for name, setting in given.items()})
