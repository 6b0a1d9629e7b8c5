"""What a call can be refused for, as data; rendered in a client's dialect in `http/responses.py`.

Foreign errors (sockets, parsers, providers) become one of these in the module that meets them.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class CallError(Exception):
    """The one error of the call path. `code` is what interface.md lists; `headers` travel with it."""

    status: int
    code: str
    message: str
    param: str | None = None
    kind: str = "invalid_request_error"
    headers: dict[str, str] = field(default_factory=dict)
    # Further fields of the error object (attempts; a provider's own fields).
    extra: dict[str, object] = field(default_factory=dict)
    # The connection cannot be used again (an unread body is on it).
    close: bool = False

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"


def invalid_request(message: str, param: str | None = None, code: str = "invalid_request_error") -> CallError:
    return CallError(400, code, message, param)


def invalid_key() -> CallError:
    # One answer for no, unknown, wrong, revoked and expired keys: it must not tell them apart.
    return CallError(
        401,
        "invalid_api_key",
        "Incorrect API key provided. Send a Headgate key (hg-…) as 'Authorization: Bearer' or 'x-api-key'.",
    )


def too_many_failed_keys(seconds: int) -> CallError:
    return CallError(
        429,
        "rate_limit_exceeded",
        "Too many requests with unknown keys from this address.",
        kind="rate_limit_error",
        headers={"retry-after": str(seconds)},
        close=True,
    )


def body_too_large(limit_bytes: int) -> CallError:
    limit = f"{limit_bytes // 2**20} MiB" if limit_bytes >= 2**20 else f"{limit_bytes // 2**10} KiB"
    return CallError(
        413,
        "request_too_large",
        f"The request body is larger than {limit}.",
        headers={"x-should-retry": "false"},
        close=True,
    )


def model_not_found(model: str) -> CallError:
    return CallError(
        404,
        "model_not_found",
        f"There is no model or route {model[:200]!r}. GET /v1/models lists what this key may call.",
        "model",
    )


def model_not_allowed(model: str) -> CallError:
    return CallError(
        403,
        "model_not_allowed",
        f"This key may not call {model[:200]!r}. GET /v1/models lists what it may call.",
        "model",
        kind="permission_error",
    )


def not_supported_yet(what: str, param: str | None = None) -> CallError:
    return CallError(400, "not_supported_yet", f"{what} is not supported yet.", param)


def unavailable(message: str, retry_after_seconds: int) -> CallError:
    return CallError(
        503,
        "unavailable",
        message,
        kind="server_error",
        headers={"retry-after": str(retry_after_seconds)},
    )


def config_is_stale(tenant: str) -> CallError:
    error = unavailable(
        f"This proxy has not heard of its control plane for longer than tenant {tenant!r} allows.", 5
    )
    error.code = "config_stale"
    return error


def spool_is_full() -> CallError:
    return unavailable("This proxy cannot record usage now: its spool is full.", 2)


def internal() -> CallError:
    return CallError(500, "internal_error", "The gateway failed to handle this request.", kind="server_error")
