"""How an error ends a Messages stream that has begun. https://docs.anthropic.com/en/api/errors"""

from __future__ import annotations

from proxy.dialects.failures import STATUS_OF_TYPE
from proxy.dialects.sse import named_event_of


def error_event(error: dict[str, object]) -> bytes:
    """An error inside a stream that has begun; its `request_id` stands where a whole error has it, too."""
    event: dict[str, object] = {"type": "error", "error": {"type": _type_of(error), **_named(error)}}
    if "request_id" in error:
        event["request_id"] = error["request_id"]
    return named_event_of(event)


def _named(error: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in error.items() if name != "type" and value is not None}


# OpenAI's words for what Anthropic has a type for.
_TYPES = {
    "rate_limit_exceeded": "rate_limit_error",
    "insufficient_quota": "rate_limit_error",
    "invalid_api_key": "authentication_error",
    "overloaded": "overloaded_error",
    "upstream_timeout": "timeout_error",
    "model_not_found": "not_found_error",
}


def _type_of(error: dict[str, object]) -> str:
    for word in (error.get("type"), error.get("code")):
        if isinstance(word, str) and word in STATUS_OF_TYPE:
            return word
        if isinstance(word, str) and word in _TYPES:
            return _TYPES[word]
    return "api_error"
