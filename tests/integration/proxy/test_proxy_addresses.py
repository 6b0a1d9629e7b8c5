"""One address cannot take the connections of all others."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.raw_client import Closed, RawClient, request_bytes
from tests.support.child_process import ChildProcess
from tests.support.processes import clean_environment

MOST = 20


@pytest.fixture
def small(gateway: Gateway, tmp_path: Path) -> Iterator[str]:
    """A proxy beside the gateway's own, with a low bound: its URL."""
    command: list[str | Path] = [sys.executable, "-m", "proxy", "--region", "local", "--name", "small"]
    command += ["--control-plane", gateway.headgate.grpc, "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0"]
    command += ["--state", tmp_path / "small", "--ready-file", tmp_path / "ready.json"]
    command += ["--connections-per-address", str(MOST)]
    environment = clean_environment(HEADGATE_TOKEN=gateway.headgate.proxy_token())
    with ChildProcess(command, tmp_path / "log", environment) as process:
        yield str(process.wait_for_file(tmp_path / "ready.json")["http"])


def test_connections_beyond_the_bound_are_closed_and_other_addresses_are_served(
    gateway: Gateway, small: str
) -> None:
    call = request_bytes(json.dumps(chat()).encode(), gateway.key)

    def served(source: str) -> int:
        count = 0
        for client in (held := [RawClient(small, source=source) for _ in range(MOST + 5)]):
            try:
                client.send(call)
                count += client.answer().status == 200
            except (Closed, OSError):
                continue
        holding.extend(held)
        return count

    holding: list[RawClient] = []
    try:
        assert served("127.0.0.2") == MOST
        assert served("127.0.0.3") == MOST
        with RawClient(small, source="127.0.0.2") as another:
            assert another.closes_within(2)
    finally:
        for client in holding:
            client.close()
    with RawClient(small, source="127.0.0.2") as later:
        later.send(call)
        assert later.answer().status == 200, "places come free again"
