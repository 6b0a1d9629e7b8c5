"""A request that is refused while it comes in: raised inside a callback of the parser, answered outside."""

from __future__ import annotations

from proxy.errors import CallError


class Refused(Exception):
    """Carries the answer."""

    def __init__(self, error: CallError) -> None:
        super().__init__(str(error))
        self.error = error


def refusal_of(error: Exception) -> CallError:
    """The answer to what the parser raised.

    No local variable of the connection's callback may hold the cause: its traceback holds that callback's
    frame, and the cycle would keep the connection.
    """
    cause = error if isinstance(error, Refused) else error.__context__
    if isinstance(cause, Refused):
        return cause.error
    return CallError(400, "invalid_request_error", "The request is not valid HTTP/1.1.")
