"""A stream's server-sent events, in order, each with what it serves.

Pure: from an `Answer` and a behaviour to a list of `Event`. Pauses, cuts and framing are delivery's.
The usage traps are here: `usage: null` in every chunk, usage beside choices, x_groq, none at all.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.provider.answer import Answer, Choice, ToolCall
from tests.support.provider.behaviour import Behaviour
from tests.support.provider.documents import (
    CREATED_UNIX_SECONDS,
    FINGERPRINT,
    in_body_error,
    logprobs_of,
    usage_document,
)
from tests.support.provider.tokens import split_tokens

EventKind = Literal["role", "content", "reasoning", "tool", "finish", "usage", "error", "done"]


@dataclass(frozen=True, slots=True)
class Event:
    kind: EventKind
    data: bytes
    output_tokens: int = 0
    reasoning_tokens: int = 0
    has_usage: bool = False


def stream_events(answer: Answer, behaviour: Behaviour, *, include_usage: bool) -> list[Event]:
    events = _Frames(answer, behaviour, include_usage).events()
    if behaviour.malformed_event_at is not None:
        position = min(behaviour.malformed_event_at, len(events) - 1)
        broken = b'data: {"id":"chatcmpl-fake","choices":[{"index":0,"delta":{"content":"' + b"\xff\xfe"
        events[position] = Event("content", broken + _newline(behaviour) * 2)
    if behaviour.error_event is not None:
        data = json.dumps(in_body_error(behaviour.error_event, answer.model), separators=(",", ":"))
        name = "event: error" + behaviour.newline if behaviour.error_event.form == "groq" else ""
        error = Event("error", f"{name}data: {data}".encode() + _newline(behaviour) * 2)
        done = [event for event in events if event.kind == "done"]
        ends_with_done = behaviour.error_event.form.startswith("openrouter")
        events = [*events[: behaviour.error_event.after_events], error, *(done if ends_with_done else [])]
    return events


def _newline(behaviour: Behaviour) -> bytes:
    return behaviour.newline.encode()


class _Frames:
    def __init__(self, answer: Answer, behaviour: Behaviour, include_usage: bool) -> None:
        self._answer = answer
        self._behaviour = behaviour
        self._include_usage = include_usage
        place = behaviour.usage_place
        # OpenAI says `usage: null` in every chunk once the usage chunk was asked for.
        self._null_usage = include_usage and place == "own_chunk"
        self._own_chunk = (include_usage and place in ("own_chunk", "x_groq")) or place == "own_chunk_unasked"

    def events(self) -> list[Event]:
        events = [event for choice in self._answer.choices for event in self._choice(choice)]
        if self._behaviour.finish:
            events += self._finish()
        if self._behaviour.done:
            events.append(Event("done", b"data: [DONE]" + _newline(self._behaviour) * 2))
        return events

    def _choice(self, choice: Choice) -> list[Event]:
        events: list[Event] = []
        if not self._answer.legacy:
            extra = {"x_groq": {"id": "req_fake"}} if self._behaviour.usage_place == "x_groq" else {}
            delta = {"role": "assistant", "content": None if choice.tool_calls else "", "refusal": None}
            events.append(self._chunk("role", [self._delta(choice, delta)], **extra))
        for piece in choice.reasoning:
            delta = {self._behaviour.reasoning_field: piece}
            event = self._chunk("reasoning", [self._delta(choice, delta)])
            events.append(Event("reasoning", event.data, output_tokens=1, reasoning_tokens=1))
        for position, call in enumerate(choice.tool_calls):
            events += self._tool_call(choice, position, call)
        if choice.refusal:
            event = self._chunk("content", [self._delta(choice, {"refusal": choice.refusal})])
            events.append(Event("content", event.data, output_tokens=len(split_tokens(choice.refusal))))
        for group in _groups(choice.pieces, self._behaviour.chunks):
            delta = {"content": "".join(group)}
            event = self._chunk("content", [self._delta(choice, delta, logprobs_of(group, self._answer))])
            events.append(Event("content", event.data, output_tokens=len(group)))
        return events

    def _tool_call(self, choice: Choice, position: int, call: ToolCall) -> list[Event]:
        start = {
            "index": position,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        events = [self._chunk("tool", [self._delta(choice, {"tool_calls": [start]})])]
        for piece in split_tokens(call.arguments):
            part = {"index": position, "function": {"arguments": piece}}
            event = self._chunk("tool", [self._delta(choice, {"tool_calls": [part]})])
            events.append(Event("tool", event.data, output_tokens=1))
        return events

    def _finish(self) -> list[Event]:
        usage = usage_document(self._answer.usage, self._behaviour)
        place = self._behaviour.usage_place
        events = []
        for choice in self._answer.choices:
            last = choice is self._answer.choices[-1]
            extra: dict[str, Any] = {}
            if last and place == "finish_chunk":
                extra = {"usage": usage}
            elif last and place == "x_groq":
                extra = {"x_groq": {"id": "req_fake", "usage": usage}}
            body = self._delta(choice, {}, finish_reason=choice.finish_reason)
            event = self._chunk("finish", [body], **extra)
            events.append(Event("finish", event.data, has_usage=bool(extra)))
        if place == "chunk_with_choices":
            choice = self._answer.choices[-1]
            body = self._delta(
                choice, {"role": "assistant", "content": ""}, finish_reason=choice.finish_reason
            )
            events.append(Event("usage", self._chunk("usage", [body], usage=usage).data, has_usage=True))
        elif self._own_chunk:
            events.append(Event("usage", self._chunk("usage", [], usage=usage).data, has_usage=True))
        return events

    def _delta(
        self,
        choice: Choice,
        delta: dict[str, Any],
        logprobs: dict[str, Any] | None = None,
        finish_reason: str | None = None,
    ) -> dict[str, Any]:
        tail = {"logprobs": logprobs, "finish_reason": finish_reason}
        if self._answer.legacy:
            return {"index": choice.index, "text": delta.get("content") or "", **tail}
        return {"index": choice.index, "delta": delta, **tail}

    def _chunk(self, kind: EventKind, choices: list[dict[str, Any]], **extra: Any) -> Event:
        document: dict[str, Any] = {
            "id": self._answer.id,
            "object": "text_completion" if self._answer.legacy else "chat.completion.chunk",
            "created": CREATED_UNIX_SECONDS,
            "model": self._answer.model,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
        }
        if self._null_usage:
            document["usage"] = None
        if self._behaviour.pad_bytes and kind == "content":
            document["padding"] = "x" * self._behaviour.pad_bytes
        text = json.dumps({**document, **extra}, separators=(",", ":"), ensure_ascii=False)
        return Event(kind, f"data: {text}".encode() + _newline(self._behaviour) * 2)


def _groups(pieces: tuple[str, ...], count: int | None) -> list[tuple[str, ...]]:
    """The tokens in `count` chunks as even as possible; more chunks than tokens repeats empty ones."""
    if count is None:
        return [(piece,) for piece in pieces]
    bounds = [len(pieces) * position // count for position in range(count + 1)]
    return [pieces[start:end] for start, end in itertools.pairwise(bounds)]
