"""Why an attempt failed, as the retry rules, the usage record and the client's error need it."""

from __future__ import annotations

from dataclasses import dataclass, field

from headgate.v1 import usage_pb2


@dataclass(slots=True)
class AttemptFailed(Exception):
    """One attempt at one target did not answer.

    `retryable`: another try at the same target may help. `fatal`: the request itself is wrong, so no
    other target can help either. `status` is the provider's; 0 where there was no answer.
    """

    reason: int
    status: int = 0
    message: str = ""
    outcome: int = usage_pb2.OUTCOME_ERROR
    retryable: bool = False
    fatal: bool = False
    retry_after_seconds: float | None = None
    # The provider's error object in OpenAI form, where it sent one.
    error: dict[str, object] = field(default_factory=dict)
    # The provider refused our key: the client must not see this as its own 401.
    key_rejected: bool = False

    @property
    def against_model(self) -> bool:
        """It says something about the model's health: an error of its own, or silence."""
        return self.retryable and self.status != 429 and not self.key_rejected

    def __str__(self) -> str:
        return f"{reason_text(self.reason)} ({self.status})" if self.status else reason_text(self.reason)


def reason_text(reason: int) -> str:
    """`rate_limited`; the names of the enum in usage.proto."""
    return usage_pb2.Reason.Name(usage_pb2.Reason.ValueType(reason)).removeprefix("REASON_").lower()


def timed_out(reason: int, message: str) -> AttemptFailed:
    return AttemptFailed(reason, message=message, outcome=usage_pb2.OUTCOME_TIMEOUT, retryable=True)


def broken(reason: int, message: str) -> AttemptFailed:
    """The connection or what came over it was no good."""
    return AttemptFailed(reason, message=message, retryable=True)
