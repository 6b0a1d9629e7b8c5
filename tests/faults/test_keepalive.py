"""F19: streams that say nothing stay, and a connection that swallows everything is noticed by both ends.

In the reduced forms both ends ask thirty times as often: once a second, the most that gRPC does.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import grpc
import pytest

from control_plane.rpc.server import OPTIONS
from proxy.processes.channel import _OPTIONS as PROXY_OPTIONS
from tests.faults.control_planes import OwnControlPlane, Watch
from tests.faults.hastened import hastened
from tests.faults.scale import FULL, times
from tests.faults.system import OwnProxy, System, call, metric, wait_until
from tests.integration.control_plane.replica import make
from tests.support.sockets import FaultProxy

FACTOR = times(30, 1)
THROUGH = ("tests.faults.hastened", str(FACTOR))
STREAMS = times(3, 20)
IDLE_SECONDS = times(6, 1_800)
# As often as a proxy asks, and more often than gRPC allows by itself.
PING_SECONDS = 30 / FACTOR
PING_BYTES = 17
NOTICED_SECONDS = 60.0
# Less than a ping may stay unanswered by itself.
SOON_SECONDS = times(30, 120)
CALLS = 5


@pytest.mark.parametrize(("end", "options"), [("proxy", PROXY_OPTIONS), ("control plane", OPTIONS)])
def test_grpc_knows_every_option_that_is_set(end: str, options: Iterable[tuple[str, object]]) -> None:
    """Others it ignores without a word."""
    known = next(Path(grpc.__file__).parent.glob("_cython/cygrpc*.so")).read_bytes()
    assert [name for name, _ in options if name.encode() + b"\0" not in known] == [], end


@pytest.mark.timeout(IDLE_SECONDS + 600)
def test_silent_streams_stay_and_nobody_counts_too_many_pings(system: System) -> None:
    options = [*hastened(PROXY_OPTIONS, FACTOR), ("grpc.use_local_subchannel_pool", 1)]
    with (
        OwnControlPlane(system, "silent", through=THROUGH) as control_plane,
        FaultProxy(control_plane.grpc_port) as way,
    ):
        control_plane.furnish()
        with OwnProxy(control_plane, "talking", way.port, through=THROUGH):
            token = control_plane.proxy_token()
            streams = [Watch(way.address, token, f"silent-{n}", "local", options) for n in range(STREAMS)]
            try:
                for stream in streams:
                    stream.ack(stream.next())
                wait_until(lambda: way.open_connections == STREAMS + 1)
                opened, forwarded = way.connections_opened, way.bytes_forwarded
                time.sleep(IDLE_SECONDS)
                ends = [stream.end for stream in streams if stream.end]
                assert ends == []
                assert way.connections_opened == opened, "a connection was lost and made again"
                pings = STREAMS * (IDLE_SECONDS / PING_SECONDS - 1)
                assert way.bytes_forwarded - forwarded > pings * 2 * PING_BYTES, "each with its answer"
                assert all(view.connected for view in control_plane.proxies().values())
            finally:
                for stream in streams:
                    stream.close()
        assert "too_many_pings" not in control_plane.process.log()


def test_a_black_hole_is_noticed_by_both_ends_and_gone_round(system: System) -> None:
    with (
        OwnControlPlane(system, "swallowed", through=THROUGH) as control_plane,
        FaultProxy(control_plane.grpc_port) as way,
        FaultProxy(control_plane.grpc_port) as other,
    ):
        control_plane.furnish()
        both = ("--control-plane", way.address, other.address)
        with OwnProxy(control_plane, "round", way.port, through=THROUGH, arguments=both) as proxy:
            for _ in range(CALLS):
                assert call(proxy.base_url, control_plane.api_key, "slow")[0] == 200
            wait_until(lambda: len(control_plane.billed.rows()) == CALLS)
            assert other.connections_opened == 0
            way.set(black_hole=True)
            began = time.monotonic()
            for _ in range(CALLS):
                assert call(proxy.base_url, control_plane.api_key, "slow")[0] == 200
            revision = control_plane.apply(make("key", name="meanwhile"), source="meanwhile").revision
            wait_until(lambda: metric(proxy.ops, "headgate_config_version") == revision, SOON_SECONDS)
            proxy_noticed = time.monotonic() - began
            wait_until(lambda: "proxy disconnected" in control_plane.process.log(), SOON_SECONDS)
            noticed = time.monotonic() - began
            print(f"noticed by the proxy after {proxy_noticed:.1f} s, by both after {noticed:.1f} s")
            assert other.connections_opened >= 1
            # What was sent into the hole is sent again, and counted once.
            wait_until(lambda: len(control_plane.billed.rows()) == 2 * CALLS)
            assert len({row.request_id for row in control_plane.billed.rows()}) == 2 * CALLS
            assert control_plane.proxies()["round"].connected
            if FULL:
                assert noticed <= NOTICED_SECONDS
