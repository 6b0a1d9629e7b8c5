"""Server-sent events by the standard alone (WHATWG HTML, 9.2.6), read without the product's code.

Line ends may be CRLF, LF or CR; an event without data is none; the last event needs its blank line no more
than the providers send one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """`name` is empty where the stream gave none."""

    name: str
    data: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.data)
        return found


def events(body: bytes) -> Iterator[Event]:
    """All events, `[DONE]` included."""
    name = ""
    data: list[str] = []
    text = body.decode().replace("\r\n", "\n").replace("\r", "\n")
    for line in (*text.split("\n"), ""):
        if not line:
            if data:
                yield Event(name, "\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)


def documents(body: bytes) -> list[dict[str, Any]]:
    """The JSON of every event."""
    return [event.document for event in events(body) if event.data != "[DONE]"]
