"""The first ledger: one `Attempt` per request that reached the provider completely.

In memory for tests in this process; with a file also as JSON lines, one `os.write` each with O_APPEND, so
that lines of a provider that is killed are whole: one when the request has come in completely, one
when its answer is done. `read_ledger` joins the two; an attempt without its second line has
`finished_at_seconds` None. All `_at_seconds` are CLOCK_MONOTONIC, comparable between processes of one boot.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.support.provider.behaviour import NOTHING, Usage


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one request was, and what became of its answer."""

    number: int
    connection: int
    request_of_connection: int
    received_at_seconds: float
    received_at_unix_seconds: float
    client_request_id: str
    method: str
    path: str
    model: str
    stream: bool
    headers: tuple[tuple[str, str], ...]
    body: bytes
    # The answer, once it is done.
    status: int | None = None
    headers_sent_at_seconds: float | None = None
    first_event_at_seconds: float | None = None
    finished_at_seconds: float | None = None
    served: Usage = NOTHING
    usage_sent: bool = False
    events_sent: int = 0
    bytes_sent: int = 0
    complete: bool = False
    client_left_at_seconds: float | None = None
    client_left_how: Literal["closed", "reset"] | None = None

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def document(self) -> Any:
        return json.loads(self.body)


def attempt_to_json(attempt: Attempt) -> dict[str, Any]:
    document = dataclasses.asdict(attempt)
    document["body"] = base64.b64encode(attempt.body).decode()
    return document


def attempt_from_json(document: dict[str, Any]) -> Attempt:
    values = dict(document)
    values["body"] = base64.b64decode(values["body"])
    values["headers"] = tuple((name, value) for name, value in values["headers"])
    values["served"] = Usage(**values.get("served", {}))
    return Attempt(**values)


def read_ledger(path: Path) -> list[Attempt]:
    """The attempts in a ledger file; a torn last line (power cut, not kill) is an error."""
    attempts: dict[int, Attempt] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        document = json.loads(line)
        if document.pop("entry") == "received":
            attempts[document["number"]] = attempt_from_json(document)
        else:
            served = Usage(**document.pop("served"))
            number = document["number"]
            attempts[number] = dataclasses.replace(attempts[number], served=served, **document)
    return list(attempts.values())


_DONE_FIELDS = (
    "number",
    "status",
    "headers_sent_at_seconds",
    "first_event_at_seconds",
    "finished_at_seconds",
    "usage_sent",
    "events_sent",
    "bytes_sent",
    "complete",
    "client_left_at_seconds",
    "client_left_how",
)


class Ledger:
    """Written by the provider's loop, read and waited for by the test's thread."""

    def __init__(self, path: Path | None = None) -> None:
        self._changed = threading.Condition()
        self._attempts: dict[int, Attempt] = {}
        self._next_number = 1
        # O_APPEND: a restarted provider continues the file of its predecessor.
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if path is not None:
            self._next_number = 1 + max((attempt.number for attempt in read_ledger(path)), default=0)

    def received(self, **values: Any) -> Attempt:
        with self._changed:
            attempt = Attempt(
                number=self._next_number,
                received_at_seconds=time.monotonic(),
                received_at_unix_seconds=time.time(),
                **values,
            )
            self._next_number += 1
            if self._file is not None:
                self._append(self._file, {"entry": "received", **attempt_to_json(attempt)})
            self._attempts[attempt.number] = attempt
            self._changed.notify_all()
        return attempt

    def done(self, attempt: Attempt) -> None:
        with self._changed:
            if self._file is not None:
                document = {name: getattr(attempt, name) for name in _DONE_FIELDS}
                document |= {"entry": "done", "served": dataclasses.asdict(attempt.served)}
                self._append(self._file, document)
            if attempt.number in self._attempts:  # else it was forgotten while it was being answered
                self._attempts[attempt.number] = attempt
            self._changed.notify_all()

    def attempts(self) -> list[Attempt]:
        with self._changed:
            return list(self._attempts.values())

    def wait(self, enough: Callable[[list[Attempt]], bool], timeout_seconds: float) -> list[Attempt]:
        """The attempts as soon as `enough` says so; raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: enough(list(self._attempts.values())), timeout_seconds):
                raise TimeoutError(
                    f"after {timeout_seconds} s the ledger holds {len(self._attempts)} attempts"
                )
            return list(self._attempts.values())

    def clear(self) -> None:
        """Forget what is in memory; a file keeps its lines, numbers are not used again."""
        with self._changed:
            self._attempts.clear()

    def close(self) -> None:
        with self._changed:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    @staticmethod
    def _append(file: int, document: dict[str, Any]) -> None:
        os.write(file, json.dumps(document, separators=(",", ":")).encode() + b"\n")
