"""Says that something takes its time: a spinner on stderr, if that is a terminal and a second passed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# By the interface: progress on work over a second.
PATIENCE_SECONDS = 1.0


class Working:
    """What is being done now; `now` changes the words."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._status: Any = None
        self._lock = threading.Lock()

    def now(self, text: str) -> None:
        with self._lock:
            self._text = text
            if self._status is not None:
                self._status.update(f"{text} …")

    def _start(self) -> None:
        from rich.console import Console

        with self._lock:
            if self._status is None:
                self._status = Console(stderr=True).status(f"{self._text} …")
                self._status.start()

    def _stop(self) -> None:
        with self._lock:
            if self._status is not None:
                self._status.stop()


@contextmanager
def working(text: str) -> Iterator[Working]:
    """Shows `text` while the body runs, once it has run for a second."""
    work = Working(text)
    if not sys.stderr.isatty():
        yield work
        return
    timer = threading.Timer(PATIENCE_SECONDS, work._start)
    timer.daemon = True
    timer.start()
    try:
        yield work
    finally:
        timer.cancel()
        timer.join()
        work._stop()
