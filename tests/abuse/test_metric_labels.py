"""Names that clients invent, as labels of metrics (A17): 1,000 label sets at most in any metric.

Models, users, sessions and tasks are invented by clients, statuses by providers. What does not fit is counted
as "other": nothing is lost from the sums.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.abuse.scale import times
from tests.abuse.target import NATIVE, VALID
from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.gateway_manifest import sha256
from tests.integration.proxy.raw_client import RawClient, request_bytes
from tests.support.fake_provider import Behaviour, Cut, FakeProvider
from tests.support.processes import start_headgate

MAX_LABEL_SETS = 1_000
CLIENTS = 4
# One is chosen by chance for each call, and each has a circuit of its own.
MANY_KEYS = [{"name": f"k{number}", "value": f"pk-{number}"} for number in range(20)]
BROKEN = Behaviour(stream=True, cut=Cut("events", 2))
# The two workers meet different ones: each bounds its own, and what is shown is bounded once more.
INVENTED = times(1_300, 10_000)
# Each called twice.
FAILING = times(600, 10_000)
STATUSES = range(200, times(260, 600))

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def manifest(base_url: str) -> dict[str, Any]:
    place = {"kind": "openai-compatible", "base_url": base_url, "private_network": True}
    return {
        "providers": [
            {"name": "fake", "keys": ["pk-fake"], **place, "circuit_failures": 0},
            {"name": "failing", "keys": MANY_KEYS, **place},
        ],
        "keys": [
            {"name": "valid", "sha256": sha256(VALID), "allow": ["*"]},
            {"name": "native", "sha256": sha256(NATIVE), "allow": [], "passthrough": ["fake * /v1/*"]},
        ],
    }


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With two workers: what they have met is joined in what is shown."""
    folder = tmp_path_factory.mktemp("labels")
    with (
        FakeProvider() as provider,
        start_headgate(folder, manifest(provider.base_url), "--workers", "2") as headgate,
    ):
        gateway = Gateway(headgate, provider)
        yield gateway
        gateway.close()


def call_all(gateway: Gateway, requests: list[bytes], per_connection: int = 20) -> list[int]:
    """Over a few connections, which the workers share; the statuses."""

    def run(mine: list[bytes]) -> list[int]:
        found = []
        for begin in range(0, len(mine), per_connection):
            with RawClient(gateway.url) as client:
                for request in mine[begin : begin + per_connection]:
                    client.send(request)
                    found.append(client.answer().status)
        return found

    with ThreadPoolExecutor(CLIENTS) as pool:
        shares = [requests[number::CLIENTS] for number in range(CLIENTS)]
        return [status for part in pool.map(run, shares) for status in part]


def scraped(ops: str) -> Samples:
    """By name of sample: label sets and values; a histogram's buckets count as one."""
    with urllib.request.urlopen(f"{ops}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: Samples = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
            found[sample.name][labels] = sample.value
    return found


def beyond(found: Samples) -> dict[str, int]:
    return {name: len(sets) for name, sets in found.items() if len(sets) > MAX_LABEL_SETS}


def control_plane_ops(gateway: Gateway) -> str:
    facts: dict[str, str] = json.loads((gateway.headgate.state / "run" / "up.json").read_text())
    return facts["control_plane_ops"]


def wait_for(what: str, ops: str, count: float) -> Samples:
    deadline = time.monotonic() + 30
    while sum((found := scraped(ops))[what].values()) < count:
        assert time.monotonic() < deadline, (what, count, sum(found[what].values()))
        time.sleep(0.1)
    return found


def test_circuits_of_invented_models_make_a_bounded_number_of_series(crowded: Gateway) -> None:
    """First, because only a thousand models are told of at once, and those that answered come before."""
    crowded.provider.always("*", BROKEN)
    names = (f"failing/invented-{number}" for number in range(FAILING) for _ in range(2))
    asked = [request_bytes(json.dumps(chat(name, stream=True)).encode(), VALID) for name in names]
    assert set(call_all(crowded, asked)) == {200}
    crowded.provider.reset()
    deadline = time.monotonic() + 15
    while len((found := scraped(crowded.headgate.ops))["headgate_circuit_state"]) < MAX_LABEL_SETS:
        assert time.monotonic() < deadline, len(found["headgate_circuit_state"])
        time.sleep(0.2)
    assert beyond(found) == {}


def test_invented_names_do_too(crowded: Gateway) -> None:
    before = scraped(crowded.headgate.ops)
    requests = []
    for number in range(INVENTED):
        said = {f"x-headgate-{what}": f"{what}-{number}" for what in ("user", "session", "task")}
        body = json.dumps(chat(f"fake/invented-{number}", user=f"u{number}")).encode()
        requests.append(request_bytes(body, VALID, headers=said))
        if number % 10 == 0:  # no such name: counted before there is a route
            requests.append(request_bytes(json.dumps(chat(f"no-{number}")).encode(), VALID))
            requests.append(request_bytes(b"", VALID, f"/nothing/{number}", "GET"))
    statuses = call_all(crowded, requests)
    assert statuses.count(200) == INVENTED
    found = wait_for(
        "headgate_requests_total",
        crowded.headgate.ops,
        sum(before["headgate_requests_total"].values()) + INVENTED,
    )
    assert beyond(found) == {}
    for name in ("headgate_requests_total", "headgate_attempts_total", "headgate_request_seconds_count"):
        assert sum(found[name].values()) - sum(before[name].values()) == INVENTED, name
    ours = wait_for("headgate_control_plane_usage_records", control_plane_ops(crowded), INVENTED)
    assert beyond(ours) == {}
    assert sum(len(sets) for sets in ours.values()) < MAX_LABEL_SETS


def test_statuses_that_a_provider_invents_do_too(crowded: Gateway) -> None:
    before = sum(scraped(crowded.headgate.ops)["headgate_requests_total"].values())
    crowded.provider.script(
        "*", *(Behaviour(status=status, body={"id": "x"}) for status in STATUSES if status != 204)
    )
    path = "/providers/fake/v1/files"
    asked = [request_bytes(b"{}", NATIVE, path) for status in STATUSES if status != 204]
    call_all(crowded, asked, per_connection=1)  # of what is refused, some are closed
    crowded.provider.reset()
    found = wait_for("headgate_requests_total", crowded.headgate.ops, before + len(asked))
    assert beyond(found) == {}
