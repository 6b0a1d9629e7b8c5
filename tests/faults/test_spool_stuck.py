"""F10: a segment that the disk does not give up holds back its folder, and nobody else."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faults.system import OwnProxy, System, call, get, metric, wait_until
from tests.support.ledgers import read_spool
from tests.support.sockets import FaultProxy

# The kernel's own: reading it at its beginning is an input/output error.
UNREADABLE = Path("/proc/self/mem")


def test_a_segment_that_cannot_be_read_at_the_start_is_said_and_all_others_are_shipped(
    system: System,
) -> None:
    with FaultProxy(system.grpc_port) as between, OwnProxy(system, "stuck-before", between.port) as proxy:
        between.set(black_hole=True)
        calls(system, proxy, 3)
        proxy.kill()
        between.heal()
        left = read_spool(proxy.state).finals
        assert len(left) == 3
        segment = min(proxy.state.glob("spool/*/*.seg"))
        kept = segment.rename(segment.with_suffix(".kept"))
        segment.symlink_to(UNREADABLE)
        proxy.start()
        calls(system, proxy, 3)
        wait_until(lambda: len(billed(system, proxy)) == 3)
        assert not left & billed(system, proxy)
        check_said(proxy, segment.parent, "Input/output error")
        segment.unlink()
        kept.rename(segment)
        check_healed(system, proxy)
        assert left <= billed(system, proxy)


def test_a_segment_that_cannot_be_read_while_it_is_shipped_from_stops_nothing_for_good(
    system: System,
) -> None:
    with OwnProxy(system, "stuck-meanwhile") as proxy:
        calls(system, proxy, 3)
        wait_until(lambda: len(billed(system, proxy)) == 3)  # over a stream that stays open
        folder = next(proxy.state.glob("spool/*"))
        planted = folder / f"{0:012d}.seg"
        planted.mkdir()
        check_said(proxy, folder, "Is a directory")
        calls(system, proxy, 3)
        assert get(f"{proxy.ops}/readyz")[0] == 200
        assert metric(proxy.ops, "headgate_spool_bytes") > 0
        assert len(billed(system, proxy)) == 3
        planted.rmdir()
        check_healed(system, proxy)


def calls(system: System, proxy: OwnProxy, count: int) -> None:
    for _ in range(count):
        assert call(proxy.base_url, system.api_key, "quick")[0] == 200


def billed(system: System, proxy: OwnProxy) -> set[object]:
    """The ids of its rows."""
    return {row.id for row in system.billed.rows() if row.proxy == proxy.name}


def check_said(proxy: OwnProxy, folder: Path, why: str) -> None:
    """Once, with folder and reason, and by an alarm."""
    wait_until(lambda: [event for event in logged(proxy) if event.get("alarm") == "spool_stuck"] != [])
    (said,) = [event for event in logged(proxy) if event["event"] == "spool_stuck"]
    assert said["folder"] == str(folder)
    assert why in said["reason"]


def check_healed(system: System, proxy: OwnProxy) -> None:
    wait_until(lambda: logged(proxy)[-1]["event"] == "alarm_over")
    system.check(proxy.state)
    assert [event["event"] for event in logged(proxy)].count("spool_stuck") == 1


def logged(proxy: OwnProxy) -> list[dict[str, str]]:
    return [json.loads(line) for line in proxy.process.log().splitlines() if line.startswith("{")]
