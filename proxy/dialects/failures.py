"""What a provider's error means: retry, another target, or the client's own mistake.

Shapes seen in the recordings: `{"error": {…}}` (OpenAI, Groq, OpenRouter, Anthropic), `{"code", "error":
"text"}` (xAI), `{"detail": …}` (Mistral, DeepInfra, NVIDIA), `{"object": "error", "message"}` (Mistral),
`{"error": {"code": 400, "status": "…", "details": […]}}`, also as an array's only item (Gemini).
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from typing import Any

import orjson

from headgate.v1 import usage_pb2
from proxy.upstream.failure import AttemptFailed

# Longest text of a provider's that is passed on.
MAX_MESSAGE_LENGTH = 2_000
_KEY_CODES = ("invalid_api_key", "API_KEY_INVALID")
_KEY_REFUSED = re.compile(
    r"(incorrect|invalid|missing|no) api[ _]key|api[ _]key (is )?(not valid|invalid)", re.I
)
# https://docs.anthropic.com/en/api/errors: inside a stream the type is all there is.
STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
# https://cloud.google.com/apis/design/errors#handling_errors
_TYPE_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
# How providers say that the prompt does not fit.
_TOO_LONG = ("context length", "maximum context", "prompt is too long", "input token count", "context window")
# No provider's advice to wait is believed beyond this.
MAX_RETRY_AFTER_SECONDS = 3_600.0


def failure_of(status: int, headers: dict[bytes, bytes], body: bytes) -> AttemptFailed:
    """An answer that is an error, as a failure with its consequences."""
    error = error_object(body)
    message = str(error["message"])
    retry_after = retry_after_seconds(headers)
    if retry_after is None:
        retry_after = _retry_info_seconds(error)
    if status in (401, 402, 403) or (status == 400 and _speaks_of_our_key(error)):
        return AttemptFailed(usage_pb2.REASON_KEY_REJECTED, status, message, error=error, key_rejected=True)
    if status == 429:
        return AttemptFailed(
            usage_pb2.REASON_RATE_LIMITED,
            status,
            message,
            error=error,
            retryable=True,
            retry_after_seconds=retry_after,
        )
    if status == 408 or status >= 500:
        overloaded = status in (503, 529)
        return AttemptFailed(
            usage_pb2.REASON_OVERLOADED if overloaded else usage_pb2.REASON_UPSTREAM_ERROR,
            status,
            message,
            error=error,
            retryable=True,
            retry_after_seconds=retry_after,
        )
    if status == 404:
        return AttemptFailed(usage_pb2.REASON_MODEL_NOT_FOUND, status, message, error=error)
    if status >= 400:
        return AttemptFailed(_reason_of_400(error), status, message, error=error, fatal=True)
    return AttemptFailed(
        usage_pb2.REASON_PROTOCOL_ERROR, status, f"the provider answered with status {status}", retryable=True
    )


def failure_in_answer(error: Any) -> AttemptFailed:
    """An error inside a 200 (OpenRouter bodies, first events of streams)."""
    normal = _normal(error if isinstance(error, dict) else {"message": str(error)})
    code = normal.get("code")
    status = normal.get("status_code", code)
    if isinstance(status, int) and 400 <= status <= 599:
        return failure_of(status, {}, orjson.dumps({"error": normal}))
    if normal.get("code") == "rate_limit_exceeded":
        return failure_of(429, {}, orjson.dumps({"error": normal}))
    known = STATUS_OF_TYPE.get(str(normal.get("type")))
    if known is not None:
        return failure_of(known, {}, orjson.dumps({"error": normal}))
    return AttemptFailed(
        usage_pb2.REASON_STREAM_ERROR, 200, str(normal["message"]), error=normal, retryable=True
    )


def _reason_of_400(error: dict[str, object]) -> int:
    code = str(error.get("code"))
    text = str(error.get("message")).lower()
    if code == "context_length_exceeded" or any(words in text for words in _TOO_LONG):
        return usage_pb2.REASON_CONTEXT_LENGTH
    if code in ("content_filter", "content_policy_violation"):
        return usage_pb2.REASON_CONTENT_FILTER
    return usage_pb2.REASON_INVALID_REQUEST


def _speaks_of_our_key(error: dict[str, object]) -> bool:
    """A 400 that means 401 (xAI, Gemini). Not any mention: a message may quote the client's own tools."""
    code = error.get("code")
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and detail.get("reason") in _KEY_CODES:
            return True
    return code in _KEY_CODES or _KEY_REFUSED.match(str(error.get("message"))) is not None


def error_object(body: bytes) -> dict[str, object]:
    """A provider's error in OpenAI form: at least message, type, code, param; its other fields kept."""
    try:
        document = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError):
        document = None
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if not isinstance(document, dict):
        return _normal({"message": "The provider answered with an error that is not JSON."})
    error = document.get("error")
    if isinstance(error, dict):
        return _normal(error)
    if isinstance(error, str):
        return _normal({"message": error, "code": document.get("code")})
    detail = document.get("detail", document.get("message", document.get("title")))
    if isinstance(detail, dict) and isinstance(detail.get("error"), str):
        detail = detail["error"]
    if not isinstance(detail, str):
        detail = orjson.dumps(detail).decode() if detail else "The provider answered with an error."
    return _normal({"message": detail, "type": document.get("type"), "code": document.get("code")})


def _normal(error: dict[str, Any]) -> dict[str, object]:
    message = error.get("message")
    text = message if isinstance(message, str) and message else "The provider answered with an error."
    if isinstance(error.get("status"), str) and isinstance(error.get("code"), int):  # Gemini
        number = error["code"]
        kind = _TYPE_OF_STATUS.get(number, "api_error")
        error = {**error, "code": error["status"], "status_code": number, "type": kind}
    return {
        **(error if _can_be_written(error) else {}),
        "message": text[:MAX_MESSAGE_LENGTH],
        "type": error.get("type") or "upstream_error",
        "code": error.get("code"),
        "param": error.get("param"),
    }


def _can_be_written(error: dict[str, Any]) -> bool:
    """What can be read may be nested too deep to be written."""
    try:
        orjson.dumps(error)
    except TypeError:
        return False
    return True


def retry_after_seconds(headers: dict[bytes, bytes]) -> float | None:
    """`retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110, 10.2.3)."""
    try:
        if b"retry-after-ms" in headers:
            return _bounded(float(headers[b"retry-after-ms"]) / 1000)
        text = headers.get(b"retry-after")
        if text is None:
            return None
        if text.replace(b".", b"", 1).isdigit():
            return _bounded(float(text))
        return _bounded(email.utils.parsedate_to_datetime(text.decode("latin-1")).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _retry_info_seconds(error: dict[str, object]) -> float | None:
    """Gemini's `RetryInfo`: `"retryDelay": "39.5s"`."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and delay.endswith("s"):
            try:
                return _bounded(float(delay[:-1]))
            except ValueError:
                return None
    return None


def _bounded(seconds: float) -> float:
    if math.isnan(seconds):  # `float` reads it from a header, and no comparison would stop it
        raise ValueError("not a number of seconds")
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
