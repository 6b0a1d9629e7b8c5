"""The SDK's side: it must parse everything without complaint, and its helper for streams must arrive at the
same answer as whoever reads event by event."""

from __future__ import annotations

from typing import Any

from tests.contract.conformance.answers import READERS, heard_documents
from tests.contract.conformance.playing import Played
from tests.contract.conformance.said import Said
from tests.contract.conformance.sdk import accumulated

# OpenAI's helpers raise these for any answer that was cut off, OpenAI's own included: exception → finish.
_UNFINISHED = {
    "LengthFinishReasonError": ("length",),
    "ContentFilterFinishReasonError": ("content_filter",),
    "RuntimeError": ("length", "content_filter"),
}
_COMPARED = ("id", "model", "text", "thinking", "refusal", "calls", "finish", "urls", "seals")


def problems(played: Played) -> list[str]:
    """Of an answer that the gateway wrote."""
    heard = played.heard
    if heard.raised is not None:
        return [f"the SDK raised {heard.raised.kind}: {heard.raised.message[:200]}"]
    found = [f"the SDK warns: {words[:300]}" for words in heard.warnings]
    if heard.whole is not None:
        return found
    if not heard.events:
        return ["the SDK found no events"]
    together = accumulated(played.case.client, played.taken)
    read = READERS[played.case.client]
    one_by_one = read(heard_documents(played))
    if together.raised is not None and one_by_one.finish in _UNFINISHED.get(together.raised.kind, ()):
        return found
    if together.raised is not None:
        return [*found, f"the SDK's helper raised {together.raised.kind}: {together.raised.message[:200]}"]
    found += [f"the SDK's helper warns: {words[:300]}" for words in together.warnings]
    return [*found, *_differences(one_by_one, read([together.whole or {}]))]


def _differences(one_by_one: Said, at_once: Said) -> list[str]:
    found: list[str] = []
    for name in _COMPARED:
        was, now = (_value(said, name) for said in (one_by_one, at_once))
        if was != now:
            found.append(f"the SDK's helper has another {name}: {str(now)[:120]}, events {str(was)[:120]}")
    return found


def _value(said: Said, name: str) -> Any:
    value = getattr(said, name)
    return sorted(value) if name in ("urls", "seals") else value
