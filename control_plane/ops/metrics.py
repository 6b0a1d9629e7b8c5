"""Prometheus metrics of one replica. Labels are bounded: methods, codes, nothing that callers can invent."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._rpcs = Counter(
            "headgate_control_plane_rpcs_total",
            "Finished RPCs and streams",
            ["method", "code"],
            registry=self.registry,
        )

    def count_rpc(self, method: str, code: str) -> None:
        self._rpcs.labels(method.rpartition("/")[2], code).inc()

    def gauge(self, name: str, what: str, read: Callable[[], float]) -> None:
        """A number that is asked for when it is scraped."""
        Gauge(f"headgate_control_plane_{name}", what, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        return generate_latest(self.registry)
