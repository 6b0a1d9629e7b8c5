"""A proxy that says what it holds: `python -m tests.faults.counted FILE proxy …`.

At SIGUSR1 it writes its asyncio tasks, by the coroutine that each runs, and its gRPC channels to FILE.
Nothing else is changed.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil  # type: ignore[import-untyped]

from tests.faults.system import wait_until


@dataclass(frozen=True, slots=True)
class Held:
    """What a proxy holds between calls: tasks, channels, descriptors (idle ways to a provider aside)."""

    tasks: dict[str, int]
    descriptors: int


def held(pid: int, counts: Path, provider_port: int) -> Held:
    """Of a proxy with one worker that runs this program."""
    by_name = counted(pid, counts)
    process = psutil.Process(pid)
    kept = [
        one
        for one in process.net_connections("tcp")
        if one.raddr and one.raddr.port == provider_port and one.status == psutil.CONN_ESTABLISHED
    ]
    return Held(by_name, process.num_fds() - len(kept))


def counted(pid: int, counts: Path) -> dict[str, int]:
    """Its tasks by name, and its channels as `channels`."""
    counts.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    wait_until(counts.exists)
    by_name: dict[str, int] = json.loads(counts.read_text())
    return by_name


def main() -> None:
    counts = Path(sys.argv[1])
    sys.argv = sys.argv[2:]

    def write(*_: object) -> None:
        names = Counter(getattr(t.get_coro(), "__qualname__", "?") for t in asyncio.all_tasks())
        names["channels"] = sum(isinstance(one, grpc.aio.Channel) for one in gc.get_objects())
        new = counts.with_suffix(".new")
        new.write_text(json.dumps(names))
        new.replace(counts)

    signal.signal(signal.SIGUSR1, write)
    importlib.import_module("proxy.main").main()


if __name__ == "__main__":
    main()
