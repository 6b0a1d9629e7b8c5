"""Whether a candidate can, and may, answer a request; and why not, in the words of receipts and explain."""

from __future__ import annotations

from headgate.policy.candidate import Candidate
from headgate.policy.facts import Facts


def exclusion(candidate: Candidate, facts: Facts) -> str:
    """Why the candidate is left out; "" if it is not.

    A model whose manifest declares no capabilities is believed to have them all: its provider knows better.
    """
    if candidate.disabled:
        return "disabled"
    provider = candidate.provider
    if provider.disabled:
        return "provider_disabled"
    if facts.residency and provider.region not in facts.residency:
        return "residency"
    capabilities = candidate.capabilities
    if capabilities is not None:
        for need in facts.needs:
            if need not in capabilities:
                return f"no_{need}"
    window = candidate.context_window
    if window and facts.input_tokens > window:
        return "context_window"
    return ""
