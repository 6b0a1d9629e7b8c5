"""A program whose wall clock is wrong: `python -m tests.faults.skewed CLOCK proxy|control_plane …`.

CLOCK is a file that is read at each look at the clock: `offset SECONDS` (added to the machine's time) or
`at SECONDS` (frozen at that Unix time). The monotonic clock stays right, as where somebody sets the time.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

NS = 1_000_000_000


def skewed_ns(clock: Path, real_ns: Callable[[], int] = time.time_ns) -> Callable[[], int]:
    def now_ns() -> int:
        word, number = clock.read_text().split()
        if word == "at":
            return int(float(number) * NS)
        return real_ns() + int(float(number) * NS)

    return now_ns


def main() -> None:
    clock, program = Path(sys.argv[1]), sys.argv[2]
    now_ns = skewed_ns(clock)
    sys.argv = [program, *sys.argv[3:]]
    if program == "proxy":
        time.time_ns, time.time = now_ns, lambda: now_ns() / NS
        importlib.import_module("proxy.main").main()
    else:
        composed = importlib.import_module("control_plane.compose").ControlPlane
        # `now` is its one default.
        composed.__init__.__defaults__ = (lambda: datetime.fromtimestamp(now_ns() / NS, UTC),)
        sys.exit(importlib.import_module("control_plane.main").run())


def set_clock(clock: Path, text: str) -> None:
    """At once: whoever reads it meanwhile sees the old text or the new one."""
    new = clock.with_suffix(".new")
    new.write_text(text)
    new.replace(clock)


if __name__ == "__main__":
    main()
