"""Whole programs for tests: `headgate up` with everything below it, and the fake provider as a process.

A `Headgate` is driven as a user drives it: by its ready file and the command line. Faults are SIGKILLs to
pids found, by role, below the process that was started here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import psutil  # type: ignore[import-untyped]

from tests.support.child_process import ChildProcess, end_processes, is_alive, kill_by_pid, stop_all
from tests.support.fake_provider import Attempt, RemoteProvider, read_ledger

__all__ = [
    "ChildProcess",
    "Headgate",
    "ProviderProcess",
    "kill_by_pid",
    "start_fake_provider",
    "start_headgate",
    "stop_all",
]

REPOSITORY = Path(__file__).resolve().parents[2]
CLI_TIMEOUT_SECONDS = 60.0

Role = Literal["control_plane", "proxy", "postgres"]

# The machine's own settings must not reach the program under test.
_OWN_SETTINGS = ("HEADGATE_", "OTEL_")
_PROVIDER_KEYS = ("_API_KEY", "_BASE_URL")


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without Headgate settings, provider keys and HTTP proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OWN_SETTINGS)
        and not name.endswith(_PROVIDER_KEYS)
        and not name.lower().endswith("_proxy")
    }
    return {**kept, **more}


def headgate_command() -> Path:
    """The console script beside the Python that runs the tests."""
    return Path(sys.executable).parent / "headgate"


class Headgate:
    """A running `headgate up`; a context manager that stops it (its state folder stays)."""

    def __init__(
        self, process: ChildProcess, state: Path, ready: Mapping[str, Any], settings: _Settings
    ) -> None:
        self.process = process
        self.state = state
        self._settings = settings
        self._proxy_token = ""
        self._take(ready)

    def _take(self, ready: Mapping[str, Any]) -> None:
        self.http = str(ready["http"])
        self.grpc = str(ready["grpc"])
        self.ops = str(ready["ops"])
        self.admin_token = str(ready["admin_token"])
        self.api_key = str(ready["api_key"])
        self.pid = int(ready["pid"])

    def __enter__(self) -> Headgate:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """For the OpenAI SDK."""
        return f"{self.http}/v1"

    # As a user.

    def cli(
        self, *arguments: str, output: str | None = "json", stdin: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `headgate …`; the exit code is not checked. `output=None` leaves `-o` out."""
        command = [str(headgate_command()), *arguments, *(("-o", output) if output else ())]
        settings = {
            "HEADGATE_CONTROL_PLANE": self.grpc,
            "HEADGATE_TOKEN": self.admin_token,
            "HEADGATE_STATE": str(self.state),
        }
        return subprocess.run(
            command,
            input=stdin if stdin is not None else "",
            env=clean_environment(**{**settings, **environment}),
            capture_output=True,
            text=True,
            timeout=CLI_TIMEOUT_SECONDS,
            check=False,
        )

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """The items of a command's JSON envelope; raises with its stderr if it fails."""
        done = self.cli(*arguments)
        if done.returncode != 0:
            raise RuntimeError(f"headgate {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
        items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
        return items

    def apply(self, manifest: Mapping[str, Any] | str, *arguments: str) -> list[dict[str, Any]]:
        """Apply a manifest given as a dict or as YAML text; the changes."""
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=self.state.parent) as file:
            file.write(text)
            file.flush()
            return self.items("apply", "-f", file.name, *arguments)

    def proxy_token(self) -> str:
        """For proxies that are started beside its own one."""
        if not self._proxy_token:
            self._proxy_token = str(self.items("token", "create", "beside", "--role", "proxy")[0]["secret"])
        return self._proxy_token

    def usage(self, *arguments: str) -> list[dict[str, Any]]:
        return self.items("usage", *arguments)

    def calls(self, *arguments: str) -> list[dict[str, Any]]:
        return self.items("calls", *arguments)

    def call(self, request_id: str) -> dict[str, Any]:
        """`calls show`: one call with its attempts."""
        return self.items("calls", "show", request_id)[0]

    # As a fault.

    def pids(self, role: Role) -> list[int]:
        """Living processes of that role, the oldest (supervisor, postmaster) first."""
        if role == "postgres":
            return [process.pid for process in self._postgres()]
        return self.process.descendants_running(role)

    def kill(self, role: Role) -> int:
        """SIGKILL the oldest process of that role; its pid."""
        pids = self.pids(role)
        if not pids:
            raise RuntimeError(f"no {role} below {self.pid}:\n{self.process.log_tail()}")
        kill_by_pid(pids[0])
        return pids[0]

    def wait_for_new(self, role: Role, old_pid: int, timeout_seconds: float = 30.0) -> int:
        """The pid of the process that has taken the place of `old_pid`."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            pids = [pid for pid in self.pids(role) if pid != old_pid]
            if pids:
                return pids[0]
            time.sleep(0.05)
        raise TimeoutError(f"no new {role} after {timeout_seconds} s:\n{self.process.log_tail()}")

    def kill_all(self) -> None:
        """SIGKILL to everything at once: the machine's power cut, as far as a process can play it."""
        postgres = self._postgres()
        self.process.end_now()
        end_processes(postgres)

    def restart(self) -> None:
        """Start again on the same state (after `stop` or a kill); ports may differ, attributes follow."""
        self.stop()
        self.process, ready = self._settings.launch()
        self._take(ready)

    def stop(self) -> int:
        """The exit code of `headgate up`; a Postgres that was left behind by a kill is ended too."""
        code = self.process.stop()
        end_processes(self._postgres())
        return code

    def _postgres(self) -> list[psutil.Process]:
        """The postmaster of this state folder and its children; pg_ctl makes it a daemon, nobody's child."""
        for file in self.state.glob("**/postmaster.pid"):
            with contextlib.suppress(psutil.NoSuchProcess, ValueError, OSError, IndexError):
                postmaster = psutil.Process(int(file.read_text().split()[0]))
                if is_alive(postmaster) and "postgres" in postmaster.name():
                    return [postmaster, *postmaster.children(recursive=True)]
        return []


@dataclasses.dataclass(frozen=True, slots=True)
class _Settings:
    state: Path
    manifest: Path | None
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    timeout_seconds: float

    def launch(self) -> tuple[ChildProcess, dict[str, Any]]:
        ready_file = self.state.parent / f"{self.state.name}.ready.json"
        ready_file.unlink(missing_ok=True)
        nowhere = "127.0.0.1:0"
        command: list[str | Path] = [
            headgate_command(),
            "up",
            "--state",
            self.state,
            "--ready-file",
            ready_file,
        ]
        command += ["--http", nowhere, "--grpc", nowhere, "--ops", nowhere, *self.arguments]
        if self.manifest is not None:
            command += ["-f", self.manifest]
        log_file = self.state.parent / f"{self.state.name}.log"
        process = ChildProcess(command, log_file, clean_environment(**self.environment))
        try:
            return process, process.wait_for_file(ready_file, self.timeout_seconds)
        except BaseException:
            process.end_now()
            raise


def start_headgate(
    folder: Path,
    manifest: Mapping[str, Any] | str | Path | None = None,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 60.0,
) -> Headgate:
    """`headgate up` with its state below `folder` (a tmp_path) and free ports, once it is ready.

    `manifest` is a dict, YAML text or a file; `arguments` go to `up` (`"--workers", "2"`).
    """
    state = folder / "state"
    file = manifest if isinstance(manifest, Path) else None
    if manifest is not None and not isinstance(manifest, Path):
        file = folder / "manifest.yaml"
        file.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    settings = _Settings(state, file, arguments, dict(environment or {}), timeout_seconds)
    process, ready = settings.launch()
    return Headgate(process, state, ready, settings)


class ProviderProcess(RemoteProvider):
    """The fake provider in its own process; a context manager."""

    def __init__(self, process: ChildProcess, url: str, ledger_file: Path) -> None:
        super().__init__(url)
        self.process = process
        self.ledger_file = ledger_file

    def __enter__(self) -> ProviderProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def recorded(self) -> list[Attempt]:
        """The attempts in the ledger file; also after the process is gone."""
        return read_ledger(self.ledger_file)

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.stop()


def start_fake_provider(folder: Path, name: str = "provider", port: int = 0) -> ProviderProcess:
    """The fake provider as a process with its ledger in `folder`; ends when the tests do."""
    ready_file, ledger_file = folder / f"{name}.ready.json", folder / f"{name}.ledger.jsonl"
    ready_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.support.fake_provider", "--port", str(port), "--exit-with-parent"]
    command += ["--ready-file", str(ready_file), "--ledger", str(ledger_file)]
    environment = clean_environment(PYTHONPATH=str(REPOSITORY))
    process = ChildProcess(command, folder / f"{name}.log", environment, REPOSITORY)
    ready = process.wait_for_file(ready_file)
    return ProviderProcess(process, ready["url"], ledger_file)
