"""Latency histograms: fixed logarithmic buckets, four to a doubling, from 1 ms to 17 minutes.

A bucket is 19 % wide, so an interpolated percentile is off by a few per cent at most, and histograms of
hours, keys and regions can simply be added. The bounds are stored nowhere: changing them needs a migration.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

BUCKETS_PER_DOUBLING = 4
DOUBLINGS = 20
# Bucket i holds what is at or above bound i-1 and below bound i; the last one has no upper end.
BOUNDS_MS: tuple[float, ...] = tuple(
    round(2 ** (i / BUCKETS_PER_DOUBLING), 3) for i in range(BUCKETS_PER_DOUBLING * DOUBLINGS + 1)
)


def bounds_sql() -> str:
    """As an array for width_bucket, which counts the bounds at or below a value, as bucket_of does."""
    return "'{" + ",".join(str(bound) for bound in BOUNDS_MS) + "}'::float8[]"


def bucket_of(milliseconds: float) -> int:
    return bisect_right(BOUNDS_MS, milliseconds)


def percentile(counts: Sequence[int], share: float) -> float | None:
    """The value below which `share` (0 to 1) of the counted ones lie, interpolated inside its bucket."""
    total = sum(counts)
    if total == 0:
        return None
    rank = share * total
    below = 0
    for bucket, count in enumerate(counts):
        if count and below + count >= rank:
            low = BOUNDS_MS[bucket - 1] if bucket else 0.0
            high = BOUNDS_MS[bucket] if bucket < len(BOUNDS_MS) else low
            return low + (high - low) * max(0.0, rank - below) / count
        below += count
    return BOUNDS_MS[-1]
