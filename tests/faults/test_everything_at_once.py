"""Everything dies again and again, in any order, under load and under change; nothing is lost by it.

Each round strikes the two control planes and the three proxies, mostly by SIGKILL, and now and then
PostgreSQL. Clients go to proxies that are up. A call may fail only if its own proxy was killed under it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from headgate.v1 import identity_pb2
from tests.faults.control_planes import OwnControlPlane
from tests.faults.five import MARKER, TICK_SECONDS, Changes, Five
from tests.faults.scale import FULL, points, times
from tests.faults.system import SLOW, OwnProxy, System, get, manifest, wait_until
from tests.integration.control_plane.replica import make
from tests.support.ledgers import UNKNOWN, Ledgers
from tests.support.load import CallSeen, Load
from tests.support.processes import ProviderProcess, start_fake_provider
from tests.support.sockets import free_port

SECONDS = times(1, 300)  # at least one round
CALLS_PER_SECOND = times(50, 100)
PAUSE_SECONDS = times(1, 2) * 0.4
# Of a round's strikes so many are SIGTERM instead of SIGKILL.
TERMINATED_SHARE = 0.25
AGREED_SECONDS = 60.0


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[ProviderProcess]:
    with start_fake_provider(tmp_path) as running:
        running.always("slow", SLOW)
        yield running


@pytest.fixture
def five(system: System, provider: ProviderProcess) -> Iterator[Five]:
    """One proxy has two workers, and one has joined; their control planes are tried in different orders."""
    chance = points("everything at once, how long and by whom")
    changes = Changes(chance)
    proxies_port = free_port()
    with ExitStack() as stack:
        one = stack.enter_context(OwnControlPlane(system, "at_once", proxies_port=proxies_port))
        furnish(one, provider)
        while not changes.answered:
            changes.tick(time.monotonic(), [one])
            time.sleep(TICK_SECONDS)
        other = stack.enter_context(
            OwnControlPlane(
                system, "at_once_too", replica_of=one, host="127.0.0.2", proxies_port=proxies_port
            )
        )
        first, second = [one.grpc, other.grpc], [other.grpc, one.grpc]
        proxies = [
            OwnProxy(one, "plain", control_planes=first, cold=True),
            OwnProxy(one, "two-workers", control_planes=second, workers=2, cold=True),
            OwnProxy(one, "joined", control_planes=second, join_token=join_token(one), cold=True),
        ]
        for proxy in proxies:
            stack.enter_context(proxy)
        for proxy in proxies:
            proxy.wait_for_key()
        yield Five([one, other], proxies, changes, chance)


def furnish(control_plane: OwnControlPlane, provider: ProviderProcess) -> None:
    base = manifest(provider.base_url)
    fake = {**base["providers"][0], "type": base["providers"][0]["kind"]}
    fake.pop("kind")
    models = [make("model", **one) for one in base["models"]]
    answer = control_plane.apply(make("provider", **fake), *models, make("key", name="app", allow=["*"]))
    control_plane.api_key = answer.minted[0].secret


def join_token(control_plane: OwnControlPlane) -> str:
    request = identity_pb2.CreateJoinTokenRequest(region="local", expires=Duration(seconds=600))
    return str(control_plane.call("CreateJoinToken", request).minted.secret)


def models(proxy: OwnProxy, key: str) -> list[str]:
    status, body = get(f"{proxy.base_url}/models", key)
    return [one["id"] for one in json.loads(body)["data"]] if status == 200 else [f"status {status}"]


def has_all_acks(control_plane: OwnControlPlane, five: Five) -> bool:
    """Every proxy is connected and has acknowledged the newest revision, as this replica says it."""
    seen = control_plane.proxies()
    return all(
        (view := seen.get(proxy.name)) is not None
        and view.connected
        and view.config_version.revision >= five.changes.revision
        for proxy in five.proxies
    )


def strike_all(system: System, five: Five, load: Load, seconds: float) -> int:
    """Round after round; how often PostgreSQL was struck."""
    chance = points("everything at once")
    end, crashes, old = time.monotonic() + seconds, 0, 0
    while not crashes or time.monotonic() < end:
        names = [*five.names, "postgres"]
        chance.shuffle(names)
        for name in names:
            pause = time.monotonic() + chance.uniform(0.0, PAUSE_SECONDS)
            five.wait(lambda until=pause: time.monotonic() >= until)
            if name != "postgres":
                five.wait(partial(five.may_be_struck, name))
                five.strike(name, "terminate" if chance.random() < TERMINATED_SHARE else "kill", load)
                continue
            five.wait(lambda before=old: system.headgate.pids("postgres")[:1] not in ([], [before]))
            old = system.headgate.pids("postgres")[0]
            os.kill(old, signal.SIGQUIT)  # what `pg_ctl stop -m immediate` sends
            crashes += 1
    return crashes


def test_no_call_fails_that_had_a_healthy_path_and_the_ledgers_agree(
    system: System, five: Five, provider: ProviderProcess
) -> None:
    one, other = five.control_planes
    with Load(five.base_url, one.api_key, ("quick", "slow"), CALLS_PER_SECOND) as load:
        load.wait_complete(20)
        crashes = strike_all(system, five, load, SECONDS)
        five.wait(lambda: five.all_up and five.changes.is_quiet)
        load.wait_complete(20)
        seen = load.stop()
    failed = [call for call in seen if not call.complete]
    report(five, crashes, seen, failed)
    assert [call for call in failed if not any(one.excuses(call) for one in five.strikes)] == []

    began = time.monotonic()
    for control_plane in (one, other):
        wait_until(partial(has_all_acks, control_plane, five), AGREED_SECONDS)
    for proxy in five.proxies:
        assert models(proxy, five.changes.minted[MARKER]) == [f"v{five.changes.number}"]
    ledgers = Ledgers.of(provider.recorded, one.billed, seen, one.folder, timeout_seconds=AGREED_SECONDS)
    ledgers.check()
    unknown = sum(row.outcome == UNKNOWN for row in ledgers.rows)
    print(f"{len(ledgers.rows)} rows, {unknown} unknown, agreed after {time.monotonic() - began:.1f} s")
    assert {row.proxy for row in ledgers.rows} == {proxy.name for proxy in five.proxies}


def report(five: Five, crashes: int, seen: list[CallSeen], failed: list[CallSeen]) -> None:
    kills = sum(strike.how == "kill" for strike in five.strikes)
    print(
        f"{len(seen)} calls, {len(failed)} failed; {kills} kills, {len(five.strikes) - kills} times SIGTERM, "
        f"{crashes} crashes of PostgreSQL; {five.changes.answered} changes, "
        f"asked again {five.changes.repeated} times"
    )
    assert {strike.name for strike in five.strikes} == set(five.names)
    assert not FULL or kills > 100
