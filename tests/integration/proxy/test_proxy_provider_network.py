"""How providers are reached where the network has rules: keys by file, a private CA, an egress proxy."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import make_certificate
from tests.support.fake_provider import FakeProvider
from tests.support.processes import Headgate, start_headgate
from tests.support.tunnels import ConnectProxy, TlsFront

KEY, NEXT_KEY = "sk-fake-by-file", "sk-fake-by-file-2"


@dataclass(frozen=True)
class Network:
    headgate: Headgate
    provider: FakeProvider
    egress: ConnectProxy
    secrets: Path
    tls_port: int

    def call(self, model: str) -> tuple[int, str]:
        """Status, and the provider's key or the error's message."""
        before = len(self.provider.attempts())
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
        headers = {"authorization": f"Bearer {self.headgate.api_key}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.headgate.base_url}/chat/completions", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                answer.read()
                (attempt,) = self.provider.attempts()[before:]
                return answer.status, (attempt.header("authorization") or "").removeprefix("Bearer ")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("network")
    certificate, key = make_certificate(folder)
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "key").write_text(f"{KEY}\n")
    (secrets / "ca.pem").write_bytes(certificate.read_bytes())
    (secrets / "no-ca.pem").write_text("nothing")
    (folder / "outside").write_text(KEY)
    (secrets / "out").symlink_to(folder / "outside")
    with (
        FakeProvider() as provider,
        TlsFront(certificate, key, provider.port) as front,
        ConnectProxy() as egress,
    ):
        headgate = start_headgate(
            folder, manifest(provider, front.port, egress.port), "--secrets-dir", str(secrets)
        )
        try:
            yield Network(headgate, provider, egress, secrets, front.port)
        finally:
            headgate.stop()


def eventually(is_so: Callable[[], bool]) -> None:
    """Files are looked at every two seconds."""
    deadline = time.monotonic() + 15
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def manifest(provider: FakeProvider, tls_port: int, egress_port: int) -> dict[str, Any]:
    over_tls = f"https://localhost:{tls_port}/v1"
    egress = f"http://127.0.0.1:{egress_port}"
    declared: dict[str, dict[str, Any]] = {
        "by-file": {"base_url": provider.base_url, "keys": [{"file": "key"}]},
        "absent": {"base_url": provider.base_url, "keys": [{"file": "absent"}]},
        "one-of-two": {
            "base_url": provider.base_url,
            "keys": [{"name": "a", "file": "absent"}, {"name": "b", "value": "sk-fake-b"}],
        },
        "link": {"base_url": provider.base_url, "keys": [{"file": "out"}]},
        "system-ca": {"base_url": over_tls, "keys": ["sk-fake"]},
        "own-ca": {"base_url": over_tls, "keys": ["sk-fake"], "tls": {"ca_file": "ca.pem"}},
        "no-ca": {"base_url": over_tls, "keys": ["sk-fake"], "tls": {"ca_file": "no-ca.pem"}},
        "tunnel": {
            "base_url": over_tls,
            "keys": ["sk-fake"],
            "tls": {"ca_file": "ca.pem"},
            "egress_proxy": egress,
        },
        "metadata": {"base_url": "https://169.254.169.254/v1", "keys": ["sk-fake"], "egress_proxy": egress},
    }
    return {
        "providers": [
            {"name": name, "kind": "openai-compatible", "private_network": True, **fields}
            for name, fields in declared.items()
        ],
        "models": [{"name": f"m-{name}", "provider": name, "upstream_model": "words"} for name in declared],
        "routes": [{"name": "chain", "policy": {"fallback": ["m-absent", "m-by-file"]}}],
    }


def test_a_key_by_file_is_read_by_the_proxy_and_never_sent_to_the_control_plane(network: Network) -> None:
    assert network.call("m-by-file") == (200, KEY)
    shown = json.dumps(network.headgate.items("get", "provider", "by-file"))
    assert '"file": "key"' in shown
    assert KEY not in shown
    exported = network.headgate.cli("export").stdout
    assert KEY not in exported
    assert '"file": "key"' in exported


def test_a_changed_file_is_taken_up_without_a_restart(network: Network) -> None:
    temporary = network.secrets / ".next"
    temporary.write_text(NEXT_KEY)
    os.replace(temporary, network.secrets / "key")
    try:
        eventually(lambda: network.call("m-by-file") == (200, NEXT_KEY))
    finally:
        (network.secrets / "key").write_text(KEY)
    eventually(lambda: network.call("m-by-file") == (200, KEY))


def test_a_missing_file_makes_only_its_provider_unusable(network: Network) -> None:
    status, body = network.call("m-absent")
    assert status == 502
    assert "missing on this proxy" in body
    assert network.call("m-one-of-two") == (200, "sk-fake-b")
    assert network.call("chain") == (200, KEY)
    (network.secrets / "absent").write_text("sk-fake-late")
    try:
        eventually(lambda: network.call("m-absent") == (200, "sk-fake-late"))
    finally:
        (network.secrets / "absent").unlink()
    log = (network.headgate.state / "logs" / "proxy.log").read_text()
    assert "absent: No such file or directory" in log
    assert KEY not in log


def test_no_link_leads_out_of_the_folder(network: Network) -> None:
    assert network.call("m-link")[0] == 502
    assert "leads out of --secrets-dir" in (network.headgate.state / "logs" / "proxy.log").read_text()


def test_a_provider_with_a_private_ca_is_believed_by_that_ca_alone(network: Network) -> None:
    assert network.call("m-own-ca") == (200, "sk-fake")
    status, body = network.call("m-system-ca")
    assert (status, "connect_failed" in body) == (502, True)
    assert "TLS failed: CERTIFICATE_VERIFY_FAILED (self" in body, "and what is wrong with it"
    assert network.call("m-no-ca")[0] == 502


def test_an_egress_proxy_is_asked_to_connect_and_sees_only_the_address(network: Network) -> None:
    before = len(network.egress.asked)
    assert network.call("m-tunnel") == (200, "sk-fake")
    assert network.egress.asked[before:] == [f"CONNECT localhost:{network.tls_port}"]


def test_a_refusing_egress_proxy_fails_the_call_and_no_way_around_it_is_taken(network: Network) -> None:
    network.headgate.restart()  # no connection is left from before
    network.egress.status = 403
    before = len(network.provider.attempts())
    try:
        status, body = network.call("m-tunnel")
    finally:
        network.egress.status = 200
    assert (status, "connect_failed" in body) == (502, True)
    assert len(network.provider.attempts()) == before


def test_the_egress_proxy_is_not_asked_for_a_metadata_address(network: Network) -> None:
    before = len(network.egress.asked)
    status, body = network.call("m-metadata")
    assert (status, "address_refused" in body) == (502, True)
    assert network.egress.asked[before:] == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"keys": [{"file": "../etc/passwd"}]}, "below the proxies' --secrets-dir"),
        ({"keys": [{"file": "/etc/passwd"}]}, "below the proxies' --secrets-dir"),
        ({"keys": [{"file": "a", "value": "sk-fake"}]}, "not both"),
        ({"tls": {"ca_file": "../ca.pem"}}, "below the proxies' --secrets-dir"),
        ({"egress_proxy": "socks5://127.0.0.1:1080"}, "http://HOST:PORT"),
        ({"egress_proxy": "http://user:pass@127.0.0.1:3128"}, "must not contain credentials"),
        ({"egress_proxy": "http://127.0.0.1:3128", "base_url": "http://127.0.0.1:1/v1"}, "needs an https"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(
    network: Network, fields: dict[str, Any], said: str
) -> None:
    provider = {
        "name": "wrong",
        "kind": "openai-compatible",
        "base_url": "https://localhost/v1",
        "private_network": True,
        **fields,
    }
    file = network.secrets.parent / "wrong.yaml"
    file.write_text(json.dumps({"providers": [provider]}))
    done = network.headgate.cli("apply", "-f", str(file))
    assert done.returncode == 1
    assert said in done.stderr
