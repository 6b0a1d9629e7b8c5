"""A proxy joins a control plane as in a real deployment: by a token once, by its certificate from then on."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.child_process import ChildProcess
from tests.support.processes import clean_environment, headgate_command
from tests.support.sockets import free_port

MANIFEST = """
providers: [{name: sandbox, kind: sandbox}]
models: [{name: words, provider: sandbox}]
routes: [{name: chat, policy: words}]
"""
# A revoked proxy's streams are closed within five seconds, says the promise; the rest is the test's patience.
REVOKED_SECONDS = 5.0


@dataclass(frozen=True)
class Plane:
    folder: Path
    grpc_port: int
    environment: dict[str, str]
    key: str

    def cli(self, *arguments: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            [headgate_command(), *arguments, "-o", "json"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
        return items

    def join_token(self, region: str = "eu", *more: str) -> str:
        return str(self.cli("join-token", "create", "--region", region, *more)[0]["secret"])

    def proxy(self, name: str, *arguments: str, **environment: str) -> ChildProcess:
        """Its state outlives it; its ready file is `NAME.json`."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        command: list[str | Path] = [sys.executable, "-m", "proxy", "--region", "eu", "--name", name]
        command += ["--control-plane", f"127.0.0.1:{self.grpc_port}", "--http", "127.0.0.1:0"]
        command += ["--ops", "127.0.0.1:0", "--state", self.folder / name, "--drain", "1s"]
        command += ["--ready-file", self.folder / f"{name}.json", *arguments]
        log = self.folder / f"{name}.log"
        log.unlink(missing_ok=True)
        return ChildProcess(command, log, clean_environment(**environment))

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def standing(self, name: str) -> dict[str, Any]:
        return next((one for one in self.cli("get", "proxies") if one["name"] == name), {})


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("joining")
    grpc_port = free_port()
    environment = clean_environment(
        HEADGATE_KEK=base64.b64encode(os.urandom(32)).decode(),
        HEADGATE_CONTROL_PLANE=f"127.0.0.1:{grpc_port}",
        HEADGATE_STATE=str(folder / "state"),
    )
    command: list[str | Path] = [sys.executable, "-m", "control_plane", "--proxies", "127.0.0.1:0"]
    command += ["--grpc", f"127.0.0.1:{grpc_port}", "--ready-file", folder / "plane.json"]
    command += ["--embedded-postgres", folder / "postgres"]
    with ChildProcess(command, folder / "plane.log", environment) as control_plane:
        control_plane.wait_for_file(folder / "plane.json")
        made = Plane(folder, grpc_port, environment, "")
        environment["HEADGATE_TOKEN"] = made.cli("token", "bootstrap")[0]["secret"]
        (folder / "manifest.yaml").write_text(MANIFEST)
        made.cli("apply", "-f", str(folder / "manifest.yaml"))
        yield Plane(folder, grpc_port, environment, made.cli("key", "create", "app")[0]["secret"])


def call(plane: Plane, name: str) -> int:
    address = json.loads((plane.folder / f"{name}.json").read_text())["http"]
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {plane.key}", "content-type": "application/json"}
    request = urllib.request.Request(f"{address}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.status)


def until(what: Callable[[], bool], seconds: float, message: str) -> float:
    """Seconds until it held."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, message
        time.sleep(0.05)
    return time.monotonic() - began


def test_a_proxy_joins_answers_reports_and_needs_no_token_afterwards(plane: Plane) -> None:
    with plane.proxy("edge", HEADGATE_JOIN_TOKEN=plane.join_token()) as running:
        running.wait_for_file(plane.folder / "edge.json")
        assert call(plane, "edge") == 200
        until(lambda: bool(plane.cli("calls")), 5, "its usage is reported")
        assert plane.standing("edge")["connected"]
        (token,) = [one for one in plane.cli("get", "tokens") if one["name"] == "edge"]
        assert token["role"] == "proxy"
        folder = plane.folder / "edge" / "identity"
        assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()] == [
            ("certificate.json", 0o600)
        ]
    with plane.proxy("edge") as again:
        again.wait_for_file(plane.folder / "edge.json")
        assert call(plane, "edge") == 200
        until(lambda: bool(plane.standing("edge")["connected"]), 10, "it is connected by its certificate")
        assert "not_joined" not in plane.log("edge")


def test_a_token_that_bought_a_certificate_nobody_could_write_down_is_not_lost(plane: Plane) -> None:
    """A full disk, or kill -9 at the wrong moment; the proxy's key is enough."""
    obstacle = plane.folder / "torn" / "identity" / "certificate.new"
    obstacle.mkdir(parents=True)
    with plane.proxy("torn", HEADGATE_JOIN_TOKEN=plane.join_token()) as running:
        running.wait_for_file(plane.folder / "torn.json")
        assert "certificate.new" in plane.log("torn")
        running.kill()
    obstacle.rmdir()
    assert not (obstacle.parent / "certificate.json").exists()
    with plane.proxy("torn") as again:
        again.wait_for_file(plane.folder / "torn.json")
        until(lambda: bool(plane.standing("torn").get("connected")), 10, "it is connected by its key")
        assert call(plane, "torn") == 200
    assert [path.name for path in sorted(obstacle.parent.iterdir())] == ["certificate.json"]


def test_a_start_under_another_region_costs_a_proxy_nothing(plane: Plane) -> None:
    token = plane.join_token()
    with plane.proxy("astray", HEADGATE_JOIN_TOKEN=token) as running:
        running.wait_for_file(plane.folder / "astray.json")
        until(lambda: bool(plane.standing("astray").get("connected")), 10, "it is connected")
    with plane.proxy("astray", "--region", "us", HEADGATE_JOIN_TOKEN=token):
        until(lambda: "not_joined" in plane.log("astray"), 15, "another region needs another token")
    with plane.proxy("astray", HEADGATE_JOIN_TOKEN=token):
        until(lambda: bool(plane.standing("astray").get("connected")), 15, "it is itself again")
        assert call(plane, "astray") == 200


def test_a_state_key_opens_the_last_good_config_and_nothing_on_the_disk_does(plane: Plane) -> None:
    key = "k" * 40
    with plane.proxy("sealed", HEADGATE_JOIN_TOKEN=plane.join_token(), HEADGATE_STATE_KEY=key) as running:
        running.wait_for_file(plane.folder / "sealed.json")
        until((plane.folder / "sealed" / "config" / "config.current").exists, 5, "the config is kept")
    with plane.proxy("sealed", HEADGATE_STATE_KEY=key) as again:
        again.wait_for_file(plane.folder / "sealed.json")
        assert "last_good_config_passed_over" not in plane.log("sealed")
    with plane.proxy("sealed") as without:
        without.wait_for_file(plane.folder / "sealed.json")
        assert "sealed under another" in plane.log("sealed")


def test_a_state_key_that_is_too_short_is_refused(plane: Plane) -> None:
    with plane.proxy("short", HEADGATE_STATE_KEY="secret") as refused:
        assert refused.wait() == 2
    assert "the state key has 6 characters" in plane.log("short")


def test_starting_workers_leaves_the_calls_under_way_alone(plane: Plane) -> None:
    """With its handlers for forks gRPC would send them once more: a join, whose token is then used up."""
    with plane.proxy("forking", "--workers", "2", HEADGATE_JOIN_TOKEN=plane.join_token()) as running:
        running.wait_for_file(plane.folder / "forking.json")
        assert call(plane, "forking") == 200
        assert "fork_posix" not in plane.log("forking")


def test_a_token_is_for_one_proxy_and_for_its_region(plane: Plane) -> None:
    token = plane.join_token()
    with plane.proxy("first", HEADGATE_JOIN_TOKEN=token) as running:
        running.wait_for_file(plane.folder / "first.json")
    for name, secret, why in (
        ("second", token, "UNAUTHENTICATED"),
        ("abroad", plane.join_token("us"), "proxies of region us"),
    ):
        with plane.proxy(name, HEADGATE_JOIN_TOKEN=secret):
            until(lambda: "not_joined" in plane.log(name), 10, "it says so")  # noqa: B023
            assert why in plane.log(name)
            assert secret not in plane.log(name)
            assert not (plane.folder / f"{name}.json").exists()
        assert plane.standing(name) == {}


def test_one_token_of_many_uses_serves_many_and_ends_when_it_is_revoked(plane: Plane) -> None:
    token = plane.join_token("eu", "--uses", "3", "--expires", "1d", "--label", "pool=spot")
    for name in ("many-1", "many-2"):
        with plane.proxy(name, HEADGATE_JOIN_TOKEN=token) as running:
            running.wait_for_file(plane.folder / f"{name}.json")
            assert plane.standing(name)["labels"] == {"pool": "spot"}
    (left,) = [one for one in plane.cli("join-token", "list") if one["labels"] == {"pool": "spot"}]
    assert left["uses_left"] == 1
    plane.cli("join-token", "revoke", left["public_id"])
    with plane.proxy("many-3", HEADGATE_JOIN_TOKEN=token):
        until(lambda: "not_joined" in plane.log("many-3"), 10, "it was revoked")


def test_a_revoked_proxys_streams_end_and_do_not_come_back(plane: Plane) -> None:
    with plane.proxy("gone", HEADGATE_JOIN_TOKEN=plane.join_token()) as running:
        running.wait_for_file(plane.folder / "gone.json")
        until(lambda: bool(plane.standing("gone").get("connected")), 5, "it is connected")
        plane.cli("token", "revoke", "gone")
        until(lambda: not plane.standing("gone")["connected"], REVOKED_SECONDS, "its streams are closed")
        until(lambda: "UNAUTHENTICATED" in plane.log("gone"), 5, "and no new ones opened")
        time.sleep(1)
        assert not plane.standing("gone")["connected"]
        assert call(plane, "gone") == 200, "what it serves is another matter: it fails static"
