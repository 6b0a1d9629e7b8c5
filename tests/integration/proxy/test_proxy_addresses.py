"""One address cannot take the connections of all others, nor all of them the worker's descriptors."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from proxy.http.server import RESERVED_DESCRIPTORS
from tests.faults.system import get
from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.raw_client import Closed, RawClient, request_bytes
from tests.support.child_process import ChildProcess
from tests.support.processes import clean_environment
from tests.support.provider import presets

MOST = 20
DESCRIPTORS = 300
# Of all addresses together: each may have a call, which takes another descriptor.
MOST_OF_ALL = (DESCRIPTORS - RESERVED_DESCRIPTORS) // 2


@dataclass(frozen=True, slots=True)
class Small:
    url: str
    ops: str
    process: ChildProcess


@pytest.fixture
def small(gateway: Gateway, tmp_path: Path) -> Iterator[Small]:
    """A proxy beside the gateway's own, with low bounds."""
    # The shell's, as the program raises its soft limit to the hard one.
    command: list[str | Path] = ["sh", "-c", f'ulimit -n {DESCRIPTORS} && exec "$@"', "sh"]
    command += [sys.executable, "-m", "proxy", "--region", "local", "--name", "small"]
    command += ["--control-plane", gateway.headgate.grpc, "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0"]
    command += ["--state", tmp_path / "small", "--ready-file", tmp_path / "ready.json"]
    command += ["--connections-per-address", str(MOST)]
    environment = clean_environment(HEADGATE_TOKEN=gateway.headgate.proxy_token())
    with ChildProcess(command, tmp_path / "log", environment) as process:
        ready = process.wait_for_file(tmp_path / "ready.json")
        yield Small(str(ready["http"]), str(ready["ops"]), process)


def test_connections_beyond_the_bound_are_closed_and_other_addresses_are_served(
    gateway: Gateway, small: Small
) -> None:
    call = request_bytes(json.dumps(chat()).encode(), gateway.key)

    def served(source: str) -> int:
        count = 0
        for client in (held := [RawClient(small.url, source=source) for _ in range(MOST + 5)]):
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
        with RawClient(small.url, source="127.0.0.2") as another:
            assert another.closes_within(2)
    finally:
        for client in holding:
            client.close()
    with RawClient(small.url, source="127.0.0.2") as later:
        later.send(call)
        assert later.answer().status == 200, "places come free again"


def test_all_together_leave_descriptors_for_their_calls_and_the_rest_are_refused_and_counted(
    gateway: Gateway, small: Small
) -> None:
    """Every client's call holds a connection to its provider, from as many addresses as it takes."""
    gateway.provider.always("alpha-upstream", presets.stall_after_events(4))
    call = request_bytes(json.dumps(chat(stream=True)).encode(), gateway.key)
    addresses = [f"127.0.0.{2 + number // MOST}" for number in range(MOST_OF_ALL + MOST)]
    clients = []
    try:
        for address in addresses:
            clients.append(RawClient(small.url, source=address))
        heard = sum(streams(client, call) for client in clients)
        assert heard == MOST_OF_ALL
        assert refused(small) == MOST
        assert psutil.Process(small.process.pid).num_fds() < DESCRIPTORS - RESERVED_DESCRIPTORS // 4
    finally:
        for client in clients:
            client.close()
    gateway.provider.reset()
    with RawClient(small.url) as later:
        later.send(request_bytes(json.dumps(chat()).encode(), gateway.key))
        assert later.answer().status == 200, "places come free again"


def streams(client: RawClient, call: bytes) -> bool:
    """Whether its stream began; False if it is hung up on."""
    try:
        client.send(call)
        client.wait_for(b"data: ")
    except (Closed, OSError):
        return False
    return True


def refused(small: Small) -> int:
    page = get(f"{small.ops}/metrics")[1].decode()
    found = re.search(r'^headgate_refused_total\{code="too_many_connections"\} (\S+)$', page, re.MULTILINE)
    return int(float(found[1])) if found else 0
