"""A proxy that says what it holds: `python -m tests.faults.counted FILE proxy …`.

At SIGUSR1 it writes its asyncio tasks, by the coroutine that each runs, to FILE. Nothing else is changed.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.faults.system import wait_until


@dataclass(frozen=True, slots=True)
class Held:
    """What a proxy holds between calls: tasks by name, and descriptors (idle ways to a provider aside)."""

    tasks: dict[str, int]
    descriptors: int


def held(pid: int, counts: Path, provider_port: int) -> Held:
    """Of a proxy with one worker that runs this program."""
    counts.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    wait_until(counts.exists)
    process = psutil.Process(pid)
    kept = [
        one
        for one in process.net_connections("tcp")
        if one.raddr and one.raddr.port == provider_port and one.status == psutil.CONN_ESTABLISHED
    ]
    return Held(json.loads(counts.read_text()), process.num_fds() - len(kept))


def main() -> None:
    counts = Path(sys.argv[1])
    sys.argv = sys.argv[2:]

    def write(*_: object) -> None:
        names = Counter(getattr(t.get_coro(), "__qualname__", "?") for t in asyncio.all_tasks())
        new = counts.with_suffix(".new")
        new.write_text(json.dumps(names))
        new.replace(counts)

    signal.signal(signal.SIGUSR1, write)
    importlib.import_module("proxy.main").main()


if __name__ == "__main__":
    main()
