"""The errors' side: status, the client dialect's shape, and the provider's own words.

A refused provider key is ours to mend and not the client's (502). The SDK must raise what its users catch.
"""

from __future__ import annotations

import json
from typing import Any

from tests.contract.conformance.answers import READERS, heard_documents, recorded_documents
from tests.contract.conformance.cases import NATIVE
from tests.contract.conformance.playing import Played
from tests.support.wire import Recording

_KEY_REFUSED = (401, 402, 403)
# Anthropic's types by status; the SDKs' exceptions by status.
_TYPES = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# https://ai.google.dev/api/generate-content#FinishReason: neither an end, nor a limit, nor a refusal.
_GIVING_UP = (
    *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"),
    *("MISSING_THOUGHT_SIGNATURE", "OTHER", "IMAGE_OTHER", "NO_IMAGE", "ESCALATION"),
)
_BY_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
}
_RAISED = {
    400: "BadRequestError",
    404: "NotFoundError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}


def recorded_error(recording: Recording) -> dict[str, Any] | None:
    """The provider's error, whatever its shape, or None: `message`, and `code` where there is one."""
    if recording.status == 200:
        return _in_answer(recording)
    document = json.loads(recording.body)
    if isinstance(document, list):
        document = document[0]
    error = document.get("error", document)
    if isinstance(error, str):  # xAI
        return {"message": error, "code": document.get("code")}
    if "message" not in error:
        detail = error.get("detail")  # Mistral
        return {"message": detail if isinstance(detail, str) else None, "code": None}
    return dict(error)


def _in_answer(recording: Recording) -> dict[str, Any] | None:
    documents = recorded_documents(recording)
    for document in documents:
        choices = document.get("choices") or [{}]
        response = document.get("response") or {}
        error = document.get("error") or choices[0].get("error") or response.get("error")
        if not error and document.get("type") == "error":  # flat, as Responses document it
            error = document
        if error:
            return error if isinstance(error, dict) else {"message": str(error)}
    return _gave_up(recording, documents)


def _gave_up(recording: Recording, documents: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Gemini's answer without any content, for a reason of its own: another target may do better."""
    if NATIVE[recording.endpoint] != "gemini":
        return None
    said = READERS["gemini"](documents)
    silent = not (said.text or said.thinking or said.calls or said.seals or said.foreign)
    return {"message": said.native} if silent and said.native in _GIVING_UP else None


def begins_with_error(recording: Recording) -> bool:
    """A 200 whose first word is an error: nothing was said, so that it can still be a status."""
    if recording.status != 200 or recorded_error(recording) is None:
        return False
    said = READERS[NATIVE[recording.endpoint]](_said_of(recording))
    return not (said.text or said.thinking or said.calls or said.refusal)


def _said_of(recording: Recording) -> list[dict[str, Any]]:
    """What came before and beside the error; a whole answer with one is nothing else."""
    return recorded_documents(recording) if recording.is_stream else []


def status_of(recording: Recording) -> int:
    """What the client's status must be: a provider's 4xx is the client's, a refused key and what broke
    upstream are not."""
    status = recording.status
    if begins_with_error(recording):
        status = _status_in_answer(recorded_error(recording) or {})
    elif status == 400 and _speaks_of_our_key(recording):
        return 502
    return 502 if status in _KEY_REFUSED or status >= 500 or status == 408 else status


def _status_in_answer(error: dict[str, Any]) -> int:
    """A number, or the type that stands for one."""
    for number in (error.get("status_code"), error.get("code")):
        if isinstance(number, int) and number >= 400:
            return number
    if error.get("code") == "rate_limit_exceeded":
        return 429
    return _BY_TYPE.get(str(error.get("type")), 502)


def _speaks_of_our_key(recording: Recording) -> bool:
    """Gemini and xAI say 400 to a bad key."""
    words = recording.body.decode()
    return "API_KEY_INVALID" in words or "Incorrect API key" in words


def problems(played: Played) -> list[str]:
    """Of an answer that is not a 200, or that ends with an error."""
    recording = played.case.recording
    expected = status_of(recording)
    if played.taken.status != expected:
        return [f"status {played.taken.status}, expected {expected}"]
    raised = played.heard.raised
    error = recorded_error(recording) or {}
    words = str(error.get("message") or "")
    if raised is None:
        # OpenAI's SDK hands over what Responses call an error, and raises nothing.
        own = played.case.passes_through and any(words in str(event) for event in played.heard.events)
        return [] if own else ["the SDK raised nothing"]
    if expected == 200:
        return [] if words in raised.message else [f"raised {raised.message!r}, recorded {words!r}"]
    found = [] if raised.status == expected else [f"raised with status {raised.status}"]
    if expected in _RAISED and raised.kind != _RAISED[expected]:
        found.append(f"raised {raised.kind}")
    shown = json.loads(played.taken.body)
    found += _shape(played, shown, expected)
    message, code = shown["error"].get("message"), shown["error"].get("code")
    if expected != 502:
        found += [] if words in ("", message) else [f"message {message!r}, recorded {words!r}"]
    elif recording.status < 500 and not begins_with_error(recording):
        found += [] if code == "provider_key_rejected" else [f"code {code!r} for a refused key"]
    elif words not in str(message):
        found.append(f"message {message!r}, recorded {words!r}")
    wait = recording.headers.get("retry-after", "")
    if expected == 429 and wait.isdigit() and played.taken.headers.get("retry-after") != wait:
        found.append(f"retry-after {played.taken.headers.get('retry-after')!r}, recorded {wait!r}")
    return found


def _shape(played: Played, shown: dict[str, Any], status: int) -> list[str]:
    error = shown.get("error")
    if not isinstance(error, dict):
        return [f"the body is {shown}"]
    request_id = played.request_id
    if played.case.client != "messages":
        lacking = {"message", "type", "code", "param"} - error.keys()
        return [f"the error lacks {sorted(lacking)}"] if lacking else []
    found = []
    if shown.get("type") != "error" or not shown.get("request_id"):
        found.append(f"not an Anthropic error: {sorted(shown)}")
    if error.get("type") != _TYPES.get(status, error.get("type")):
        found.append(f"type {error.get('type')!r} with status {status}")
    if played.taken.headers.get("request-id") != request_id:
        found.append("no request-id")
    return found


def said_before(played: Played) -> list[str]:
    """What was said before a stream's error must have reached the client."""
    case = played.case
    was = READERS[case.native](recorded_documents(case.recording))
    got = READERS[case.client](heard_documents(played))
    pairs = (("text", was.text, got.text), ("thinking", was.thinking, got.thinking))
    return [f"{name} before the error: recorded {a!r}, got {b!r}" for name, a, b in pairs if a != b]
