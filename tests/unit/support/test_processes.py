"""Processes are found by role, killed by pid, and leave a ledger that can be read after their death."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.child_process import ChildProcess, kill_by_pid
from tests.support.fake_provider import Behaviour
from tests.support.processes import clean_environment, start_fake_provider, start_headgate
from tests.support.provider import presets


def post(url: str, document: dict[str, object]) -> int:
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(document).encode())
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
        answer.read()
        status: int = answer.status
        return status


def test_the_ledger_file_outlives_a_killed_provider(tmp_path: Path) -> None:
    with start_fake_provider(tmp_path) as provider:
        provider.script("m", Behaviour(text="scripted from outside"))
        provider.always("silent", presets.silence())
        assert post(provider.base_url, {"model": "m"}) == 200
        with pytest.raises(OSError, match="timed out"):
            urllib.request.urlopen(
                f"{provider.base_url}/chat/completions", b'{"model":"silent"}', timeout=0.2
            )
        remote = provider.attempts()
        kill_by_pid(provider.process.pid)
        recorded = provider.recorded()
    assert [attempt.model for attempt in recorded] == ["m", "silent"]
    assert recorded[0] == remote[0]
    assert recorded[0].complete
    assert not recorded[1].complete


def test_a_restarted_provider_continues_its_ledger(tmp_path: Path) -> None:
    for _ in range(2):
        with start_fake_provider(tmp_path) as provider:
            post(provider.base_url, {"model": "m"})
    assert [attempt.number for attempt in provider.recorded()] == [1, 2]


PARENT_OF_PROXY = """
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "-m", "proxy"])
pathlib.Path(sys.argv[1]).write_text("{}")
child.wait()
"""


def test_an_orphan_is_found_and_ended(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    process = ChildProcess([sys.executable, "-c", PARENT_OF_PROXY, ready], tmp_path / "log")
    process.wait_for_file(ready)
    (pid,) = process.descendants_running("proxy")
    process.kill()
    assert process.descendants_running("proxy") == [pid]
    process.stop()
    assert process.descendants() == []


FAKE_HEADGATE = f"""#!{sys.executable}
import json, os, subprocess, sys, time
if sys.argv[1] != "up":
    print(json.dumps({{"items": [{{"arguments": sys.argv[1:], "token": os.environ["HEADGATE_TOKEN"]}}]}}))
    sys.exit()
options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "-m", "proxy"])
ready = {{"http": "http://127.0.0.1:1", "grpc": "127.0.0.1:2", "ops": "http://127.0.0.1:3"}}
ready |= {{"admin_token": "admin", "api_key": "hg-test", "pid": os.getpid()}}
os.makedirs(options["--state"], exist_ok=True)
with open(options["--ready-file"] + ".tmp", "w") as file:
    json.dump(ready, file)
os.replace(options["--ready-file"] + ".tmp", options["--ready-file"])
child.wait()
time.sleep(60)
"""


@pytest.fixture
def fake_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "headgate"
    command.write_text(FAKE_HEADGATE)
    command.chmod(0o700)
    monkeypatch.setattr("tests.support.processes.headgate_command", lambda: command)


@pytest.mark.usefixtures("fake_command")
def test_a_headgate_is_driven_by_its_ready_file_and_its_command(tmp_path: Path) -> None:
    with start_headgate(tmp_path, {"routes": []}) as headgate:
        assert headgate.base_url == "http://127.0.0.1:1/v1"
        (usage,) = headgate.usage("--by", "model")
        assert usage == {"arguments": ["usage", "--by", "model", "-o", "json"], "token": "admin"}
        assert headgate.apply("routes: []")[0]["arguments"][0] == "apply"
        (proxy,) = headgate.pids("proxy")
        assert headgate.kill("proxy") == proxy
        assert headgate.pids("proxy") == []
        before = headgate.pid
        headgate.restart()
        assert headgate.pid != before
        headgate.kill_all()
        assert headgate.pids("proxy") == []


def test_a_program_that_ends_too_early_shows_its_log(tmp_path: Path) -> None:
    with ChildProcess(
        [sys.executable, "-c", "raise SystemExit('no such luck')"], tmp_path / "log"
    ) as process:
        with pytest.raises(RuntimeError, match="no such luck"):
            process.wait_for_file(tmp_path / "never")
        assert process.exit_code == 1


def test_settings_of_the_machine_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADGATE_KEK", "OPENAI_API_KEY", "OPENAI_BASE_URL", "https_proxy"):
        monkeypatch.setenv(name, "x")
    environment = clean_environment(HEADGATE_STATE="/state")
    assert "PATH" in environment
    assert environment["HEADGATE_STATE"] == "/state"
    assert not {"HEADGATE_KEK", "OPENAI_API_KEY", "OPENAI_BASE_URL", "https_proxy"} & set(environment)
