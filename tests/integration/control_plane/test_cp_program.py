"""The program as it is started: ready file, listeners, signals, refusals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.integration.control_plane.replica import KEK
from tests.support.processes import REPOSITORY, ChildProcess, clean_environment

COMMAND = [sys.executable, "-m", "control_plane"]


def start(folder: Path, *more: str) -> tuple[ChildProcess, dict[str, str]]:
    ready_file = folder / "ready.json"
    ready_file.unlink(missing_ok=True)
    command = [*COMMAND, "--grpc", "127.0.0.1:0", "--ops", "127.0.0.1:0"]
    command += ["--embedded-postgres", str(folder / "state"), "--ready-file", str(ready_file), *more]
    process = ChildProcess(command, folder / "log", clean_environment(HEADGATE_KEK=KEK), REPOSITORY)
    return process, process.wait_for_file(ready_file)


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_it_starts_serves_survives_kill_and_stops(folder: Path) -> None:
    process, ready = start(folder)
    try:
        assert (folder / "ready.json").stat().st_mode & 0o777 == 0o600
        with grpc.insecure_channel(ready["grpc"]) as channel:
            check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
            assert check(b"", timeout=5) == b"\x08\x01"
        assert fetch(f"{ready['ops']}/livez")[0] == 200
        assert fetch(f"{ready['ops']}/readyz") == (200, "ready\n")
        assert fetch(f"{ready['ops']}/nothing")[0] == 404
        assert "headgate_control_plane_config_revision 0.0" in fetch(f"{ready['ops']}/metrics")[1]
        process.end_now()
        process, again = start(folder)
        assert again["pid"] != ready["pid"]
        started = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - started < 5
    finally:
        process.end_now()
    lines = (folder / "log").read_text().splitlines()
    assert lines
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert KEK not in "\n".join(lines)


@pytest.mark.parametrize(
    ("arguments", "environment", "hint"),
    [
        (["--grpc", "0.0.0.0:0", "--embedded-postgres", "x"], {}, "--tls-cert"),
        ([], {}, "HEADGATE_DATABASE_URL"),
        (["--embedded-postgres", "x"], {"HEADGATE_KEK": "short"}, "32 bytes"),
        (["--grpc", "nonsense", "--embedded-postgres", "x"], {}, "HOST:PORT"),
        (["--database-url", "postgresql://u:p@h/d"], {}, "unrecognized"),
    ],
)
def test_it_refuses_to_start_and_says_what_to_do(
    arguments: list[str], environment: dict[str, str], hint: str
) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=clean_environment(**environment),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert hint in done.stderr


def test_a_signal_while_it_waits_for_a_database_ends_it(folder: Path) -> None:
    environment = clean_environment(HEADGATE_DATABASE_URL="postgresql://u:p4ssw0rd@127.0.0.1:1/x")
    process = ChildProcess([*COMMAND, "--grpc", "127.0.0.1:0"], folder / "log", environment, REPOSITORY)
    try:
        deadline = time.monotonic() + 15
        while "waiting for the database" not in process.log_tail() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert "p4ssw0rd" not in (folder / "log").read_text()
    finally:
        process.end_now()
