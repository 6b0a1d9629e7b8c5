"""The usage record of one attempt (P4), written in two halves that concatenate to one message.

Protobuf merges concatenated messages, so the intent is the ids and the account's constant part, and the
final is the intent plus what the attempt was worth.
"""

from __future__ import annotations

from headgate.v1 import usage_pb2
from proxy.usage.spool import FINAL, INTENT, SCORE, Spool

# `id` (field 1) and `request_id` (field 2): tag and length of 16 bytes.
_ID_TAG = b"\x0a\x10"
_REQUEST_ID_TAG = b"\x12\x10"


class Recorder:
    """Writes intents and finals into the worker's spool."""

    __slots__ = ("_append",)

    def __init__(self, spool: Spool) -> None:
        self._append = spool.append

    def intent(self, attempt_id: bytes, request_id: bytes, account_record: bytes) -> bytes:
        """Spools the intent. Returns it: the final begins with it. Raises SpoolFull."""
        payload = _ID_TAG + attempt_id + _REQUEST_ID_TAG + request_id + account_record
        self._append(INTENT, payload)
        return payload

    def final(self, payload: bytes) -> None:
        """Raises SpoolFull."""
        self._append(FINAL, payload)

    def score(self, payload: bytes) -> None:
        """A serialised ScoreRecord. Raises SpoolFull."""
        self._append(SCORE, payload)


def unknown_from(intent: bytes) -> bytes:
    """The final record of an attempt whose proxy died under way (F8): the same bytes every time."""
    rest = usage_pb2.UsageRecord(
        outcome=usage_pb2.OUTCOME_UNKNOWN,
        reason=usage_pb2.REASON_PROXY_RESTART,
        final=True,
        estimated=True,
    )
    return intent + rest.SerializeToString()
