"""The writer of a spool without descriptors or without its folder is full, not broken, and forgets nothing."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.usage.spool import FINAL, Spool, sync

SEGMENT_BYTES = 4096
MAX_BYTES = 100 * SEGMENT_BYTES


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", MAX_BYTES, SEGMENT_BYTES)
    yield spool
    spool.close()


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """This process may open no file meanwhile; those that are open stay."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def fill_segment(spool: Spool) -> None:
    spool.append(FINAL, bytes(SEGMENT_BYTES // 2))
    spool.append(FINAL, bytes(SEGMENT_BYTES // 3))


def test_what_could_not_be_taken_for_a_sync_is_taken_at_the_next(spool: Spool) -> None:
    fill_segment(spool)
    spool.append(FINAL, bytes(SEGMENT_BYTES // 3))  # in the next one
    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        spool.take_unsynced()
    taken = spool.take_unsynced()
    names = [Path(os.readlink(f"/proc/self/fd/{descriptor}")).name for descriptor in taken]
    sync(taken)
    assert names == ["000000000001.seg", "000000000002.seg"]
    assert spool.take_unsynced() == []


def test_a_spool_is_closed_in_order_without_a_descriptor_to_spare(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MAX_BYTES, SEGMENT_BYTES)
    fill_segment(spool)
    with no_descriptors():
        spool.close()
    assert [path.name for path in tmp_path.glob("*.seg")] == ["000000000001.seg"]
