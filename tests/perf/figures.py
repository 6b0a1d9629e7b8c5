"""What was measured: samples by measure and system, and the few sums that the table makes of them.

A ratio to nginx is taken round by round and then the median of the rounds is reported: the machine's speed
drifts by a fifth within minutes, and both sides of one round were measured in the same seconds.
"""

from dataclasses import dataclass, field
from statistics import median

BASE = "nginx"


@dataclass(frozen=True, slots=True)
class Measure:
    """One row. `comparable` ones show the ratio to nginx; `limit_ratio` and `limit` are targets for ours."""

    key: str
    title: str
    digits: int = 1
    comparable: bool = False
    limit_ratio: float | None = None
    limit: float | None = None
    limit_is_floor: bool = False


MEASURES = (
    Measure("cpu_per_request_us", "CPU µs per request", comparable=True, limit_ratio=4.5),
    Measure("beside_cpu_per_request_us", "· beside it (control plane, PostgreSQL)"),
    Measure("rate_per_second", "requests/s, 16 connections, one worker", digits=0),
    Measure("cpu_per_chunk_us", "CPU µs per streamed chunk", comparable=True, limit_ratio=1.4),
    Measure("cpu_per_even_chunk_us", "· the same, chunks spread evenly", comparable=True),
    Measure("added_p50_us", "added latency p50, µs", digits=0, comparable=True),
    Measure("added_p99_us", "added latency p99, µs", digits=0),
    Measure("rss_mb", "RSS at rest, MB"),
    Measure("pss_mb", "· PSS (shared pages once), MB"),
    Measure("beside_pss_mb", "· beside it (control plane, PostgreSQL), PSS MB"),
    Measure("rss_loaded_mb", "RSS after the load, MB"),
    Measure("rss_keys_mb", "RSS with 10,000 keys, MB", limit=80.0),
    Measure("rss_per_1000_streams_mb", "RSS per 1,000 idle streams, MB"),
    Measure("start_ms", "start to first good answer, ms", digits=0),
    Measure("proxy_ready_ms", "· of it the proxy process, ms", digits=0, limit=1000.0),
    Measure("up_ready_ms", "· `headgate up` ready, ms", digits=0, limit=5000.0),
    Measure("first_up_ready_ms", "· `headgate up` ready, first run, ms", digits=0, limit=5000.0),
    Measure(
        "ingest_per_second", "usage records/s into PostgreSQL", digits=0, limit=20000.0, limit_is_floor=True
    ),
    Measure(
        "ingest_per_core_second", "· per core of control plane", digits=0, limit=20000.0, limit_is_floor=True
    ),
)


@dataclass(slots=True)
class Figures:
    """Samples by (measure, system); the position in a list is the round, None where a round failed."""

    samples: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, measure: str, system: str, value: float | None) -> None:
        self.samples.setdefault(measure, {}).setdefault(system, []).append(value)

    def of(self, measure: str, system: str) -> list[float]:
        return [value for value in self.samples.get(measure, {}).get(system, []) if value is not None]

    def median(self, measure: str, system: str) -> float | None:
        values = self.of(measure, system)
        return median(values) if values else None

    def ratios(self, measure: str, system: str) -> list[float]:
        """One ratio to nginx per round that both have."""
        base = self.samples.get(measure, {}).get(BASE, [])
        mine = self.samples.get(measure, {}).get(system, [])
        pairs = zip(mine, base, strict=False)
        return [value / reference for value, reference in pairs if value is not None and reference]

    def ratio(self, measure: str, system: str) -> float | None:
        found = self.ratios(measure, system)
        return median(found) if found else None
