"""JSON lines to stderr: one per call and one per event. No content, no secrets.

Lines are gathered and written together a few times a second: a write per call would cost more than
everything else the line does.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

import orjson

FLUSH_SECONDS = 0.2
# Kept while stderr does not take them; then the oldest are dropped and counted.
MAX_WAITING_LINES = 50_000


class Log:
    def __init__(self, *, calls: bool = True) -> None:
        self.calls = calls
        self._lines: list[bytes] = []
        self.dropped = 0

    def line(self, line: bytes) -> None:
        """One finished JSON line, without its end."""
        self._lines.append(line)
        if len(self._lines) > MAX_WAITING_LINES:
            self.dropped += len(self._lines) // 2
            del self._lines[: len(self._lines) // 2]

    def event(self, event: str, **fields: object) -> None:
        """Something an operator should know; written at once."""
        self._lines.append(orjson.dumps({"time": time.time(), "event": event, **fields}))
        self.flush()

    def flush(self) -> None:
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        data = b"\n".join(lines) + b"\n"
        try:
            while data:
                data = data[os.write(sys.stderr.fileno(), data) :]
        except (OSError, ValueError):
            self.dropped += len(lines)

    async def flush_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.flush()
