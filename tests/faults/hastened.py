"""A program whose gRPC keepalive is faster: `python -m tests.faults.hastened FACTOR proxy|control_plane …`.

The times between pings are divided by the factor, so that what each end allows the other is what it was; the
times to answer one by a tenth of it, so that a busy machine is not taken for a silent one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

BETWEEN_PINGS = ("grpc.keepalive_time_ms", "grpc.http2.min_ping_interval_without_data_ms")
TO_ANSWER = ("grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")

Value = TypeVar("Value", bound=int | str)


def hastened(options: Iterable[tuple[str, Value]], factor: int) -> list[tuple[str, int | str]]:
    divisors = dict.fromkeys(BETWEEN_PINGS, factor) | dict.fromkeys(TO_ANSWER, max(1, factor // 10))
    return [(name, int(value) // divisors[name] if name in divisors else value) for name, value in options]


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
