"""`up` as a process, with fake programs: what it writes, restarts, refuses, and how it ends."""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

RUN_UP = Path(__file__).with_name("run_up.py")
KEYLESS = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def start(state: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def up(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        http, *files = arguments or ("127.0.0.1:0",)
        process = subprocess.Popen(
            [sys.executable, str(RUN_UP), str(state), http, *files],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**KEYLESS, "PYTHONPATH": str(RUN_UP.parents[3]), **environment},
        )
        started.append(process)
        return process

    yield up
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


def ready(state: Path) -> dict[str, object]:
    file = state.with_suffix(".ready")
    until(file.exists)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    document: dict[str, object] = json.loads(file.read_text())
    return document


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def starts(state: Path) -> list[list[str]]:
    file = state / "proxy-starts"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def test_up_says_when_a_call_would_succeed_and_stops_the_proxy_first(start: Start, state: Path) -> None:
    process = start()
    document = ready(state)
    assert document["pid"] == process.pid
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", str(document["http"]))
    assert str(document["admin_token"]).startswith("hgt-")
    assert str(document["api_key"]).startswith("hg-")
    public = json.loads((state / "run" / "up.json").read_text())
    assert {"http", "grpc", "ops", "pid"} <= set(public)
    assert "hg" not in "".join(map(str, public.values())).replace("http", "")
    code, out, err = stop(process, signal.SIGINT)
    assert code == 0
    assert f"{document['http']}/v1" in out
    assert '"model": "chat"' in out
    assert str(document["api_key"]) not in out + err
    assert "sandbox" in err
    assert [line.split()[0] for line in (state / "ends").read_text().splitlines()] == [
        "proxy",
        "control-plane",
    ]
    assert not state.with_suffix(".ready").exists()
    assert not (state / "run" / "up.json").exists()


def test_everything_in_the_state_folder_is_private(start: Start, state: Path) -> None:
    process = start()
    ready(state)
    ours = [state, state / "run", state / "logs", state / "proxy"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in ours} == {0o700}
    files = ["kek", "admin-token", "quickstart-key", "run/up.json", "logs/proxy.log"]
    assert {stat.S_IMODE((state / name).stat().st_mode) for name in files} == {0o600}
    assert len(base64.b64decode((state / "kek").read_text(), validate=True)) == 32
    assert stop(process)[0] == 0


def test_the_proxy_is_given_no_credential_but_its_own(start: Start, state: Path) -> None:
    process = start(
        HEADGATE_KEK_FILE="/nowhere", GROQ_API_KEY="", HEADGATE_CA_FILE="/nowhere", HEADGATE_TOKEN="x"
    )
    ready(state)
    assert (state / "proxy-environment").read_text() == "HEADGATE_JOIN_TOKEN"
    assert not (state / "kek").exists()
    stop(process)


def test_a_later_start_keeps_tokens_and_key(start: Start, state: Path) -> None:
    first = start()
    before = ready(state)
    time.sleep(0.2)  # the fake database writes its tokens
    stop(first)
    names = ("admin-token", "quickstart-key", "kek", "proxy/identity/certificate.json")
    secrets = {name: (state / name).read_text() for name in names}
    assert (state / "proxy-environment").read_text() == "HEADGATE_JOIN_TOKEN"
    second = start()
    after = ready(state)
    assert (before["admin_token"], before["api_key"]) == (after["admin_token"], after["api_key"])
    assert {name: (state / name).read_text() for name in secrets} == secrets
    assert (state / "proxy-environment").read_text() == "", "it has joined"
    assert (state / "logs" / "proxy.log.1").exists()
    stop(second)


def test_a_child_that_dies_is_started_again_on_the_same_ports(start: Start, state: Path) -> None:
    process = start()
    document = ready(state)
    for count in (1, 2):
        pid, _, _ = starts(state)[-1]
        os.kill(int(pid), signal.SIGKILL)
        until(lambda: len(starts(state)) == count + 1)  # noqa: B023 - called before the next turn
        until(lambda: (state / "run" / "proxy.json").exists())
    _, http, ops = starts(state)[-1]
    assert f"http://{http}" == document["http"]
    assert f"http://{ops}" == document["ops"]
    code, _, err = stop(process)
    assert code == 0
    assert "the proxy ended (signal 9); starting it again in 0.2 s" in err
    assert "starting it again in 0.4 s" in err


def test_five_deaths_in_a_minute_are_enough(start: Start, state: Path) -> None:
    process = start(FAKE_PROXY_DIES="0.6")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the proxy ended 5 times in a minute (last: exit code 3); giving up" in err
    assert len(starts(state)) == 5
    assert "control-plane" in (state / "ends").read_text()


def test_a_start_that_fails_shows_the_last_lines_of_the_log(start: Start, state: Path) -> None:
    process = start(FAKE_CONTROL_PLANE_FAILS="1")
    (state / "x").parent.mkdir(exist_ok=True)
    (state / "postgres").mkdir(parents=True, exist_ok=True)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the control plane did not start (exit code 1)" in err
    assert "control-plane.log" in err


def test_a_second_up_on_the_same_folder_is_refused(start: Start, state: Path) -> None:
    first = start()
    ready(state)
    second = start()
    _, err = second.communicate(timeout=30)
    assert second.returncode == 4
    assert f"(process {first.pid})" in err
    assert ready(state)["pid"] == first.pid
    assert stop(first)[0] == 0


def test_an_address_in_use_is_told_before_anything_starts(start: Start, state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = start(address)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"--http: the address {address} is in use" in err
    assert not (state / "starts").exists()


def test_a_broken_manifest_ends_it_with_its_line(start: Start, state: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text("routes:\n- {name: chat, polcy: sandbox}\n")
    process = start("127.0.0.1:0", str(manifest))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"{manifest}:2: routes[0]: unknown field 'polcy' (did you mean 'policy'?)" in err
    assert starts(state) == []


def test_a_second_signal_stops_at_once(start: Start, state: Path) -> None:
    process = start(FAKE_PROXY_HANGS="1")
    ready(state)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    begun = time.monotonic()
    code, _, err = stop(process, signal.SIGINT)
    assert code == 0
    assert time.monotonic() - begun < 5
    assert "the proxy is ended at once" in err


def test_children_do_not_outlive_an_up_that_is_killed(start: Start, state: Path) -> None:
    process = start()
    ready(state)
    process.kill()
    until(lambda: len((state / "ends").read_text().splitlines()) == 2 if (state / "ends").exists() else False)
    again = start()
    until(lambda: len(starts(state)) == 2)
    assert stop(again)[0] == 0


def test_a_missing_kek_beside_existing_data_is_not_replaced(start: Start, state: Path) -> None:
    (state / "postgres").mkdir(parents=True)
    (state / "postgres" / "PG_VERSION").write_text("17")
    process = start()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "kek is missing" in err
    assert not (state / "kek").exists()


def test_a_folder_that_everybody_shares_is_not_taken(start: Start, state: Path) -> None:
    state.mkdir(mode=0o1777)
    state.chmod(0o1777)
    process = start()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "everybody shares" in err
    assert stat.S_IMODE(state.stat().st_mode) == 0o1777


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from admin_cli.errors import from_system
    from admin_cli.state import write_private

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as caught:
        write_private(tmp_path / "kek", "x")
    problem = from_system(caught.value)
    assert str(tmp_path / "kek") in problem.message
    assert "disk is full" in problem.hint
    assert list(tmp_path.iterdir()) == []
