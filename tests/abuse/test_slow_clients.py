"""Thousands of clients that take their time (A1): each is cut off, and nobody else notices."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.abuse.scale import FULL, times
from tests.abuse.slow import KINDS, attack, each_of_them
from tests.abuse.target import VALID, proxy_pid
from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.raw_client import request_bytes
from tests.support.certificates import make_certificate
from tests.support.child_process import ChildProcess
from tests.support.load import Load
from tests.support.processes import clean_environment

CLIENTS = times(4 * len(KINDS), 5_000)
CALLS_PER_SECOND = times(20, 50)
PAUSE_SECONDS = times(1, 2) * 0.75
LONGEST_STAY_SECONDS = 10.0
HEALTHY_SHARE = 0.999


@pytest.fixture
def tls_url(gateway: Gateway, tmp_path: Path) -> Iterator[str]:
    """A second proxy, which speaks TLS alone."""
    certificate, key = make_certificate(tmp_path)
    ready = tmp_path / "ready.json"
    token = gateway.headgate.proxy_token()
    command: list[str | Path] = [sys.executable, "-m", "proxy", "--region", "local", "--name", "tls"]
    command += ["--control-plane", gateway.headgate.grpc, "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0"]
    command += ["--tls-cert", certificate, "--tls-key", key, "--state", tmp_path / "tls"]
    command += ["--ready-file", ready, "--no-call-log"]
    environment = clean_environment(HEADGATE_TOKEN=token)
    with ChildProcess(command, tmp_path / "tls.log", environment) as proxy:
        yield str(proxy.wait_for_file(ready)["http"])


def test_slow_clients_are_cut_off_and_others_are_served(gateway: Gateway, tls_url: str) -> None:
    proxy = psutil.Process(proxy_pid(gateway))
    descriptors = proxy.num_fds()
    with gateway.connect() as idle, Load(gateway.base_url, VALID, ["gpt-plain"], CALLS_PER_SECOND) as load:
        idle.send(request_bytes(b"", VALID, "/v1/models", "GET"))
        assert idle.answer().status == 200
        load.wait_complete(1)
        stays = attack(each_of_them(CLIENTS), gateway.url, tls_url, PAUSE_SECONDS)
        calls = load.stop()
        # Whoever has had an answer may be silent for longer.
        idle.send(request_bytes(b"", VALID, "/v1/models", "GET"))
        assert idle.answer().status == 200
    longest = {kind.name: max((s.seconds or 1e9) for s in stays if s.kind == kind.name) for kind in KINDS}
    good = sum(call.complete for call in calls)
    print(f"{len(stays)} slow clients, {good} of {len(calls)} calls good; longest stay by kind:")
    print(json.dumps(longest, indent=1))
    assert len(stays) == CLIENTS
    assert [stay.kind for stay in stays if stay.seconds is None] == []
    assert good >= len(calls) * HEALTHY_SHARE
    # Nothing of them is left: neither connections here, nor attempts upstream.
    assert proxy.num_fds() <= descriptors + 20
    assert len(gateway.provider.wait_done(0)) == len(calls)
    if FULL:
        assert max(longest.values()) <= LONGEST_STAY_SECONDS
