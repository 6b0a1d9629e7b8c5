"""When no target answered: why each did not, and what the client is told of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headgate.v1 import usage_pb2
from proxy.config.model import Target
from proxy.dialects.neutral.request import Unsupported
from proxy.errors import CallError
from proxy.upstream.failure import AttemptFailed, reason_text

if TYPE_CHECKING:
    from proxy.call import Call

# Words that OpenAI has for it, where the provider gave none; other reasons are words of their own.
_CODES: dict[int, str] = {
    usage_pb2.REASON_RATE_LIMITED: "rate_limit_exceeded",
    usage_pb2.REASON_CONTEXT_LENGTH: "context_length_exceeded",
    usage_pb2.REASON_INVALID_REQUEST: "invalid_request_error",
}


# Models of which an error message says why they were left out.
MAX_NAMED = 10


def unsupported(target: Target, reason: Unsupported) -> AttemptFailed:
    """The target was passed over: it cannot do what the request asks for."""
    return AttemptFailed(
        usage_pb2.REASON_INVALID_REQUEST,
        message=f"{target.label} cannot answer this: {reason}.",
        error={"param": reason.at},
    )


def _was_passed_over(failure: AttemptFailed) -> bool:
    return failure.reason == usage_pb2.REASON_INVALID_REQUEST and failure.status == 0


def resting(seconds: float) -> AttemptFailed:
    return AttemptFailed(
        usage_pb2.REASON_KEYS_COOLING_DOWN,
        429,
        "The provider's rate limit is reached.",
        error={"code": "rate_limit_exceeded", "type": "rate_limit_error"},
        retry_after_seconds=seconds,
    )


def all_failed(call: Call, failures: list[tuple[Target, AttemptFailed]]) -> CallError:
    """What the client is told when no target answered: the last word of a provider, or 502 / 504.

    `failures`: of the attempts and of targets that were passed over, in the order of the plan.
    """
    if not failures:
        return CallError(
            400,
            "no_capable_model",
            f"No model of {call.route.name!r} can answer this request{_who_and_why(call)}.",
            "model",
            extra={"excluded": [{"model": m, "reason": r} for m, r in dict.fromkeys(call.excluded)]},
        )
    # What a provider said counts before what none was asked.
    asked = [pair for pair in failures if not _was_passed_over(pair[1])]
    target, failure = (asked or failures)[-1]
    tried = [
        {"model": t.label, "reason": reason_text(f.reason), "status": f.status or None} for t, f in failures
    ]
    headers = {"x-should-retry": "false"}
    if failure.retry_after_seconds is not None and (failure.status == 429 or failure.status >= 500):
        # Rounded up: who came earlier would be refused again.
        headers["retry-after"] = str(max(1, math.ceil(failure.retry_after_seconds)))
    if failure.key_rejected:
        return CallError(
            502,
            "provider_key_rejected",
            f"Provider {target.provider.name!r} refused the key that Headgate holds for it "
            f"({failure.status}). An administrator can replace it with 'headgate provider set-key'.",
            kind="upstream_error",
            headers=headers,
            extra={"attempts": tried},
        )
    if _was_passed_over(failure):
        # No provider was asked: the request has something that this target has no word for.
        param = str(failure.error.get("param") or "model")
        return CallError(
            400, "no_capable_model", failure.message, param, headers=headers, extra={"attempts": tried}
        )
    if 400 <= failure.status < 500:
        # The provider's own word, where it has one.
        code = failure.error.get("code") or _CODES.get(failure.reason) or reason_text(failure.reason)
        return CallError(
            failure.status,
            str(code),
            failure.message,
            kind=_kind_of(failure),
            headers=headers,
            extra={**failure.error, "type": _kind_of(failure), "code": code, "attempts": tried},
        )
    timeout = failure.outcome == usage_pb2.OUTCOME_TIMEOUT
    return CallError(
        504 if timeout else 502,
        "upstream_timeout" if timeout else "upstream_error",
        f"{target.label}: {failure.message or reason_text(failure.reason)}",
        kind="upstream_error",
        headers=headers,
        extra={"attempts": tried},
    )


def _who_and_why(call: Call) -> str:
    if not call.excluded:
        return ": its policy names none for it"
    said = [f"{model} ({reason})" for model, reason in dict.fromkeys(call.excluded)]
    more = f" and {len(said) - MAX_NAMED} more" if len(said) > MAX_NAMED else ""
    return f": {', '.join(said[:MAX_NAMED])}{more}"


def _kind_of(failure: AttemptFailed) -> str:
    """The provider's word for the kind of error; by its status where it has none."""
    word = failure.error.get("type")
    if isinstance(word, str) and word and word != "upstream_error":
        return word
    return "rate_limit_error" if failure.status == 429 else "invalid_request_error"
