"""What the operating system has counted: CPU time and memory of processes, from /proc.

CPU comes from the scheduler's own nanoseconds (/proc/PID/task/*/schedstat) and, where the kernel has none,
from the 10 ms ticks of /proc/PID/stat. Nothing is asked of the measured programs themselves, so all are
counted alike.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

_PROC = Path("/proc")
_TICK_NANOSECONDS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

CpuReading: TypeAlias = dict[int, int]
"""Nanoseconds of CPU (user and system) by pid."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of several processes. PSS counts a shared page once; RSS once per process."""

    rss_mb: float
    pss_mb: float


def read_cpu(pids: Iterable[int]) -> CpuReading:
    """The CPU time of each process, all threads together; processes that are gone are left out."""
    reading: CpuReading = {}
    for pid in pids:
        spent = _scheduled_nanoseconds(pid)
        if spent is not None:
            reading[pid] = spent
    return reading


def spent_us(before: CpuReading, after: CpuReading) -> float:
    """Microseconds of CPU between two readings; a process that is new in `after` counts from its birth."""
    return sum(spent - before.get(pid, 0) for pid, spent in after.items()) / 1000


def _scheduled_nanoseconds(pid: int) -> int | None:
    # PID/schedstat would be the main thread alone, so the threads are summed.
    try:
        threads = list((_PROC / str(pid) / "task").iterdir())
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
    except (FileNotFoundError, ProcessLookupError):
        return _ticked_nanoseconds(pid)


def _ticked_nanoseconds(pid: int) -> int | None:
    fields = _stat_fields(pid)
    return None if fields is None else (int(fields[11]) + int(fields[12])) * _TICK_NANOSECONDS


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the command's name: state is 0, ppid 1, utime 11, starttime 19."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def memory(pids: Iterable[int]) -> Memory:
    rss_kb = pss_kb = 0
    for pid in pids:
        try:
            lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in lines:
            if line.startswith("Rss:"):
                rss_kb += int(line.split()[1])
            elif line.startswith("Pss:"):
                pss_kb += int(line.split()[1])
    return Memory(rss_kb / 1024, pss_kb / 1024)


def tree(pid: int) -> list[int]:
    """`pid` and all that descends from it, parents first."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            fields = _stat_fields(int(entry.name))
            if fields is not None:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:  # grows while it is walked: breadth first
        found.extend(children.get(parent, []))
    return found


def command_line(pid: int) -> list[str]:
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return raw.rstrip(b"\0").decode(errors="replace").split("\0")


def started_at(pid: int) -> float | None:
    """When the process was started, on the clock of `time.monotonic()`; exact to 10 ms."""
    fields = _stat_fields(pid)
    if fields is None:
        return None
    since_boot = int(fields[19]) * _TICK_NANOSECONDS / 1e9
    # starttime counts suspends and monotonic() does not; on a running machine they differ by a constant.
    return since_boot - (time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())
