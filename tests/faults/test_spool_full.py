"""F9: the spool has no room left. It is said in time, what could not be billed is refused, and all heals."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import psutil  # type: ignore[import-untyped]
import pytest

from proxy.worker import SYNC_SECONDS
from tests.faults.disks import can_mount, fill, free_bytes, small_disk
from tests.faults.scale import FULL, points, times
from tests.faults.system import WORKER, OwnProxy, System, call, get, metric, wait_until
from tests.support.load import Load
from tests.support.sockets import FaultProxy

MIB = 2**20
ROOM_BYTES = times(12, 64) * MIB
# Of each worker; one that has nothing keeps two segments all the same.
LOPSIDED_BYTES = 32 * MIB
# What somebody else has on the same disk, and what is neither his nor a segment.
ELSES_BYTES, REST_BYTES = times(4, 16) * MIB, 1 * MIB
# Reduced, the setting stands in where no disk can be mounted.
BOUNDS = ("the disk", "the setting") if FULL else ("the disk",) if can_mount() else ("the setting",)
ALARM_SHARE = 0.80
NORMAL_SECONDS = 5.0
CALLS_PER_SECOND = 300.0
# So much as a call may say of itself: its records have 16 KiB.
HEAVY = {"x-headgate-metadata": json.dumps({f"{n:02d}" + "k" * 250: "v" * 250 for n in range(16)})}


@contextlib.contextmanager
def load(system: System, proxy: OwnProxy) -> Iterator[Load]:
    with system.load(CALLS_PER_SECOND, proxy.base_url, headers=HEAVY) as running:
        yield running


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_full_spool_is_said_refuses_calls_and_heals_with_nothing_lost(system: System, bound: str) -> None:
    points(f"spool full, {bound}")
    name = f"full-{bound.replace(' ', '-')}"
    with contextlib.ExitStack() as stack:
        elses = system.folder / name / "somebody-elses"
        setting = ROOM_BYTES
        if bound == "the disk":
            size = ROOM_BYTES + ELSES_BYTES + REST_BYTES
            stack.enter_context(small_disk(system.folder / name, size))
            fill(elses, ELSES_BYTES)
            setting = 1024 * MIB
        way = stack.enter_context(FaultProxy(system.grpc_port))
        arguments = ("--spool-size", f"{setting // MIB}MiB")
        proxy = stack.enter_context(OwnProxy(system, name, way.port, arguments=arguments))
        # Nobody takes what is spooled.
        way.set(refuse=True)
        way.reset_all()
        fill_to_the_alarm(system, proxy)
        wait_until(lambda: "spool_filling" in events(proxy), 15)
        fill_to_the_end(system, proxy)
        check_refusals(system, proxy)
        if bound == "the disk":
            assert free_bytes(elses.parent) < 4 * MIB
            elses.unlink()
            check_healed(system, proxy, "the other file is gone")
            fill(elses, free_bytes(elses.parent) - REST_BYTES // 2)
            fill_to_the_end(system, proxy)
            check_refusals(system, proxy)
        way.heal()
        check_healed(system, proxy, "the control plane is back")
        if FULL:
            wait_until(lambda: events(proxy).count("alarm_over") == 1)
        assert metric(proxy.ops, "headgate_spool_damaged_frames") == 0
        system.check(proxy.state)
        assert "spool_full" not in events(proxy), "a call that was let in found no room for its record"


def test_one_full_worker_raises_the_alarm_though_the_other_has_room(system: System) -> None:
    arguments = ("--spool-size", f"{LOPSIDED_BYTES // MIB}MiB")
    with (
        FaultProxy(system.grpc_port) as way,
        OwnProxy(system, "lopsided", way.port, workers=2, arguments=arguments) as proxy,
    ):
        way.set(refuse=True)
        way.reset_all()
        # One connection stays with one worker.
        connection = http.client.HTTPConnection("127.0.0.1", proxy.http_port, timeout=20)
        with contextlib.closing(connection):
            assert until_refused(system, connection) == 503
        assert metric(proxy.ops, "headgate_spool_bytes") < ALARM_SHARE * 2 * LOPSIDED_BYTES
        wait_until(lambda: "spool_filling" in events(proxy), 15)
        way.heal()
        wait_until(lambda: "alarm_over" in events(proxy))
        system.check(proxy.state)


def test_a_worker_without_descriptors_refuses_calls_and_goes_on_when_it_has_some(system: System) -> None:
    """Its connections are open already, so calls come and go until the spool wants another segment."""
    with OwnProxy(system, "no-descriptors", workers=2) as proxy, contextlib.ExitStack() as stack:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.http_port, timeout=20)
        stack.enter_context(contextlib.closing(connection))
        assert ask(system, connection) == 200
        pids = proxy.process.descendants_running(WORKER)
        workers = [psutil.Process(pid) for pid in pids]
        usual = [worker.rlimit(psutil.RLIMIT_NOFILE) for worker in workers]
        for worker, (_, most) in zip(workers, usual, strict=True):
            worker.rlimit(psutil.RLIMIT_NOFILE, (3, most))
        assert until_refused(system, connection) == 503
        wait_until(lambda: "spool_not_synced" in events(proxy))
        time.sleep(5 * SYNC_SECONDS)
        assert events(proxy).count("spool_not_synced") == 1
        for worker, limits in zip(workers, usual, strict=True):
            worker.rlimit(psutil.RLIMIT_NOFILE, limits)
        assert ask(system, connection) == 200
        assert proxy.process.descendants_running(WORKER) == pids
        assert "spool_full" not in events(proxy), "a call that was let in found no room for its record"
        system.check(proxy.state)


def until_refused(system: System, connection: http.client.HTTPConnection) -> int:
    """Calls over one connection; the first status that is not 200."""
    while (status := ask(system, connection)) == 200:
        pass
    return status


def ask(system: System, connection: http.client.HTTPConnection) -> int:
    body = json.dumps({"model": "quick", "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = {"authorization": f"Bearer {system.api_key}", "content-type": "application/json", **HEAVY}
    connection.request("POST", "/v1/chat/completions", body, headers)
    with connection.getresponse() as answer:
        answer.read()
        return answer.status


def events(proxy: OwnProxy) -> list[str]:
    """What it has logged, in order; an alarm by its name."""
    lines = [json.loads(line) for line in proxy.process.log().splitlines() if line.startswith("{")]
    return [line.get("alarm", "") if line["event"] == "alarm" else line["event"] for line in lines]


def fill_to_the_alarm(system: System, proxy: OwnProxy) -> None:
    """At four fifths it is said, and all calls are still answered."""

    def share() -> float:
        limit = metric(proxy.ops, "headgate_spool_limit_bytes")
        return metric(proxy.ops, "headgate_spool_bytes") / limit

    assert share() <= ALARM_SHARE
    assert "spool_filling" not in events(proxy)
    with load(system, proxy) as running:
        wait_until(lambda: share() > ALARM_SHARE, 60)
    assert [seen for seen in running.seen if not seen.complete] == []
    assert call(proxy.base_url, system.api_key, "quick")[0] == 200


def fill_to_the_end(system: System, proxy: OwnProxy) -> None:
    """Calls are answered until one is refused; none fares otherwise."""
    with load(system, proxy) as running:
        wait_until(lambda: any(seen.status == 503 for seen in [*running.seen]), 60)
    fates = {seen.problem for seen in running.seen}
    assert fates == {"", "status 503"}


def check_refusals(system: System, proxy: OwnProxy) -> None:
    """In the client's dialect, with the time to come back; what costs nothing is answered as ever."""
    for path in ("chat/completions", "messages", "responses"):
        status, retry_after, document = refused(system, proxy, path)
        assert (status, retry_after.isdigit()) == (503, True)
        assert "its spool is full" in document["error"]["message"]
    assert get(f"{proxy.base_url}/models", system.api_key)[0] == 200
    assert get(f"{proxy.ops}/readyz")[0] == 200


def refused(system: System, proxy: OwnProxy, path: str) -> tuple[int, str, dict[str, dict[str, str]]]:
    asked = {
        "model": "quick",
        "messages": [{"role": "user", "content": "hi"}],
        "input": "hi",
        "max_tokens": 9,
    }
    headers = {"authorization": f"Bearer {system.api_key}", "content-type": "application/json"}
    request = urllib.request.Request(f"{proxy.base_url}/{path}", json.dumps(asked).encode(), headers)
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=10)
    with raised.value as answer:
        return answer.code, answer.headers["retry-after"] or "", json.load(answer)


def check_healed(system: System, proxy: OwnProxy, why: str) -> None:
    began = time.monotonic()
    wait_until(lambda: call(proxy.base_url, system.api_key, "quick")[0] == 200)
    took = time.monotonic() - began
    print(f"{proxy.name}: calls are answered {took:.2f} s after {why}")
    if FULL:
        assert took <= NORMAL_SECONDS
