"""The answer's side: what the client got, as its SDK understood it, must say what the provider said."""

from __future__ import annotations

import re
from typing import Any

from tests.contract.conformance import said_chat, said_gemini, said_messages, said_responses, sse
from tests.contract.conformance.cases import Case
from tests.contract.conformance.playing import Played
from tests.contract.conformance.said import Call, Said, contains, holds
from tests.support.wire import Recording

READERS = {
    "chat": said_chat.read,
    "responses": said_responses.read,
    "messages": said_messages.read,
    "gemini": said_gemini.read,
}
# Why an answer ended, in the words that each dialect has. What a word hides is told beside it.
_FINISH: dict[str, dict[str, str]] = {
    "chat": {
        "stop_sequence": "stop",
        "refusal": "content_filter",
        "pause": "stop",
        "context": "length",
        "malformed": "stop",
    },
    "responses": {"stop_sequence": "stop", "pause": "stop", "context": "length", "malformed": "stop"},
    "messages": {"content_filter": "refusal", "malformed": "stop"},
}
# The mark of a seal that another maker made: `headgate.MAKER[~ID].`
_MARK = re.compile(r"headgate\.([a-z]+)[\w-]*(~[\w:-]+)?\.")
# Who made what is sealed, by the recorded dialect and provider; OpenRouter's chat names it entry by entry.
_MAKERS = {"messages": "anthropic", "gemini": "gemini", "responses": "openai"}
_SHOWN = 200


def recorded_documents(recording: Recording) -> list[dict[str, Any]]:
    return sse.documents(recording.body) if recording.is_stream else [recording.document]


def recorded_answer(case: Case) -> Said:
    return READERS[case.native](recorded_documents(case.recording))


def heard_documents(played: Played) -> list[dict[str, Any]]:
    """What the SDK handed over; an error inside a stream it raised instead."""
    heard = played.heard
    return heard.events if heard.whole is None else [heard.whole]


def problems(played: Played) -> list[str]:
    """What is wrong with the answer that the client got."""
    case = played.case
    if case.passes_through:
        return passed(played)
    expected = recorded_answer(case)
    documents = heard_documents(played)
    return [*differences(case, expected, READERS[case.client](documents)), *missing(expected, documents)]


def passed(played: Played) -> list[str]:
    """In the client's own dialect the very bytes come through (a usage chunk that nobody asked for apart)."""
    recording = played.case.recording
    got, was = played.taken.body, recording.body
    if recording.is_stream and played.case.client == "chat":
        options = (recording.request_body or {}).get("stream_options") or {}
        if not options.get("include_usage"):
            got, was = _without_usage(got), _without_usage(was)
    if got == was:
        return []
    return [f"{len(got)} bytes, recorded {len(was)}"]


def _without_usage(body: bytes) -> bytes:
    """Without events that hold usage and no choices."""
    kept = [
        event.data
        for event in sse.events(body)
        if event.data == "[DONE]" or event.document.get("choices") or not event.document.get("usage")
    ]
    return "\n".join(kept).encode()


def differences(case: Case, expected: Said, got: Said) -> list[str]:
    client = case.client
    pairs: list[tuple[str, Any, Any]] = [
        ("text", expected.text, got.text),
        ("thinking", _words(expected.thinking), _words(got.thinking)),
        ("calls", _without_ids(expected.calls, client), _without_ids(got.calls, client)),
        ("urls", sorted(expected.urls), sorted(got.urls)),
        ("seals", sorted(expected.seals), sorted(_unmarked(got.seals))),
        ("model", expected.model, got.model),
    ]
    if client == "messages":  # has no refusals beside the text, and no log probabilities
        pairs[0] = ("text", expected.text + expected.refusal, got.text)
    else:
        pairs += [
            ("refusal", expected.refusal, got.refusal),
            ("logprobs", _rounded(expected.logprobs), _rounded(got.logprobs)),
        ]
    if expected.error is None:
        finish = _FINISH[client].get(expected.finish, expected.finish)
        if client == "responses" and expected.finish == "refusal" and not expected.refusal:
            finish = "content_filter"
        pairs += [
            ("finish", finish, got.finish),
            ("stop sequence", expected.stop_sequence, got.stop_sequence),
        ]
    if "chat" not in (client, case.native):
        pairs.append(("order", expected.order, got.order))
    found = [f"{name}: recorded {_short(was)}, got {_short(now)}" for name, was, now in pairs if was != now]
    return [*found, *_ids(expected.calls, got.calls), *_marks(case, got.seals)]


def _marks(case: Case, seals: list[str]) -> list[str]:
    """Only its maker can read a seal, so it must be named."""
    provider = case.recording.provider
    own = case.native == "responses" and provider != "openai"
    maker = provider if own else _MAKERS.get(case.native)
    marks = [mark[1] for seal in seals if (mark := _MARK.match(seal)) is not None]
    wrong = [mark for mark in marks if mark not in (maker, "none")]
    return [f"sealed as {wrong[0]}'s, made by {maker}"] if maker and wrong else []


def _without_ids(calls: list[Call], client: str) -> list[tuple[str, Any]]:
    """Messages want an object: what a model wrote instead stands in one, as `arguments`."""
    found: list[tuple[str, Any]] = []
    for call in calls:
        odd = client == "messages" and not isinstance(call.arguments, dict)
        found.append((call.name, {"arguments": call.arguments} if odd else call.arguments))
    return found


def _ids(expected: list[Call], got: list[Call]) -> list[str]:
    """As recorded; where the provider gave none, each call has one of its own."""
    found = [
        f"id of call {index}: recorded {was.id!r}, got {now.id!r}"
        for index, (was, now) in enumerate(zip(expected, got, strict=False))
        if was.id and was.id != now.id
    ]
    ids = [call.id for call in got]
    return found if all(ids) and len(set(ids)) == len(ids) else [*found, f"ids of calls: {ids}"]


def missing(expected: Said, documents: list[dict[str, Any]]) -> list[str]:
    """Content without a counterpart must stand in `provider_content`, or somewhere in its own form."""
    return [f"missing: {_short(one)}" for one in expected.foreign if not holds(documents, one)]


def _rounded(logprobs: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """OpenAI's finished items have six digits, its deltas all of them."""
    return [(token, round(value, 3) + 0.0) for token, value in logprobs]


def _words(text: str) -> str:
    """Pieces of reasoning are put together with blank lines, or without."""
    return re.sub(r"\s+", "", text)


def _unmarked(seals: list[str]) -> list[str]:
    """Without the mark of their maker; unsigned thinking is sealed with a mark alone."""
    found = [_MARK.sub("", seal, count=1) for seal in seals]
    return [seal for seal in found if seal]


def _short(value: Any) -> str:
    words = str(value)
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}… ({len(words)})"


__all__ = ["contains", "differences", "problems", "recorded_answer"]
