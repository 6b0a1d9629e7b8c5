"""A flood of wrong keys (A6): throttled by address, never looked up elsewhere, good keys served meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.abuse.scale import FULL, times
from tests.abuse.target import ASKED, VALID
from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.raw_client import RawClient, request_bytes
from tests.perf.routing.verdicts import percentile
from tests.support.processes import REPOSITORY

GUESSES = times(2_000, 150_000)
RATE = times(2_000, 10_000)
CALLS_PER_SECOND = 100
# proxy/auth.py: MAX_MISSES in a window of ten seconds.
MISSES = 100
MAX_RATIO = 2.0
CHAT = "/v1/chat/completions"


def started(gateway: Gateway, addresses: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.abuse.flood", gateway.headgate.http]
    command += [str(GUESSES), str(RATE), str(addresses)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def answers(flood: subprocess.Popen[str]) -> tuple[dict[str, int], float]:
    output, _ = flood.communicate(timeout=300)
    document = json.loads(output)
    return document["answers"], document["seconds"]


def latencies(gateway: Gateway, until: float, flood: subprocess.Popen[str] | None = None) -> list[float]:
    """Of good calls, from an address that also guesses, until a time or the flood's end."""
    request = request_bytes(json.dumps(ASKED[CHAT]).encode(), VALID)
    found: list[float] = []
    with RawClient(gateway.headgate.http, source="127.96.0.1") as client:
        while time.monotonic() < until and (flood is None or flood.poll() is None):
            begun = time.perf_counter()
            client.send(request)
            assert client.answer().status == 200
            found.append(time.perf_counter() - begun)
            time.sleep(max(0.0, 1 / CALLS_PER_SECOND - found[-1]))
    return found


def control_plane_calls(gateway: Gateway) -> dict[str, float]:
    """How often which RPC was called; the streams of the proxy count at their end."""
    facts = json.loads((gateway.headgate.state / "run" / "up.json").read_text())
    with urllib.request.urlopen(f"{facts['control_plane_ops']}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("headgate_control_plane_rpcs_total"))
    return {name: float(value) for name, value in pairs}


@pytest.mark.parametrize("addresses", [4, 2_000], ids=["few addresses", "many addresses"])
def test_wrong_keys_are_throttled_and_good_ones_served(gateway: Gateway, addresses: int) -> None:
    before = control_plane_calls(gateway)
    quiet = latencies(gateway, time.monotonic() + times(1, 10))
    flood = started(gateway, addresses)
    meanwhile = latencies(gateway, time.monotonic() + 120, flood)
    found, seconds = answers(flood)
    assert control_plane_calls(gateway) == before, "no miss is looked up anywhere else"
    windows = 1 + seconds // 10
    assert found["401"] <= MISSES * (addresses + 1) * (windows + 1)
    if addresses * MISSES < GUESSES:
        assert found["429"] > 0
    assert set(found) <= {"401", "429"}
    assert len(meanwhile) > 20
    gateway.provider.wait_done(len(quiet) + len(meanwhile))
    rate = sum(found.values()) / seconds
    p99 = [percentile(values, 0.99) * 1000 for values in (quiet, meanwhile)]
    print(f"{rate:,.0f} guesses/s answered ({found}); p99 of good calls {p99[0]:.1f} → {p99[1]:.1f} ms")
    if FULL:
        assert p99[1] <= MAX_RATIO * p99[0]
