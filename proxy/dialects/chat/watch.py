"""A chat stream between a client and a provider that both speak this dialect: passed on as it comes.

A chunk of whole events in which nothing must be read goes through untouched: five byte searches, no
parsing. What is read: usage, finish, errors, and the first event with something in it.
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.failures import failure_in_answer
from proxy.dialects.sse import DONE, EventStream, data_of, document_of, event_of


class ChatWatch(EventStream):
    """`hide_usage`: the client did not ask for the usage chunk that we asked the provider for."""

    __slots__ = ("hide_usage",)

    def __init__(self, *, hide_usage: bool, hold_end: bool = False) -> None:
        super().__init__(hold_end=hold_end)
        self.hide_usage = hide_usage

    def feed(self, data: bytes) -> bytes:
        if (
            self.started
            and not self._carry
            and (data.endswith((b"\n\n", b"\n\r\n")))
            and b'"usage":{' not in data
            and b'"finish_reason":"' not in data
            and b'"error"' not in data
            and DONE not in data
            and b'": ' not in data  # written with spaces: take the slow way
            and not self.tail
        ):
            self.events += data.count(b"\ndata:") + 1  # a busy network joins several events in one chunk
            return data
        return super().feed(data)

    def error_event(self, error: dict[str, object]) -> bytes:
        return error_event(error)

    def _event(self, event: bytes, out: list[bytes]) -> None:
        payload = data_of(event)
        if payload is None:
            self._emit(event, out)  # a comment (heartbeat), or an event without data
            return
        if payload == DONE:
            self.done = True
            self._emit(event, out)
            return
        document = document_of(payload)
        failed_before = self.error is not None
        if self._read(document):
            self._emit(event, out)
        if self.error is not None and not failed_before and not document.get("error"):
            # OpenRouter puts it into a choice, where no SDK looks: the stream would end as if all were well.
            self._emit(error_event(self.error.error), out)

    def _read(self, document: dict[str, Any]) -> bool:
        """Takes what matters from one event; False if the client must not see it."""
        had_started = self.started
        choices = document.get("choices")
        error = document.get("error")
        usage = usage_of(document)
        if usage is not None:
            self.usage = usage
        tier = document.get("service_tier")
        if isinstance(tier, str):
            self.service_tier = tier
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            error = error or choice.get("error")
            if choice.get("finish_reason"):
                self.finished = self.started = True
            delta = choice.get("delta")
            if choice.get("text") or (
                isinstance(delta, dict) and any(value for name, value in delta.items() if name != "role")
            ):
                self.started = True
                self.events += 1
        if error:
            self._fail(failure_in_answer(error), had_started=had_started)
        return not (self.hide_usage and not choices and usage is not None and not error)


def usage_of(document: dict[str, Any]) -> dict[str, Any] | None:
    """The usage in a chunk, where it stands (Groq has a place of its own)."""
    usage = document.get("usage")
    if not usage and isinstance(document.get("x_groq"), dict):
        usage = document["x_groq"].get("usage")
    return usage if isinstance(usage, dict) else None


def error_event(error: dict[str, object]) -> bytes:
    """An error inside a stream that has begun: the SDKs raise on a truthy `error`."""
    return event_of({"error": error})
