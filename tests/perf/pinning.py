"""The system under test on a core of its own, everything else on the others, while its calls are counted.

On two cores a call's path crosses five processes (load, proxy, provider, control plane, PostgreSQL). Left to
the scheduler they chase each other over both cores, and the proxy is charged for caches that others emptied:
the same build then measures 100 to 150 µs a call. Every system is treated alike.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from tests.perf import accounting

NOTE = (
    "while calls are counted, the system has core 0 to itself; load, provider and all else share the others"
)


def possible() -> bool:
    return len(os.sched_getaffinity(0)) > 1 or (os.cpu_count() or 1) > 1


def pin_system(measured: Iterable[int], beside: Iterable[int]) -> None:
    """Puts the measured processes on core 0 and those beside them on the rest."""
    if possible():
        _pin(beside, _others())
        _pin(measured, {0})


def leave_core_zero() -> None:
    """This process and its children, the load generators to come included."""
    if possible():
        _pin(accounting.tree(os.getpid()), _others())


def release() -> None:
    _pin(accounting.tree(os.getpid()), _all())


def _all() -> set[int]:
    return set(range(os.cpu_count() or 1))


def _others() -> set[int]:
    return _all() - {0}


def _pin(pids: Iterable[int], cores: set[int]) -> None:
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*"):
            try:
                os.sched_setaffinity(int(task.name), cores)
            except OSError:
                continue  # it ended meanwhile, or is not ours to move
