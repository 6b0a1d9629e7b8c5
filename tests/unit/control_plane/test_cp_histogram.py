"""Latency histograms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from control_plane.usage.histogram import BOUNDS_MS, bucket_of, percentile


def counts_of(values: list[int]) -> list[int]:
    counts = [0] * (len(BOUNDS_MS) + 1)
    for value in values:
        counts[bucket_of(value)] += 1
    return counts


@given(st.lists(st.integers(1, 900_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_a_percentile_lies_in_the_bucket_of_the_true_one(values: list[int], share: float) -> None:
    estimate = percentile(counts_of(values), share)
    ordered = sorted(values)
    rank = max(0, -int(-share * len(ordered) // 1) - 1)
    assert estimate is not None
    assert ordered[rank] / 1.2 <= estimate <= ordered[rank] * 1.2


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile([], 0.5) is None
    assert percentile([0, 0], 0.5) is None


def test_what_is_longer_than_the_last_bound_counts_in_the_last_bucket() -> None:
    assert bucket_of(10**9) == len(BOUNDS_MS)
    assert percentile(counts_of([10**9]), 0.5) == BOUNDS_MS[-1]
