"""System turns where a dialect has one place for them: what leads the conversation, text alone."""

from __future__ import annotations

from proxy.dialects.neutral.request import ModelRequest, Refusal, Text, Turn, Unsupported


def only_text(turn: Turn, provider: str) -> None:
    """Raises Unsupported where a system turn holds anything else."""
    for part in turn.parts:
        if not isinstance(part, (Text, Refusal)):
            raise Unsupported(part.at, f"cannot stand in a system message at {provider}")


def reminder(text: str) -> str:
    """An instruction in the midst of a conversation, where only users and models speak there."""
    return f"<system-reminder>\n{text}\n</system-reminder>"


def leading(request: ModelRequest) -> list[Turn]:
    found = []
    for turn in request.turns:
        if turn.role not in ("system", "developer"):
            break
        found.append(turn)
    return found
