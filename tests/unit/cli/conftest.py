"""A fake control plane on loopback, and the command run against it in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from admin_cli.main import execute
from tests.unit.cli.fake_admin import FakeAdmin, serve

OWNER = "hgt-000000000000-" + "o" * 43


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.document["items"]
        return items


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("HEADGATE_STATE", str(folder))
    for name in ("HEADGATE_TOKEN", "HEADGATE_CONTROL_PLANE", "HEADGATE_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def admin(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAdmin]:
    fake = FakeAdmin()
    fake.tokens["owner"] = (OWNER, "owner")
    server, port = serve(fake, "127.0.0.1:0")
    monkeypatch.setenv("HEADGATE_CONTROL_PLANE", f"127.0.0.1:{port}")
    monkeypatch.setenv("HEADGATE_TOKEN", OWNER)
    yield fake
    server.stop(0).wait()


@pytest.fixture
def headgate(state: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = execute([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name: str = "m.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write
