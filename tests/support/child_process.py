"""One child process: its log in a file, its ready file, its descendants, and a certain end.

Only processes that were started here are ever signalled, by pid. Children get a session of their own, so
that a Ctrl-C in the terminal reaches the tests, not their victims; what is left is killed when Python exits.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil  # type: ignore[import-untyped]

POLL_SECONDS = 0.02
LOG_TAIL_BYTES = 8000
KILL_TIMEOUT_SECONDS = 10.0

_running: set[ChildProcess] = set()


class ChildProcess:
    """Started by its constructor; a context manager that stops it."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log_file: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.log_file = log_file
        self._seen: dict[int, psutil.Process] = {}
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if environment is None else dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        self.pid = self._process.pid
        _running.add(self)

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def log_tail(self) -> str:
        return self.log()[-LOG_TAIL_BYTES:]

    def wait_for_file(self, path: Path, timeout_seconds: float = 30.0) -> dict[str, Any]:
        """The JSON of a ready file once it is there; raises, with the end of the log, if it never is."""
        deadline = time.monotonic() + timeout_seconds
        while not path.exists():
            if self.exit_code is not None:
                raise RuntimeError(f"ended with {self.exit_code} before it was ready:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {timeout_seconds} s:\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)
        ready: dict[str, Any] = json.loads(path.read_text())
        return ready

    def descendants(self) -> list[psutil.Process]:
        """The living processes below it; remembered, so that they are also ended once they are orphans."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.pid).children(recursive=True):
                self._seen[child.pid] = child
        return [child for child in self._seen.values() if is_alive(child)]

    def descendants_running(self, module: str) -> list[int]:
        """Pids of descendants started as `python -m module`, in order of start."""
        found = []
        for child in self.descendants():
            with contextlib.suppress(psutil.NoSuchProcess):
                if ("-m", module) in itertools.pairwise(child.cmdline()):
                    found.append((child.create_time(), child.pid))
        return [pid for _, pid in sorted(found)]

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to this process alone; its descendants become orphans, as in a real crash."""
        self.descendants()
        self._process.kill()
        self._process.wait()

    def wait(self, timeout_seconds: float = 30.0) -> int:
        return self._process.wait(timeout_seconds)

    def stop(self, timeout_seconds: float = 40.0) -> int:
        """SIGTERM, wait, SIGKILL what is left of it and of its descendants; the exit code."""
        self.descendants()
        if self.exit_code is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_seconds)
        self.end_now()
        return self._process.wait()

    def end_now(self) -> None:
        """SIGKILL to it and to everything that was ever seen below it."""
        left = self.descendants()
        if self.exit_code is None:
            self._process.kill()
        end_processes(left)
        self._process.wait()
        _running.discard(self)


def kill_by_pid(pid: int) -> None:
    """SIGKILL, and wait until the process is gone."""
    end_processes([psutil.Process(pid)])


def end_processes(processes: Sequence[psutil.Process]) -> None:
    """SIGKILL to each, then wait until all are gone; raises TimeoutError."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + KILL_TIMEOUT_SECONDS
    while any(is_alive(process) for process in processes):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still there after SIGKILL: {processes}")
        time.sleep(POLL_SECONDS)


def is_alive(process: psutil.Process) -> bool:
    try:
        # is_running compares the start time too: a pid that was given to somebody else is not ours.
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@atexit.register
def stop_all() -> None:
    """End what tests have left running."""
    for process in list(_running):
        process.end_now()
