"""The request's side: what the provider was sent must mean what was recorded, at the recorded path."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from tests.contract.conformance import meaning_chat, meaning_gemini, meaning_messages, meaning_responses
from tests.contract.conformance.allowances import ALLOWANCES, Pair
from tests.contract.conformance.cases import asks_for_stream
from tests.contract.conformance.meaning import Meaning
from tests.contract.conformance.playing import Played, headers_of

# https://docs.anthropic.com/en/api/versioning: what a request that is written anew is written for.
PINNED_VERSION = "2023-06-01"
_NOTHING = "nothing"
_READERS = {
    "chat": meaning_chat.read,
    "responses": meaning_responses.read,
    "messages": meaning_messages.read,
}
# Longest text of a difference in a message.
_SHOWN = 160


def meaning_of(native: str, document: dict[str, Any], *, stream: bool) -> Meaning:
    if native == "gemini":
        return meaning_gemini.read(document, stream=stream)
    return _READERS[native](document)


def problems(played: Played) -> list[str]:
    """What is wrong with what the provider was sent."""
    case = played.case
    if len(played.upstream) != 1:
        return [f"the provider was called {len(played.upstream)} times"]
    attempt = played.upstream[0]
    if attempt.path != case.upstream_path:
        return [f"called at {attempt.path}, recorded at {case.upstream_path}"]
    sent = json.loads(attempt.body)
    recorded = dict(case.recording.request_body or {})
    found = _headers(played)
    if case.passes_through:
        return [*found, *_passed(sent, recorded)]
    left_out = played.taken.headers.get("x-headgate-left-out", "")
    stream = ":stream" in attempt.path
    pair = Pair(
        case,
        meaning_of(case.native, recorded, stream=asks_for_stream(case.recording)),
        meaning_of(case.native, sent, stream=stream),
        played.asked.unsaid,
        left_out,
    )
    for allowance in ALLOWANCES:
        allowance(pair)
    different = differences(dataclasses.asdict(pair.recorded), dataclasses.asdict(pair.sent))
    return [*found, *(f"{path}: recorded {was}, sent {now}" for path, was, now in different)]


def _headers(played: Played) -> list[str]:
    """The provider's own key where it looks for it, and Anthropic's version and betas: the client's where
    it speaks that dialect, else the pinned version."""
    case = played.case
    expected = {"authorization": f"Bearer {case.provider_key}"}
    if case.native == "gemini":
        expected = {"x-goog-api-key": case.provider_key}
    if case.native == "messages":
        expected = {"x-api-key": case.provider_key, "anthropic-beta": "", **headers_of(case)}
        if not case.passes_through:
            expected["anthropic-version"] = PINNED_VERSION
    sent = {name.lower(): value for name, value in played.upstream[0].headers}
    return [
        f"header {name}: expected {value!r}, sent {sent.get(name)!r}"
        for name, value in expected.items()
        if sent.get(name, "") != value
    ]


def _passed(sent: dict[str, Any], recorded: dict[str, Any]) -> list[str]:
    """In the client's own dialect the bytes pass; known renames and our own usage option apart."""
    for document in (sent, recorded):
        document.pop("stream_options", None)
        limit = document.pop("max_completion_tokens", None)
        if limit is not None:
            document["max_tokens"] = limit
    return [f"{path}: recorded {was}, sent {now}" for path, was, now in differences(recorded, sent)]


def differences(was: Any, now: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, recorded, sent) of each place where two documents differ."""
    if was == now:
        return
    if isinstance(was, dict) and isinstance(now, dict):
        for name in sorted(was.keys() | now.keys()):
            yield from differences(was.get(name, _NOTHING), now.get(name, _NOTHING), f"{path}.{name}")
    elif isinstance(was, (list, tuple)) and isinstance(now, (list, tuple)) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    else:
        yield path.lstrip("."), str(was)[:_SHOWN], str(now)[:_SHOWN]
