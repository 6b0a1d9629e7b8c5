"""Ids are UUIDv7 (RFC 9562, 5.7): 48 bits of time, version 7, variant 10, 74 random bits."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from proxy.ids import Ids, unix_ms_of


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_the_layout_is_that_of_the_rfc(unix_ms: int, random: bytes) -> None:
    ids = Ids(lambda: unix_ms, lambda size: random * (size // 10))
    made = ids.new()
    known = uuid.UUID(bytes=made)
    assert len(made) == 16
    assert known.version == 7
    assert known.variant == uuid.RFC_4122
    assert known.int >> 80 == unix_ms_of(made) == unix_ms
    # The bits that are not version and variant are the random ones, in their places.
    mask = bytes([0x0F, 0xFF, 0x3F, *[0xFF] * 7])
    assert bytes(a & m for a, m in zip(made[6:], mask, strict=True)) == bytes(
        a & m for a, m in zip(random, mask, strict=True)
    )


@given(st.lists(st.integers(0, 2**48 - 1), unique=True, max_size=20))
def test_ids_sort_by_their_time(times: list[int]) -> None:
    clock = iter(times)
    ids = Ids(lambda: next(clock))
    made = [ids.new() for _ in times]
    assert [unix_ms_of(one) for one in sorted(made)] == sorted(times)


def test_ids_of_one_moment_differ() -> None:
    ids = Ids(lambda: 1)
    assert len({ids.new() for _ in range(5_000)}) == 5_000


def test_the_time_is_now_in_milliseconds() -> None:
    assert abs(unix_ms_of(Ids().new()) - unix_ms_of(Ids().new())) < 5_000
    assert unix_ms_of(Ids().new()) > 1_700_000_000_000
