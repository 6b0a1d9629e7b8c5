"""Behaviours by name: the faults that tests script most, and each provider's own manners.

Manners are taken from the recordings (wire/README.md) or, for DeepInfra, from its documentation (synthetic).
Each takes further fields of `Behaviour`, which win over the preset.
"""

from __future__ import annotations

from typing import Any

from tests.support.provider.behaviour import Behaviour, Cut, CutKind, ErrorEvent, ErrorForm


def _with(preset: dict[str, Any], fields: dict[str, Any]) -> Behaviour:
    return Behaviour(**{**preset, **fields})


def openai(**fields: Any) -> Behaviour:
    return Behaviour(**fields)


def groq(**fields: Any) -> Behaviour:
    return _with({"usage_place": "x_groq"}, fields)


def cerebras(**fields: Any) -> Behaviour:
    return _with({"usage_place": "finish_chunk", "done": False}, fields)


def mistral(**fields: Any) -> Behaviour:
    return _with({"usage_place": "finish_chunk"}, fields)


def xai(**fields: Any) -> Behaviour:
    return _with({"usage_place": "own_chunk_unasked", "reasoning_apart": True}, fields)


def openrouter(**fields: Any) -> Behaviour:
    preset = {
        "usage_place": "chunk_with_choices",
        "usage_extra": {"cost": 0.00005025, "is_byok": False},
        "heartbeats": 2,
        "leading_whitespace": b"\n         \n",
    }
    return _with(preset, fields)


def deepinfra(**fields: Any) -> Behaviour:
    return _with({"usage_extra": {"estimated_cost": 0.0000123}}, fields)


def nvidia(**fields: Any) -> Behaviour:
    return Behaviour(**fields)


def rate_limited(retry_after: str | None = "1", **fields: Any) -> Behaviour:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return _with({"status": 429, "headers": headers}, fields)


def server_error(status: int = 503, **fields: Any) -> Behaviour:
    return _with({"status": status}, fields)


def key_rejected(status: int = 401, **fields: Any) -> Behaviour:
    return _with({"status": status}, fields)


def silence(**fields: Any) -> Behaviour:
    """Takes the request and never says a word."""
    return _with({"cut": Cut("before_headers", how="stall")}, fields)


def cut_before_headers(how: CutKind = "reset", **fields: Any) -> Behaviour:
    return _with({"cut": Cut("before_headers", how=how)}, fields)


def cut_after_events(count: int, how: CutKind = "reset", **fields: Any) -> Behaviour:
    return _with({"cut": Cut("events", count, how)}, fields)


def cut_mid_event(count: int, how: CutKind = "reset", **fields: Any) -> Behaviour:
    return _with({"cut": Cut("mid_event", count, how)}, fields)


def cut_after_bytes(count: int, how: CutKind = "reset", **fields: Any) -> Behaviour:
    return _with({"cut": Cut("body_bytes", count, how)}, fields)


def stall_after_events(count: int, stall_seconds: float | None = None, **fields: Any) -> Behaviour:
    return _with({"cut": Cut("events", count, "stall", stall_seconds)}, fields)


def garbage(raw: bytes = b"\x00\xff\x13 this is not HTTP\r\n\r\n", **fields: Any) -> Behaviour:
    return _with({"raw": raw}, fields)


def error_in_stream(form: ErrorForm = "openai", after_events: int = 1, **fields: Any) -> Behaviour:
    return _with({"error_event": ErrorEvent(form, after_events)}, fields)


def no_terminal_event(**fields: Any) -> Behaviour:
    """The stream ends cleanly as HTTP, without finish event and `[DONE]`."""
    return _with({"finish": False, "done": False}, fields)
