"""A program whose gRPC keepalive is faster: `python -m tests.faults.hastened FACTOR proxy|control_plane …`.

All times of it are divided by the same factor, so that what each end allows the other is what it was.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

TIMES = (
    "grpc.keepalive_time_ms",
    "grpc.keepalive_timeout_ms",
    "grpc.http2.ping_timeout_ms",
    "grpc.http2.min_recv_ping_interval_without_data_ms",
)

Value = TypeVar("Value", bound=int | str)


def hastened(options: Iterable[tuple[str, Value]], factor: int) -> list[tuple[str, int | str]]:
    return [(name, int(value) // factor if name in TIMES else value) for name, value in options]


def main() -> None:
    factor, program = int(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]
    module: Any
    if program == "proxy":
        module = importlib.import_module("proxy.processes.channel")
        module._OPTIONS = hastened(module._OPTIONS, factor)
        importlib.import_module("proxy.main").main()
    else:
        module = importlib.import_module("control_plane.rpc.server")
        module.OPTIONS = tuple(hastened(module.OPTIONS, factor))
        sys.exit(importlib.import_module("control_plane.main").run())


if __name__ == "__main__":
    main()
