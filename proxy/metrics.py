"""Counters of the call path: plain integers in slots, turned into Prometheus text when scraped.

One series per (route, model, provider) holds everything a call adds to, so that a call costs one
dictionary look-up and a dozen additions. Label sets are bounded (A17), in a worker and in each metric that is
shown: past the bound, "other".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

# Upper bounds in seconds; the last bucket is open.
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)

# Label sets of a metric; a histogram's buckets count as one.
MAX_SERIES = 1_000
# Of these, for a status or an outcome of "other".
_KEPT_FOR_OTHER = 20
TOKEN_CLASSES = ("input", "cache_read", "cache_write", "output", "reasoning")


class Histogram:
    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class Series:
    """Everything about the calls of one route that one model answered (or failed to)."""

    __slots__ = ("cost_picousd", "first_token", "outcomes", "overhead", "request", "statuses", "tokens")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.outcomes: dict[str, int] = {}
        self.tokens = [0] * len(TOKEN_CLASSES)
        self.cost_picousd = 0
        self.request = Histogram(LATENCY_BUCKETS)
        self.first_token = Histogram(LATENCY_BUCKETS)
        self.overhead = Histogram(OVERHEAD_BUCKETS)

    def add(self, other: Series) -> None:
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count
        self.tokens = [a + b for a, b in zip(self.tokens, other.tokens, strict=True)]
        self.cost_picousd += other.cost_picousd
        for name in _HISTOGRAMS:
            mine, more = getattr(self, name), getattr(other, name)
            mine.counts = [a + b for a, b in zip(mine.counts, more.counts, strict=True)]
            mine.total += more.total


_HISTOGRAMS = ("request", "first_token", "overhead")
Labels = tuple[str, str, str]
_OTHER: Labels = ("other", "other", "other")


class Metrics:
    """Of one worker."""

    def __init__(self) -> None:
        self._series: dict[Labels, Series] = {}
        self.inflight = 0
        # Requests that were refused before a route was known, by code.
        self.refused: dict[str, int] = {}
        # What experiments do in the background: (what, outcome).
        self.background: dict[tuple[str, str], int] = {}

    def series(self, route: str, model: str, provider: str) -> Series:
        labels = (route, model, provider)
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= MAX_SERIES - 1:
                labels = _OTHER
            series = self._series.setdefault(labels, Series())
        return series

    def refuse(self, code: str) -> None:
        self.refused[code] = self.refused.get(code, 0) + 1

    def in_background(self, what: str, outcome: str) -> None:
        self.background[what, outcome] = self.background.get((what, outcome), 0) + 1

    def dump(self) -> dict[str, Any]:
        """As plain data, for another process to add up."""
        return {
            "inflight": self.inflight,
            "refused": self.refused,
            "background": [[*names, count] for names, count in self.background.items()],
            "series": [[*labels, _dumped(series)] for labels, series in self._series.items()],
        }


def _dumped(series: Series) -> dict[str, Any]:
    return {
        "statuses": [[status, count] for status, count in series.statuses.items()],
        "outcomes": series.outcomes,
        "tokens": series.tokens,
        "cost_picousd": str(series.cost_picousd),
        **{name: [getattr(series, name).counts, getattr(series, name).total] for name in _HISTOGRAMS},
    }


def _read(dump: dict[str, Any]) -> Series:
    series = Series()
    series.statuses = dict(dump["statuses"])
    series.outcomes = dump["outcomes"]
    series.tokens = dump["tokens"]
    series.cost_picousd = int(dump["cost_picousd"])
    for name in _HISTOGRAMS:
        histogram = getattr(series, name)
        histogram.counts, histogram.total = dump[name]
    return series


def added_up(dumps: list[dict[str, Any]]) -> dict[str, Any]:
    """The dumps of several workers as one."""
    total: dict[str, Any] = {"inflight": 0, "refused": {}, "background": {}, "series": {}}
    for dump in dumps:
        total["inflight"] += dump["inflight"]
        for code, count in dump["refused"].items():
            total["refused"][code] = total["refused"].get(code, 0) + count
        for what, outcome, count in dump["background"]:
            total["background"][what, outcome] = total["background"].get((what, outcome), 0) + count
        for route, model, provider, series in dump["series"]:
            labels = (route, model, provider)
            # Workers may have met different ones.
            if labels not in total["series"] and len(total["series"]) >= MAX_SERIES - 1:
                labels = _OTHER
            total["series"].setdefault(labels, Series()).add(_read(series))
    return total


class _Counter:
    """A family with one more label than a series has; its label sets are bounded by themselves."""

    def __init__(self, family: Any) -> None:
        self.family = family
        self._cells: dict[tuple[str, ...], float] = {}

    def add(self, labels: Labels, more: str, count: float) -> None:
        cell: tuple[str, ...] = (*labels, more)
        if cell not in self._cells and len(self._cells) >= MAX_SERIES - _KEPT_FOR_OTHER:
            cell = (*_OTHER, more)
            if cell not in self._cells and len(self._cells) >= MAX_SERIES - 1:
                cell = (*_OTHER, "other")
        self._cells[cell] = self._cells.get(cell, 0) + count

    def filled(self) -> Any:
        for cell, count in self._cells.items():
            self.family.add_metric(list(cell), count)
        return self.family


def families(total: dict[str, Any]) -> Iterator[Any]:
    """Prometheus metric families of `added_up` dumps."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    labels = ["route", "model", "provider"]
    requests, attempts, tokens = (
        _Counter(CounterMetricFamily(name, text, labels=[*labels, more]))
        for name, text, more in (
            ("headgate_requests", "Requests answered", "status"),
            ("headgate_attempts", "Upstream attempts", "outcome"),
            ("headgate_tokens", "Tokens by class", "class"),
        )
    )
    cost = CounterMetricFamily("headgate_cost_usd", "Cost in US dollars", labels=labels)
    histograms = {
        "request": HistogramMetricFamily("headgate_request_seconds", "Whole requests", labels=labels),
        "first_token": HistogramMetricFamily("headgate_first_token_seconds", "First token", labels=labels),
        "overhead": HistogramMetricFamily("headgate_overhead_seconds", "Time in the proxy", labels=labels),
    }
    for names, series in total["series"].items():
        values = list(names)
        for status, count in series.statuses.items():
            requests.add(names, str(status), count)
        for outcome, count in series.outcomes.items():
            attempts.add(names, outcome, count)
        for name, count in zip(TOKEN_CLASSES, series.tokens, strict=True):
            if count:
                tokens.add(names, name, count)
        cost.add_metric(values, series.cost_picousd / 1e12)
        for name, family in histograms.items():
            histogram = getattr(series, name)
            if sum(histogram.counts):
                family.add_metric(values, _cumulative(histogram), histogram.total)
    refused = CounterMetricFamily("headgate_refused", "Requests refused before an attempt", labels=["code"])
    for code, count in total["refused"].items():
        refused.add_metric([code], count)
    background = CounterMetricFamily(
        "headgate_background", "What experiments did beside calls", labels=["what", "outcome"]
    )
    for names, count in total["background"].items():
        background.add_metric(list(names), count)
    inflight = GaugeMetricFamily("headgate_inflight", "Calls under way")
    inflight.add_metric([], total["inflight"])
    yield from (one.filled() for one in (requests, attempts, tokens))
    yield from (cost, *histograms.values(), refused, background, inflight)


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    count = 0
    buckets = []
    for bound, number in zip([*map(str, histogram.bounds), "+Inf"], histogram.counts, strict=True):
        count += number
        buckets.append((bound, float(count)))
    return buckets
