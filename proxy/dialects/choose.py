"""Which bridge an attempt takes: by what the client asks for and by what the target's provider speaks.

Whatever translates is imported by the first call that needs it: 60 ms once, instead of 1.6 MB and 0.1 s at
the start of every proxy, also where all sides speak one dialect.
"""

from __future__ import annotations

from proxy.config.model import Target
from proxy.dialects.asked import COUNTING, GENERATING, Asked
from proxy.dialects.bridge import Bridge, PassThrough
from proxy.dialects.neutral.request import Unsupported


def bridge_for(asked: Asked, target: Target, request_id: bytes, *, hold_end: bool) -> Bridge:
    """Raises Unsupported where this target cannot be asked this, CallError where nobody could."""
    bridge = _bridge(asked, target, request_id, hold_end=hold_end)
    kind = target.provider.kind
    if bridge.operation not in kind.paths:
        raise Unsupported(
            "model", f"leads to a provider of kind {kind.name!r}, which has no {asked.operation!r}"
        )
    return bridge


def _bridge(asked: Asked, target: Target, request_id: bytes, *, hold_end: bool) -> Bridge:
    operation = asked.operation
    own = GENERATING.get(operation)
    if own is not None:
        if own in target.dialects:
            if own == "responses":
                _check_state(asked, target)
            return PassThrough(asked, target, hold_end=hold_end)
        from proxy.dialects.translate import Translation

        dialect = _dialect(asked, target)
        return Translation(asked, target, dialect, request_id.hex(), hold_end=hold_end)
    if operation in COUNTING:
        from proxy.dialects.counting import CountTokens

        return CountTokens(asked, target)
    if operation == "embeddings" and target.dialects[0] == "gemini":
        from proxy.dialects.embedding import GeminiEmbeddings

        return GeminiEmbeddings(asked, target)
    return PassThrough(asked, target, hold_end=hold_end)


def _dialect(asked: Asked, target: Target) -> str:
    """The one to translate to: the first, but for models that call tools in another only."""
    from proxy.dialects.translate import neutral_request

    special = target.provider.kind.tools_by_responses
    if (
        special is not None
        and not target.declared_dialects
        and special.search(target.upstream_model)
        and neutral_request(asked).tools
    ):
        return "responses"
    return target.dialects[0]


def _check_state(asked: Asked, target: Target) -> None:
    """What another provider stored, and what one that stores nothing is asked for."""
    if target.provider.kind.keeps_state:
        return
    for name in ("previous_response_id", "conversation"):
        if asked.document.get(name) is not None:
            raise Unsupported(
                name,
                f"needs a provider that keeps state, which {target.provider.kind.name!r} does not; "
                "send the whole conversation instead",
            )
