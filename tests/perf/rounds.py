"""The order of the measuring: systems in alternating short rounds, so that all of them meet the same machine.

Owns which system runs when and what becomes of a failure: it is noted, that sample stays empty, and the
other systems go on. The first system of a round changes from round to round.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tests.perf import accounting, measures, paced, pinning, usage_report
from tests.perf.figures import Figures
from tests.perf.ingest import BATCH_RECORDS, RECORDS, measure_ingest
from tests.perf.load import LoadFailed, run_load
from tests.perf.ours import Headgate
from tests.perf.provider import Provider
from tests.perf.references import Direct
from tests.perf.systems import StartFailed, System
from tests.perf.wire import StreamShape

Sample: TypeAlias = dict[str, float]

FAILURES = (measures.MeasureFailed, LoadFailed, StartFailed, OSError, TimeoutError)
# LiteLLM would need nine cores for 100 streams × 100 chunks/s: it gets fewer streams, and that is noted.
_HEAVY = {"litellm": 4}
_HEAVY_IDLE_STREAMS = 200
# Another way through a program that has a column of its own: what does not differ is not measured again.
_SAME_PROGRAM = ("translated", "routed")


@dataclass(frozen=True, slots=True)
class Plan:
    """How often and how long. Seconds are per system and round."""

    request_rounds: int = 8
    request_seconds: int = 2
    stream_rounds: int = 5
    even_streams: bool = True
    latency_rounds: int = 5
    latency_seconds: float = 3.0
    start_rounds: int = 3
    idle_streams: int = 1000


QUICK = Plan(
    request_rounds=4,
    request_seconds=1,
    stream_rounds=2,
    even_streams=False,
    latency_rounds=2,
    latency_seconds=1.5,
    start_rounds=1,
)


class Rounds:
    """Runs the plan over `systems` (key to system) and fills `figures`."""

    def __init__(
        self, plan: Plan, systems: dict[str, System], provider: Provider, figures: Figures, scratch: Path
    ) -> None:
        self._plan = plan
        self._systems = systems
        self._provider = provider
        self._figures = figures
        self._scratch = scratch

    def starts(self) -> None:
        """Start-up times, memory at rest and idle streams: each on a process that has just been started."""
        names = ("start_ms", "up_ready_ms", "proxy_ready_ms", "rss_mb", "pss_mb", "rss_per_1000_streams_mb")
        for key, system in list(self._systems.items()):
            # Once before the rounds: files come into the page cache, and ours makes its database.
            if key not in _SAME_PROGRAM:
                self._sample(key, ("first_up_ready_ms",), partial(self._first_start, system))
        for number in range(self._plan.start_rounds):
            for key, system in self._turn(number):
                if key in _SAME_PROGRAM:
                    continue
                if key not in _HEAVY or number == 0:
                    self._sample(key, names, partial(self._start_once, key, system))

    def _first_start(self, system: System) -> Sample:
        try:
            moments = system.start().moments_seconds
        finally:
            system.stop()
        return {"first_up_ready_ms": moments["up_ready"] * 1000} if "up_ready" in moments else {}

    def _start_once(self, key: str, system: System) -> Sample:
        try:
            started = system.start()
            cost = measures.idle_cost(
                system, _HEAVY_IDLE_STREAMS if key in _HEAVY else self._plan.idle_streams
            )
            found = {
                "start_ms": started.answer_seconds * 1000,
                "rss_mb": cost.rest.rss_mb,
                "pss_mb": cost.rest.pss_mb,
                "rss_per_1000_streams_mb": cost.rss_per_1000_streams_mb,
            }
            found |= {f"{moment}_ms": seconds * 1000 for moment, seconds in started.moments_seconds.items()}
            if system.beside_pids():
                found["beside_pss_mb"] = accounting.memory(system.beside_pids()).pss_mb
            return found
        finally:
            system.stop()

    def start_all(self) -> None:
        """Start every system for the load rounds and warm it; one that does not start is left out."""
        if pinning.possible():
            pinning.leave_core_zero()
            self._note(pinning.NOTE)
        for key, system in list(self._systems.items()):
            try:
                system.start()
                pinning.pin_system(system.measured_pids(), system.beside_pids())
                run_load(system.target(), 1, self._scratch)
            except FAILURES as error:
                self._note(f"{key} is left out: {error}")
                system.stop()
                del self._systems[key]

    def stop_all(self) -> None:
        for system in self._systems.values():
            system.stop()
        pinning.release()

    def requests(self) -> None:
        names = ("cpu_per_request_us", "rate_per_second", "beside_cpu_per_request_us")
        for number in range(self._plan.request_rounds):
            for key, system in self._turn(number):
                self._sample(key, names, partial(self._request_once, key, system))

    def _request_once(self, key: str, system: System) -> Sample:
        cost = measures.request_cost(system, self._provider, self._plan.request_seconds, self._scratch)
        if abs(cost.upstream_calls_per_request - 1) > 0.005:
            self._note(f"{key} called its upstream {cost.upstream_calls_per_request:.3f} times per request")
        found = {"cpu_per_request_us": cost.cpu_us, "rate_per_second": cost.requests_per_second}
        if system.beside_pids():
            found["beside_cpu_per_request_us"] = cost.beside_cpu_us
        return found

    def streams(self) -> None:
        shapes = {"cpu_per_chunk_us": measures.BUNCHED}
        if self._plan.even_streams:
            shapes["cpu_per_even_chunk_us"] = measures.EVEN
        before = self._provider.counts()
        for number in range(self._plan.stream_rounds):
            for name, shape in shapes.items():
                for key, system in self._turn(number):
                    self._sample(key, (name,), partial(self._stream_once, name, shape, key, system))
        after = self._provider.counts()
        late = (after.late_chunks - before.late_chunks) / max(1, after.chunks - before.chunks)
        if late > 0.01:
            self._note(f"the upstream sent {late:.1%} of the chunks more than 5 ms late")

    def _stream_once(self, name: str, shape: StreamShape, key: str, system: System) -> Sample:
        return {name: measures.chunk_cost_us(system, shape, _HEAVY.get(key, measures.STREAMS))}

    def latency(self) -> None:
        """Latency above that of the upstream alone, at one absolute rate: half of the slowest one's."""
        rates = {key: self._figures.median("rate_per_second", key) or 0.0 for key in self._systems}
        left_out = (*_HEAVY, *_SAME_PROGRAM)
        light = [(rate, key) for key, rate in rates.items() if rate and key not in left_out]
        if not light:
            return
        least, slowest = min(light)
        common = max(100.0, least / 2 // 100 * 100)
        self._note(
            f"added latency: {common:,.0f} requests/s for all (half of what {slowest} carries, slowest of "
            f"{', '.join(key for _, key in light)}), Poisson arrivals, counted from when a request was due, "
            "less the same percentile of the upstream without a proxy"
        )
        direct = Direct(self._provider.port)
        for number in range(self._plan.latency_rounds):
            base = paced.measure_latency(direct.target(), common, self._plan.latency_seconds, number)
            for key, system in self._turn(number):
                if key in _SAME_PROGRAM:
                    continue
                rate = common if key not in _HEAVY else max(2.0, rates[key] / 2)
                self._sample(
                    key, ("added_p50_us", "added_p99_us"), partial(self._added, system, rate, number, base)
                )

    def _added(self, system: System, rate: float, seed: int, base: paced.Latencies) -> Sample:
        found = paced.measure_latency(system.target(), rate, self._plan.latency_seconds, seed)
        if found.errors:
            raise measures.MeasureFailed(f"{found.errors} errors in {found.requests} paced requests")
        return {"added_p50_us": found.p50_us - base.p50_us, "added_p99_us": found.p99_us - base.p99_us}

    def memory_after_load(self) -> None:
        for key, system in self._systems.items():
            if key in _SAME_PROGRAM:
                continue
            self._sample(key, ("rss_loaded_mb",), partial(self._rss, "rss_loaded_mb", system))

    def many_keys(self, key: str, system: System) -> None:
        """RSS of ours with 10,000 keys in its snapshot, after a second of load."""
        self._sample(key, ("rss_keys_mb",), partial(self._rss_with_keys, system))

    def _rss_with_keys(self, system: System) -> Sample:
        try:
            system.start()
            run_load(system.target(), 1, self._scratch)
            return self._rss("rss_keys_mb", system)
        finally:
            system.stop()

    def ingest(self, key: str, system: Headgate) -> None:
        """Usage records per second into PostgreSQL, on a fresh database."""
        names = ("ingest_per_second", "ingest_per_core_second")
        self._sample(key, names, partial(self._ingest, system))

    def _ingest(self, system: Headgate) -> Sample:
        try:
            system.start()
            token = usage_report.proxy_token(system.grpc, system.admin_token)

            def report(records: int, batch_records: int) -> int:
                return usage_report.report(system.grpc, token, batches)

            batches = usage_report.make_batches(RECORDS, BATCH_RECORDS)
            rate = measure_ingest(report, system.control_plane_pids(), system.postgres_pids())
        finally:
            system.stop()
        return {"ingest_per_second": rate.per_second, "ingest_per_core_second": rate.per_core_second}

    def _rss(self, name: str, system: System) -> Sample:
        return {name: measures.settled_memory(system).rss_mb}

    def _turn(self, number: int) -> Iterator[tuple[str, System]]:
        keys = list(self._systems)
        for index in range(len(keys)):
            key = keys[(index + number) % len(keys)]
            yield key, self._systems[key]

    def _sample(self, key: str, names: tuple[str, ...], run: Callable[[], Sample]) -> None:
        """Run once and keep what came; a failure leaves `names` an empty sample: rounds stay paired."""
        try:
            found = run()
        except FAILURES as error:
            self._note(f"{key}, {names[0]}: {str(error).strip() or type(error).__name__}")
            for name in names:
                self._figures.add(name, key, None)
            return
        for name, value in found.items():
            self._figures.add(name, key, value)
        if found:
            progress(f"{key:9} " + "  ".join(f"{name} {value:,.1f}" for name, value in found.items()))

    def _note(self, text: str) -> None:
        progress(text)
        first_line = text.partition("\n")[0]  # the rest is a log, for the terminal only
        if first_line not in self._figures.notes:
            self._figures.notes.append(first_line)


def progress(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
