"""F1: the control plane dies while it sends a version. Each proxy serves the old one or the new one, whole.

A version is one key, many large ones, and one model. The first key may call this version's model alone, and
travels in the update's first message; the model travels in the last. So a proxy on which that key sees
anything but one model serves a mix, and says so in one answer.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from headgate.v1 import admin_pb2, resources_pb2
from tests.faults.control_planes import OwnControlPlane
from tests.faults.scale import FULL, points, times
from tests.faults.system import SLOW, OwnProxy, System, get, manifest, metric, wait_until
from tests.integration.control_plane.replica import make
from tests.support.ledgers import Ledgers
from tests.support.load import CallSeen, Load
from tests.support.processes import start_fake_provider
from tests.support.sockets import Fault, FaultProxy

POINTS = times(1, 100)
CONVERGED_SECONDS = 10.0
CALLS_PER_SECOND = times(30, 100)
LARGE_KEYS = 300
# 8 KB each: an update of three messages.
LARGE = {f"m{number}": "x" * 250 for number in range(31)}
# So slow that there is time to die in the middle: half a second a proxy.
SLOW_LINK = Fault(slice_bytes=1 << 15, slice_pause_seconds=0.005)
UPDATE_BYTES = 2_000_000


def version(number: int) -> list[resources_pb2.Resource]:
    changed = {**LARGE, "version": str(number)}
    large = [make("key", name=f"k{n:03}", metadata=changed) for n in range(LARGE_KEYS)]
    first = make("key", name="a-first", allow=[model_of(number)])
    return [first, *large, make("model", name=model_of(number), provider="fake")]


def model_of(number: int) -> str:
    return f"v{number}"


class Watcher(threading.Thread):
    """Asks a proxy again and again what the first key may call; every different answer."""

    def __init__(self, proxy: OwnProxy, key: str) -> None:
        super().__init__(daemon=True)
        self._proxy, self._key = proxy, key
        self._over = threading.Event()
        self.answers: set[tuple[str, ...]] = set()

    def run(self) -> None:
        while not self._over.is_set():
            self.answers.add(models(self._proxy, self._key))
            time.sleep(0.01)

    def stop(self) -> set[tuple[str, ...]]:
        self._over.set()
        self.join()
        return self.answers


def models(proxy: OwnProxy, key: str) -> tuple[str, ...]:
    status, body = get(f"{proxy.base_url}/models", key)
    return tuple(one["id"] for one in json.loads(body)["data"]) if status == 200 else (f"status {status}",)


def all_are_on(proxies: Sequence[OwnProxy], key: str, model: str, revision: int) -> bool:
    return all(
        models(proxy, key) == (model,) and metric(proxy.ops, "headgate_config_version") >= revision
        for proxy in proxies
    )


@pytest.fixture
def control_plane(system: System) -> Iterator[OwnControlPlane]:
    with OwnControlPlane(system, "mid_push") as running:
        yield running


def strike(
    control_plane: OwnControlPlane, number: int, chance: random.Random, between: FaultProxy, seconds: float
) -> admin_pb2.ApplyResourcesRequest:
    """Applies a version and kills the control plane on the way; what was asked of it."""
    request = admin_pb2.ApplyResourcesRequest(
        resources=version(number), source="version", prune=True, request_id=f"version-{number}"
    )
    before = between.bytes_forwarded
    applying = control_plane.begin("ApplyResources", request)
    if number % 3:  # while it is sent
        goal = before + chance.randrange(100_000, 2 * UPDATE_BYTES)
        wait_until(lambda: between.bytes_forwarded >= goal, 20)
    else:  # before that, also before the commit
        time.sleep(chance.uniform(0, seconds))
    control_plane.kill()
    applying.cancel()
    return request


def test_a_proxy_serves_the_old_version_or_the_new_one_when_the_control_plane_dies_mid_push(
    system: System, control_plane: OwnControlPlane, tmp_path: Path
) -> None:
    chance = points("killed mid push")
    seen: list[CallSeen] = []
    slowest = both = 0.0
    with start_fake_provider(tmp_path) as provider, FaultProxy(control_plane.grpc_port) as between:
        provider.always("slow", SLOW)
        base = manifest(provider.base_url)
        fake = {**base["providers"][0], "type": base["providers"][0]["kind"]}
        fake.pop("kind")
        calls = [make("model", **one) for one in base["models"]]
        answer = control_plane.apply(make("provider", **fake), *calls, make("key", name="app", allow=["*"]))
        control_plane.api_key = answer.minted[0].secret
        began = time.monotonic()
        answer = control_plane.apply(*version(0), source="version")
        apply_seconds = time.monotonic() - began
        first = next(one.secret for one in answer.minted if one.name == "a-first")
        with (
            OwnProxy(control_plane, "one-worker", between.port) as one,
            OwnProxy(control_plane, "two-workers", between.port, workers=2) as two,
            Load(one.base_url, control_plane.api_key, ("quick", "slow"), CALLS_PER_SECOND) as at_one,
            Load(two.base_url, control_plane.api_key, ("quick", "slow"), CALLS_PER_SECOND) as at_two,
        ):
            proxies = (one, two)
            wait_until(partial(all_are_on, proxies, first, model_of(0), answer.revision))
            between.fault = SLOW_LINK
            for number in range(1, POINTS + 1):
                watchers = [Watcher(proxy, first) for proxy in proxies]
                for watcher in watchers:
                    watcher.start()
                request = strike(control_plane, number, chance, between, apply_seconds)
                at_one.wait_complete(5)
                at_two.wait_complete(5)
                left = [models(proxy, first) for proxy in proxies]
                both += left[0] != left[1]
                control_plane.start()
                returned = time.monotonic()
                revision = control_plane.call("ApplyResources", request).revision
                wait_until(partial(all_are_on, proxies, first, model_of(number), revision))
                slowest = max(slowest, time.monotonic() - returned)
                for watcher in watchers:
                    assert watcher.stop() <= {(model_of(number - 1),), (model_of(number),)}, "a mix"
            seen = [*at_one.stop(), *at_two.stop()]
            print(f"converged after {slowest:.2f} s at most; {both:.0f} times the proxies were apart")
            assert [call for call in seen if not call.complete] == []
            Ledgers.of(provider.recorded, control_plane.billed, seen, one.state).check()
            Ledgers.of(provider.recorded, control_plane.billed, seen, two.state).check()
    assert not FULL or slowest <= CONVERGED_SECONDS
