"""What a measured system is: how it is started, asked and stopped, and which of its processes count.

`Child` owns one process tree that the bench started and ends exactly that tree again, by pid. A system that
cannot be had on this machine says so (`Absent`) and is skipped by the bench with that message.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.perf import accounting, wire

START_LIMIT_SECONDS = 120.0  # LiteLLM takes its time on two cores
STOP_LIMIT_SECONDS = 20.0
_POLL_SECONDS = 0.002


class Absent(Exception):
    """The system is not installed; the text says what would install it."""


class StartFailed(Exception):
    """The system ended or gave no good answer in time; the text holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a client sends its calls, and in which dialect. `headers` carry the credential."""

    host: str
    port: int
    headers: dict[str, str] = field(default_factory=dict)
    messages: bool = False

    @property
    def path(self) -> str:
        return wire.MESSAGES_PATH if self.messages else wire.PATH

    def body(self, model: str, *, stream: bool = False) -> bytes:
        return (wire.messages_body if self.messages else wire.chat_body)(model, stream=stream)

    def request(self, model: str, *, stream: bool = False) -> bytes:
        return wire.post(self.path, self.host, self.port, self.body(model, stream=stream), self.headers)


@dataclass(frozen=True, slots=True)
class Started:
    """Seconds from process start to the first good answer, and further named moments on the same scale."""

    answer_seconds: float
    moments_seconds: dict[str, float] = field(default_factory=dict)


class System(Protocol):
    """One row of the comparison. `measured_pids` is what a call costs; `beside_pids` runs along with it."""

    @property
    def name(self) -> str: ...

    def start(self) -> Started: ...

    def stop(self) -> None: ...

    def target(self) -> Target: ...

    def measured_pids(self) -> list[int]: ...

    def beside_pids(self) -> list[int]: ...


class Child:
    """One process that the bench started, with all that descends from it."""

    def __init__(self, argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log
        with log.open("ab") as output:
            self.started = time.monotonic()
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
            )
        self.pid = self._process.pid

    def ended(self) -> bool:
        return self._process.poll() is not None

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """Ask the tree to end, wait, and kill what is left of it."""
        descendants = accounting.tree(self.pid)[1:]
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in descendants:
            end_process(pid)


def end_process(pid: int) -> None:
    """End one process that we (or a child of ours) started, the hard way after STOP_LIMIT_SECONDS."""
    deadline = time.monotonic() + STOP_LIMIT_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer_once(target: Target, timeout_seconds: float = 5.0) -> tuple[int, bytes]:
    """One call on a connection of its own: the status and the whole response. OSError if there was none."""
    with socket.create_connection((target.host, target.port), timeout=timeout_seconds) as connection:
        request = target.request(wire.INSTANT_MODEL).replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
        connection.sendall(request)
        received = b""
        while part := connection.recv(65536):
            received += part
    if not received.startswith(b"HTTP/1.1 "):
        raise ConnectionError("no HTTP answer")
    return int(received[9:12]), received


def first_good_answer(child: Child, target: Target) -> float:
    """The moment (monotonic) of the first complete good answer; polls every 2 ms."""
    deadline = child.started + START_LIMIT_SECONDS
    last = "nothing was listening"
    while time.monotonic() < deadline and not child.ended():
        try:
            status, received = answer_once(target)
        except OSError as error:
            last = str(error)
        else:
            if status == 200 and b"northern office" in received:
                return time.monotonic()
            last = received[:300].decode(errors="replace")
        time.sleep(_POLL_SECONDS)
    raise StartFailed(f"no good answer from {target.host}:{target.port} ({last})\n{child.log_tail()}")
