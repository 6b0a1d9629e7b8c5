"""One program that `up` runs: started, watched, started again with backoff, stopped.

A child is in a session of its own, so that a Ctrl-C on the terminal reaches only `up`, which stops
its children in order. What it says goes to a bounded log file. It is ready when its ready file is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from admin_cli.errors import CliError
from admin_cli.render import say
from admin_cli.state import read_json

# Five deaths within a minute are not bad luck.
MAX_DEATHS = 5
DEATHS_WINDOW_SECONDS = 60.0
BACKOFF_FIRST_SECONDS = 0.2
BACKOFF_MAX_SECONDS = 5.0
POLL_SECONDS = 0.02
# One line per call: about 200,000 calls.
MAX_LOG_BYTES = 64 * 2**20
LOG_LINES_SHOWN = 15
_TAIL_BYTES = 16 * 1024


class Child:
    """`arguments` is asked at every start, because ports become known after the first one."""

    def __init__(
        self,
        name: str,
        arguments: Callable[[], Sequence[str]],
        environment: Mapping[str, str],
        log: Path,
        ready_file: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._arguments = arguments
        self._environment = dict(environment)
        self._log = log
        self._log_start = 0
        self._ready_file = ready_file
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        self._restart_at: float | None = None
        self._told_back = True

    def start(self) -> None:
        self._ready_file.unlink(missing_ok=True)
        with open(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            self._log_start = os.fstat(log.fileno()).st_size
            launcher = [sys.executable, "-m", "admin_cli.local.launch", str(os.getpid())]
            self._process = subprocess.Popen(
                [*launcher, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def ready(self) -> dict[str, Any] | None:
        """What its ready file says, once it is there."""
        return read_json(self._ready_file)

    def wait_ready(self, seconds: float) -> dict[str, Any]:
        """Waits for the ready file. A death before it is final: the log's last lines say why."""
        deadline = self._clock() + seconds
        while True:
            document = self.ready()
            if document is not None:
                return document
            if self._process is None or self._process.poll() is not None:
                raise CliError(
                    f"the {self.name} did not start ({self._ending()})", self._hint(), self.last_lines()
                )
            if self._clock() > deadline:
                raise CliError(
                    f"the {self.name} was not ready in {seconds:.0f} s", self._hint(), self.last_lines()
                )
            time.sleep(POLL_SECONDS)

    def watch(self) -> None:
        """Called often: notices a death, starts it again in time. CliError after too many."""
        if self._process is None:
            return
        now = self._clock()
        if self._restart_at is not None:
            if now >= self._restart_at:
                self._restart_at = None
                self._told_back = False
                self.start()
            return
        if self._process.poll() is None:
            if not self._told_back and self.ready() is not None:
                self._told_back = True
                say(f"headgate: the {self.name} is back")
            self._bound_log()
            return
        self._deaths.append(now)
        recent = [death for death in self._deaths if now - death <= DEATHS_WINDOW_SECONDS]
        if len(recent) >= MAX_DEATHS:
            raise CliError(
                f"the {self.name} ended {len(recent)} times in a minute (last: {self._ending()}); giving up",
                self._hint(),
                self.last_lines(),
            )
        delay = min(BACKOFF_FIRST_SECONDS * 2 ** (len(recent) - 1), BACKOFF_MAX_SECONDS)
        self._restart_at = now + delay
        say(f"headgate: the {self.name} ended ({self._ending()}); starting it again in {delay:.1f} s")

    def terminate(self) -> None:
        self._restart_at = None
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def wait_end(self, seconds: float, hurry: Callable[[], bool]) -> bool:
        """True once it has ended; False at the timeout, or when `hurry` says so."""
        deadline = self._clock() + seconds
        while self._process is not None and self._process.poll() is None:
            if self._clock() > deadline or hurry():
                return False
            time.sleep(POLL_SECONDS)
        self._ready_file.unlink(missing_ok=True)
        return True

    def last_lines(self) -> list[str]:
        """The end of what it said since it was started last."""
        try:
            with self._log.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start if self._log_start <= size else 0, size - _TAIL_BYTES))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return []
        return [f"  {self.name}: {line[:500]}" for line in lines[-LOG_LINES_SHOWN:]]

    def _ending(self) -> str:
        code = self._process.returncode if self._process is not None else None
        if code is None:
            return "not running"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _hint(self) -> str:
        return f"its log is {self._log}"

    def _bound_log(self) -> None:
        """Copy, then truncate: the child keeps its descriptor, and appends."""
        try:
            if self._log.stat().st_size > MAX_LOG_BYTES:
                rotate(self._log, copy=True)
        except OSError as error:
            say(f"headgate: {self._log} cannot be rotated: {error.strerror}")


def rotate(log: Path, *, copy: bool = False) -> None:
    """Keeps one earlier log as `NAME.1`."""
    earlier = log.with_name(log.name + ".1")
    if copy:
        shutil.copyfile(log, earlier)
        earlier.chmod(0o600)
        os.truncate(log, 0)
    elif log.exists():
        log.replace(earlier)
