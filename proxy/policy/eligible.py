"""Whether a target can, and may, answer a request; and why not, in words that receipts and explain show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.config.model import Target
    from proxy.policy.facts import Facts


def exclusion(target: Target, facts: Facts) -> str:
    """Why the target is left out; "" if it is not.

    A model whose manifest declares no capabilities is believed to have them all: its provider knows better.
    """
    if target.disabled:
        return "disabled"
    if target.provider.disabled:
        return "provider_disabled"
    capabilities = target.capabilities
    if capabilities is not None:
        for need in facts.needs:
            if need not in capabilities:
                return f"no_{need}"
    window = target.context_window
    if window and facts.input_tokens > window:
        return "context_window"
    return ""
