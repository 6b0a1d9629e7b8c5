"""`POST /headgate/v1/feedback`: what a person, or the application, says of an answer.

{"request_id": "…", "score": 0.8} or {"request_id": "…", "label": "good"}; `about` names what it is about, so
that one answer can have several. Said again about the same, the last counts. It is counted wherever the
call's record is, so that any proxy can take it, also much later: up to 100 days.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import orjson

from headgate.rules.names import is_name
from headgate.v1 import usage_pb2
from proxy.config.model import Key, Snapshot
from proxy.errors import CallError, body_too_large, invalid_request, spool_is_full
from proxy.http.request import Request, require_json
from proxy.http.responses import Raw, json_response
from proxy.ids import Ids, unix_ms_of
from proxy.usage.record import Recorder
from proxy.usage.spool import SpoolFull

MAX_FEEDBACK_BYTES = 4_096
LABELS = {"good": 1.0, "neutral": 0.5, "bad": 0.0}
_FIELDS = ("request_id", "score", "label", "about")
_VERSION_7 = 7
# Of the call. Whoever makes ids up must not fill the dead letters of the control plane, which keeps calls for
# 90 days unless told otherwise; clocks of proxies differ, but not by more.
MAX_BACK_MS = 100 * 86_400_000
MAX_AHEAD_MS = 3_600_000


class Feedback:
    def __init__(
        self, authenticate: Callable[[Request], tuple[Snapshot, Key]], recorder: Recorder, ids: Ids
    ) -> None:
        self._authenticate = authenticate
        self._recorder = recorder
        self._ids = ids

    def take(self, request: Request, request_id: str) -> Raw:
        """Raises CallError that names the field."""
        _, key = self._authenticate(request)
        require_json(request)
        if len(request.body) > MAX_FEEDBACK_BYTES:
            raise body_too_large(MAX_FEEDBACK_BYTES)
        document = _document(request.body)
        new_id = self._ids.new()
        record = usage_pb2.ScoreRecord(
            id=new_id,
            request_id=_request_id(document, unix_ms_of(new_id)),
            tenant=key.tenant,
            source=usage_pb2.SCORE_SOURCE_FEEDBACK,
            name=_about(document),
            value=_value(document),
        )
        try:
            self._recorder.score(record.SerializeToString())
        except SpoolFull:
            raise spool_is_full() from None
        return json_response({"accepted": True}, request_id)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid_request("The request body is not valid JSON.") from None
    if not isinstance(document, dict):
        raise invalid_request("The request body must be a JSON object.")
    for name in document:
        if name not in _FIELDS:
            shown = str(name)[:80]
            raise invalid_request(f"Unknown field {shown!r}; known are {', '.join(_FIELDS)}.", shown)
    return document


def _request_id(document: dict[str, Any], now_ms: int) -> bytes:
    text = document.get("request_id")
    try:
        found = bytes.fromhex(text.replace("-", "")) if isinstance(text, str) else b""
    except ValueError:
        found = b""
    if len(found) != 16 or found[6] >> 4 != _VERSION_7:
        raise CallError(
            400,
            "invalid_request_error",
            "'request_id' must be the id of a call, as the header 'x-request-id' of its answer says it.",
            "request_id",
        )
    if not now_ms - MAX_BACK_MS <= unix_ms_of(found) <= now_ms + MAX_AHEAD_MS:
        raise invalid_request(
            "'request_id' is of a call more than 100 days ago, or yet to come.", "request_id"
        )
    return found


def _value(document: dict[str, Any]) -> float:
    score, label = document.get("score"), document.get("label")
    if (score is None) == (label is None):
        raise invalid_request("Send either 'score' (0 to 1) or 'label'.", "score")
    if label is not None:
        value = LABELS.get(label) if isinstance(label, str) else None
        if value is None:
            raise invalid_request(f"'label' must be one of {', '.join(LABELS)}.", "label")
        return value
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score):
        raise invalid_request("'score' must be a number from 0 to 1.", "score")
    if not 0 <= score <= 1:
        raise invalid_request("'score' must be from 0 to 1.", "score")
    return float(score)


def _about(document: dict[str, Any]) -> str:
    about = document.get("about", "")
    if about and not (isinstance(about, str) and is_name(about)):
        raise invalid_request(
            "'about' must be a name of lower-case letters, digits, '-', '_' and '.', at most 63 long.",
            "about",
        )
    return str(about)
