"""The ops listener: `/livez`, `/readyz`, `/metrics`. Its own address, loopback unless told otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from headgate.v1 import config_pb2
from proxy.http.request import Request
from proxy.http.responses import Raw, status_line
from proxy.http.server import Server, open_socket
from proxy.metrics import MAX_SERIES, added_up, families
from proxy.settings import Address

# Of whoever looks: scrapers and probes ask and go.
MAX_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Health:
    """What the supervisor knows; sampled per scrape."""

    ready: bool
    config_revision: int
    config_epoch: int
    config_staleness_seconds: float
    spool_bytes: int
    spool_limit_bytes: int
    usage_lag_seconds: float
    damaged_frames: int
    workers: int


class Ops:
    def __init__(
        self,
        health: Callable[[], Health],
        dumps: Callable[[], Awaitable[list[dict[str, Any]]]],
        standings: Callable[[], config_pb2.Standings],
    ) -> None:
        self._standings = standings
        self._health = health
        self._dumps = dumps
        self._server: Server | None = None

    async def listen(self, address: Address) -> int:
        """Serves; returns the port."""
        sock = open_socket(address, shared=False)
        self._server = Server(self._handle, max_connections=MAX_CONNECTIONS)
        await self._server.listen(sock)
        port: int = sock.getsockname()[1]
        return port

    def close(self) -> None:
        if self._server is not None:
            self._server.stop_accepting()
            self._server.abort()

    async def _handle(self, request: Request) -> Raw:
        if request.method not in ("GET", "HEAD"):
            return _page(405, b'{"error":"use GET"}')
        if request.path == "/livez":
            return _page(200, b'{"live":true}')
        if request.path == "/readyz":
            ready = self._health().ready
            return _page(200 if ready else 503, b'{"ready":true}' if ready else b'{"ready":false}')
        if request.path == "/metrics":
            from prometheus_client import CONTENT_TYPE_LATEST

            return _page(200, await self._metrics(), CONTENT_TYPE_LATEST)
        return _page(404, b'{"error":"try /livez, /readyz or /metrics"}')

    async def _metrics(self) -> bytes:
        from prometheus_client import CollectorRegistry, generate_latest

        dumps = await self._dumps()
        health = self._health()
        standings = self._standings()

        class Collector:
            def collect(self) -> Iterable[Any]:
                yield from families(added_up(dumps))
                yield from _gauges(health)
                yield _circuits(standings)

        registry = CollectorRegistry()
        registry.register(Collector())
        return generate_latest(registry)


def _gauges(health: Health) -> Iterable[Any]:
    from prometheus_client.core import GaugeMetricFamily

    for name, text, value in (
        ("headgate_ready", "1 when a config snapshot is served", float(health.ready)),
        ("headgate_config_version", "Revision that is served", health.config_revision),
        (
            "headgate_config_staleness_seconds",
            "Time without the control plane",
            health.config_staleness_seconds,
        ),
        ("headgate_spool_bytes", "Bytes of spool segments on disk", health.spool_bytes),
        ("headgate_spool_limit_bytes", "Bound of the spool", health.spool_limit_bytes),
        ("headgate_usage_lag_seconds", "Age of the oldest unacknowledged record", health.usage_lag_seconds),
        ("headgate_spool_damaged_frames", "Spool frames set aside as damaged", health.damaged_frames),
        ("headgate_workers", "Workers that answer calls", health.workers),
    ):
        family = GaugeMetricFamily(name, text)
        family.add_metric([], value)
        yield family


def _circuits(standings: config_pb2.Standings) -> Any:
    """0: closed, 1: half-open, 2: open. Models that never failed have none."""
    from prometheus_client.core import GaugeMetricFamily

    numbers = {config_pb2.CIRCUIT_STATE_OPEN: 2, config_pb2.CIRCUIT_STATE_HALF_OPEN: 1}
    labels = ["tenant", "provider", "model", "key"]
    family = GaugeMetricFamily("headgate_circuit_state", "0 closed, 1 half-open, 2 open", labels=labels)
    circuits = ((one, circuit) for one in standings.standings for circuit in one.circuits)
    # Those that failed first, where clients invent names of models.
    for one, circuit in islice(circuits, MAX_SERIES):
        names = [one.tenant, one.provider, one.upstream_model, circuit.key]
        family.add_metric(names, numbers.get(circuit.state, 0))
    return family


def _page(status: int, body: bytes, content_type: str = "application/json") -> Raw:
    return Raw(status, status_line(status) + f"content-type: {content_type}\r\n".encode(), body)
