"""The three programs started one by one as in a real deployment: TLS everywhere, two control plane addresses.

Uses a certificate made for this run; plain text beyond loopback is refused by both sides.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import make_certificate
from tests.support.child_process import ChildProcess
from tests.support.processes import clean_environment, headgate_command
from tests.support.sockets import free_port

MANIFEST = """
providers: [{name: sandbox, kind: sandbox}]
models: [{name: words, provider: sandbox}]
routes: [{name: chat, policy: words}]
"""


@dataclass(frozen=True)
class Deployment:
    certificate: Path
    http_port: int
    key: str
    environment: dict[str, str]


def _cli(environment: dict[str, str], *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [headgate_command(), *arguments, "-o", "json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key_file = make_certificate(folder)
    grpc_port, nobody = free_port(), free_port()
    environment = clean_environment(
        HEADGATE_KEK=base64.b64encode(os.urandom(32)).decode(),
        HEADGATE_CA_FILE=str(certificate),
        HEADGATE_CONTROL_PLANE=f"localhost:{grpc_port}",
        HEADGATE_STATE=str(folder / "state"),
    )
    tls: list[str | Path] = ["--tls-cert", certificate, "--tls-key", key_file]
    plane: list[str | Path] = [
        sys.executable,
        "-m",
        "control_plane",
        "--grpc",
        f"127.0.0.1:{grpc_port}",
        *tls,
    ]
    plane += ["--embedded-postgres", folder / "postgres", "--ready-file", folder / "plane.json"]
    with ChildProcess(plane, folder / "plane.log", environment) as control_plane:
        control_plane.wait_for_file(folder / "plane.json")
        environment["HEADGATE_TOKEN"] = _cli(environment, "token", "bootstrap")[0]["secret"]
        token = _cli(environment, "token", "create", "edge", "--role", "proxy")[0]["secret"]
        manifest = folder / "manifest.yaml"
        manifest.write_text(MANIFEST)
        _cli(environment, "apply", "-f", str(manifest))
        key = _cli(environment, "key", "create", "app")[0]["secret"]
        http_port = free_port()
        # The first address answers nothing: the proxy goes on to the second.
        proxy: list[str | Path] = [sys.executable, "-m", "proxy", "--region", "eu", *tls, "--workers", "2"]
        proxy += ["--control-plane", f"localhost:{nobody}", f"localhost:{grpc_port}"]
        proxy += ["--http", f"127.0.0.1:{http_port}", "--ops", "127.0.0.1:0"]
        proxy += ["--state", folder / "proxy", "--ready-file", folder / "proxy.json"]
        proxy_environment = {**environment, "HEADGATE_TOKEN": token}
        with ChildProcess(proxy, folder / "proxy.log", proxy_environment) as running:
            running.wait_for_file(folder / "proxy.json")
            yield Deployment(certificate, http_port, key, environment)


def _call(deployment: Deployment, *, stream: bool) -> tuple[http.client.HTTPResponse, bytes]:
    context = ssl.create_default_context(cafile=str(deployment.certificate))
    connection = http.client.HTTPSConnection("localhost", deployment.http_port, context=context, timeout=10)
    body = {"model": "chat", "stream": stream, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {deployment.key}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response, data


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_is_answered_over_tls_by_a_proxy_that_was_configured_over_tls(
    deployment: Deployment, stream: bool
) -> None:
    response, data = _call(deployment, stream=stream)
    assert response.status == 200
    assert b"Headgate sandbox" in data or b"Headgate" in data
    assert response.getheader("x-headgate-model") == "sandbox/words"


def test_a_receipt_is_found_whichever_worker_answered(deployment: Deployment) -> None:
    context = ssl.create_default_context(cafile=str(deployment.certificate))
    found = 0
    for _ in range(6):
        response, _ = _call(deployment, stream=False)
        request_id = response.getheader("x-request-id")
        connection = http.client.HTTPSConnection(
            "localhost", deployment.http_port, context=context, timeout=10
        )
        headers = {"authorization": f"Bearer {deployment.key}"}
        connection.request("GET", f"/headgate/v1/receipts/{request_id}", headers=headers)
        answer = connection.getresponse()
        found += answer.status == 200 and json.loads(answer.read())["request_id"] == request_id
        connection.close()
    assert found == 6


def test_the_fleet_shows_the_proxy_with_the_version_that_was_applied(deployment: Deployment) -> None:
    (proxy,) = _cli(deployment.environment, "get", "proxies")
    assert proxy["region"] == "eu"
    assert proxy["connected"] is True
    assert not proxy["last_nack"]


def test_a_control_plane_refuses_plain_text_beyond_loopback(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "control_plane", "--grpc", "0.0.0.0:0"]
    arguments += ["--embedded-postgres", str(tmp_path / "postgres")]
    done = subprocess.run(arguments, env=clean_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "--tls-cert" in done.stderr
    assert not (tmp_path / "postgres").exists()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--region", "eu"], "HEADGATE_TOKEN"),
        (["--region", "eu", "--tls-cert", "cert.pem"], "belong together"),
        (["--control-plane", "nowhere"], "HOST:PORT"),
        ([], "--region"),
        (["--region", "eu", "--workers", "0"], "--workers"),
        (["--region", "eu", "--label", "x"], "name=value"),
        (["--region", "eu", "--join-token-file", "f"], "cannot be read"),
    ],
)
def test_a_proxy_says_what_is_wrong_with_its_arguments(arguments: list[str], hint: str) -> None:
    environment = clean_environment()
    if hint != "HEADGATE_TOKEN":
        environment["HEADGATE_TOKEN"] = "a-token"
    command = [sys.executable, "-m", "proxy", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_changed_certificate_is_shown_to_new_connections_and_a_wrong_one_is_passed_over(
    deployment: Deployment,
) -> None:
    host, port = deployment.environment["HEADGATE_CONTROL_PLANE"].split(":")
    folder = deployment.certificate.parent
    old = deployment.certificate.read_text()
    old_key = (folder / "key.pem").read_text()
    assert ssl.get_server_certificate((host, int(port))).split() == old.split()
    (folder / "new").mkdir()
    new, new_key = make_certificate(folder / "new")
    try:
        deployment.certificate.write_text(new.read_text())  # not with that key
        assert ssl.get_server_certificate((host, int(port))).split() == old.split()
        (folder / "key.pem").write_text(new_key.read_text())
        assert ssl.get_server_certificate((host, int(port))).split() == new.read_text().split()
    finally:
        (folder / "key.pem").write_text(old_key)
        deployment.certificate.write_text(old)
    assert ssl.get_server_certificate((host, int(port))).split() == old.split()
    assert "passed over" in (folder / "plane.log").read_text()
