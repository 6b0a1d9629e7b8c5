from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from tests.unit.cli.conftest import Outcome
from tests.unit.cli.fake_admin import FakeAdmin

Headgate = Callable[..., Outcome]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.NOT_FOUND, 3),
        (grpc.StatusCode.ALREADY_EXISTS, 4),
        (grpc.StatusCode.ABORTED, 4),
        (grpc.StatusCode.FAILED_PRECONDITION, 4),
        (grpc.StatusCode.UNAUTHENTICATED, 5),
        (grpc.StatusCode.PERMISSION_DENIED, 5),
        (grpc.StatusCode.UNAVAILABLE, 6),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 6),
        (grpc.StatusCode.INVALID_ARGUMENT, 1),
        (grpc.StatusCode.INTERNAL, 1),
        (grpc.StatusCode.UNIMPLEMENTED, 1),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 1),
    ],
)
def test_every_status_has_the_exit_code_of_the_interface(
    admin: FakeAdmin, headgate: Headgate, status: grpc.StatusCode, code: int
) -> None:
    admin.failures["GetResource"] = (status, "because of this", [])
    outcome = headgate("get", "route", "chat")
    assert outcome.code == code
    assert outcome.out == ""
    assert "Traceback" not in outcome.err


def test_nobody_there_is_6_and_says_what_to_do(
    state: Path, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_CONTROL_PLANE", "127.0.0.1:1")
    outcome = headgate("history")
    assert outcome.code == 6
    assert "127.0.0.1:1" in outcome.err
    assert "headgate up" in outcome.err


def test_no_token_is_5_and_says_where_tokens_come_from(
    admin: FakeAdmin, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADGATE_TOKEN")
    outcome = headgate("history")
    assert outcome.code == 5
    assert "HEADGATE_TOKEN" in outcome.err


def test_address_and_token_are_found_in_the_state_folder(
    admin: FakeAdmin, headgate: Headgate, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "run").mkdir()
    (state / "run" / "up.json").write_text(f'{{"grpc": "{os.environ["HEADGATE_CONTROL_PLANE"]}"}}')
    (state / "admin-token").write_text(os.environ["HEADGATE_TOKEN"] + "\n")
    monkeypatch.delenv("HEADGATE_TOKEN")
    monkeypatch.delenv("HEADGATE_CONTROL_PLANE")
    assert headgate("history").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        [],
        ["get"],
        ["get", "rout"],
        ["get", "routes", "-o", "xml"],
        ["apply"],
        ["usage", "--by", "modle"],
        ["usage", "--since", "1", "--from", "2026-01-01"],
        ["usage", "--from", "yesterday"],
        ["disable", "route", "chat"],
        ["token", "create", "x", "--role", "king"],
        ["delete", "token", "x"],
        ["up", "--http", "8080"],
        ["up", "--database-url", "postgresql://me:s3cr3t@db/x"],
        ["control-plane", "--grpc", "127.0.0.1:0", "--database-url=postgresql://me:s3cr3t@db/x"],
        ["control-plane", "--database-url", "host=db password=s3cr3t"],
    ],
)
def test_wrong_usage_is_2_and_shows_no_secret(state: Path, headgate: Headgate, arguments: list[str]) -> None:
    outcome = headgate(*arguments)
    assert outcome.code == 2
    assert "→" in outcome.err
    assert "s3cr3t" not in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [
        "import litellm F",
    ],
)
def test_what_is_not_built_yet_is_refused(state: Path, headgate: Headgate, arguments: str) -> None:
    outcome = headgate(*arguments.split())
    assert outcome.code == 1
    assert "not supported yet" in outcome.err


def test_the_token_never_travels_in_plain_text_to_another_machine(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from admin_cli.client import AdminClient, Connection

    monkeypatch.setenv("HEADGATE_TOKEN", "hgt-x")
    monkeypatch.setenv("HEADGATE_CONTROL_PLANE", "192.0.2.1:8081")
    plain: list[str] = []
    monkeypatch.setattr(grpc, "insecure_channel", lambda target, *_: plain.append(target))
    with AdminClient(Connection.from_environment()):
        assert plain == []
    assert "hgt-x" not in repr(Connection.from_environment())


@pytest.mark.parametrize("program", ["control-plane", "proxy"])
def test_a_program_gets_its_arguments_unchanged(program: str, tmp_path: Path) -> None:
    module = program.replace("-", "_")
    # What stands in the current folder is not run: PYTHONPATH comes first only because it is asked for.
    (tmp_path / f"{module}.py").write_text("import sys; print(sys.argv[1:]); sys.exit(7)")
    command = [sys.executable, "-P", "-m", "admin_cli", program, "--help", "-x", "--a=b c", "--", "-"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (7, "['--help', '-x', '--a=b c', '--', '-']\n")


def test_a_reader_that_has_enough_is_no_error(admin: FakeAdmin) -> None:
    script = "from admin_cli.main import run; run()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "usage"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == ""
    assert process.wait(30) == 0
