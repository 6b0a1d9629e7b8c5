"""F3: a proxy with nothing cached and no control plane says so, keeps asking, and is there when that is."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.counted import counted
from tests.faults.played import PlayedControlPlane
from tests.faults.scale import FULL, points, times
from tests.faults.system import OwnProxy, call, get, metric, wait_until
from tests.unit.proxy.entries import key, model, provider, update

API_KEY = "a secret of this test"
READY_SECONDS = 2.0
RETURNS = times(1, 20)
# What a proxy waits between two tries is drawn from the upper half of this, then of twice as much, and so on.
FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.1, 1.0
# What a busy machine adds is little beside these.
LONG_SECONDS = 0.4
COLD_PROXIES = 3
TRIES = times(6, 10)
CONFIG = update(
    1,
    key("app", secret=API_KEY, allow=["*"]),
    provider("played", kind="sandbox"),
    model("slow", "played"),
)


@pytest.fixture
def control_plane(tmp_path: Path) -> Iterator[PlayedControlPlane]:
    with PlayedControlPlane(tmp_path, API_KEY) as played:
        played.unavailable = True
        yield played


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cold_proxy_is_not_ready_and_answers_503_in_the_clients_dialect(
    control_plane: PlayedControlPlane, workers: int
) -> None:
    with OwnProxy(control_plane, f"cold-{workers}", workers=workers, cold=True) as proxy:
        wait_until(lambda: get(f"{proxy.ops}/livez")[0] == 200)
        wait_until(lambda: get(f"{proxy.base_url}/models")[0] != 0)
        for key_ in (API_KEY, "another key", ""):
            for path in ("models", "models/slow", "no/such/path"):
                status, _ = get(f"{proxy.base_url}/{path}", key_)
                assert status == (404 if path == "no/such/path" else 503), (path, key_)
            status, body = call(proxy.base_url, key_, "slow")
            assert status == 503, "404 or 401 would make a client give up"
            assert json.loads(body)["error"]["message"] == "This proxy has no configuration yet."
        assert get(f"{proxy.ops}/readyz")[0] == 503
        assert metric(proxy.ops, "headgate_ready") == 0
        assert not proxy.is_announced
        control_plane.welcome = [CONFIG]
        control_plane.unavailable = False
        wait_until(lambda: get(f"{proxy.ops}/readyz")[0] == 200 and proxy.is_announced)
        assert call(proxy.base_url, API_KEY, "slow")[0] == 200
        assert metric(proxy.ops, "headgate_ready") == 1


def test_cold_proxies_ask_again_with_growing_pauses_that_chance_spreads(
    control_plane: PlayedControlPlane,
) -> None:
    proxies = [OwnProxy(control_plane, f"cold-{n}", cold=True) for n in range(COLD_PROXIES)]
    try:
        asked: dict[str, list[float]] = {proxy.name: [] for proxy in proxies}

        def all_have_asked() -> bool:
            asked.update({name: [] for name in asked})
            for at, hello in [*control_plane.told.hellos]:
                asked[hello.name].append(at)
            return all(len(moments) >= TRIES for moments in asked.values())

        wait_until(all_have_asked)
    finally:
        for proxy in proxies:
            proxy.process.stop()
    shares = []
    for moments in asked.values():
        backoff = FIRST_BACKOFF_SECONDS
        for before, after in itertools.pairwise(moments[:TRIES]):
            if backoff >= LONG_SECONDS:
                shares.append((after - before) / backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
    print("pauses as shares of what they may be:", [f"{share:.2f}" for share in shares])
    assert min(shares) < 0.95, "not all wait the whole time"
    if FULL:
        assert min(shares) >= 0.45, "and nobody hurries"
        assert max(moments[-1] - moments[-2] for moments in asked.values()) <= MAX_BACKOFF_SECONDS + 0.2


def test_a_proxy_that_goes_round_its_control_planes_keeps_one_channel_to_each(
    control_plane: PlayedControlPlane, tmp_path: Path
) -> None:
    counts = tmp_path / "counts.json"
    with PlayedControlPlane(tmp_path, API_KEY) as other:
        other.unavailable = True
        both = [f"127.0.0.1:{one.grpc_port}" for one in (control_plane, other)]
        with OwnProxy(
            control_plane,
            "round",
            cold=True,
            through=("tests.faults.counted", str(counts)),
            arguments=("--control-plane", *both),
        ) as proxy:
            for one in (control_plane, other):
                wait_until(lambda one=one: len(one.told.hellos) >= TRIES // 2)  # type: ignore[misc]
            assert counted(proxy.process.pid, counts)["channels"] == len(both)


def test_a_cold_proxy_is_ready_soon_after_its_control_plane_is_back(tmp_path: Path) -> None:
    random = points("cold return")
    with PlayedControlPlane(tmp_path, API_KEY) as gone:
        pass
    slowest = 0.0
    for number in range(RETURNS):
        with OwnProxy(gone, f"returned-{number}", cold=True) as proxy:
            wait_until(lambda: get(f"{proxy.base_url}/models", API_KEY)[0] == 503)
            time.sleep(random.uniform(0, times(1, 8)))
            with PlayedControlPlane(tmp_path, API_KEY, gone.grpc_port) as returned:
                returned.welcome = [CONFIG]
                back = time.monotonic()
                wait_until(lambda: get(f"{proxy.ops}/readyz")[0] == 200)
                slowest = max(slowest, time.monotonic() - back)
                print(f"ready {time.monotonic() - back:.2f} s after the return")
    if FULL:
        assert slowest <= READY_SECONDS
