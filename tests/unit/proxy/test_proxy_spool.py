"""Without descriptors or its folder the writer of a spool is full, not broken, and forgets nothing."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.usage.spool import FINAL, Spool, SpoolFull, sync

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


def test_without_descriptors_the_spool_is_full_and_says_where_and_why(spool: Spool, tmp_path: Path) -> None:
    with no_descriptors():
        fill_segment(spool)
        fill_segment(spool)  # the reserve
        with pytest.raises(SpoolFull) as full:
            fill_segment(spool)
        assert not spool.has_room()
    assert str(full.value) == f"no room for another segment in {tmp_path / 'spool'}: Too many open files"
    assert spool.has_room()
    fill_segment(spool)


def test_where_no_file_can_be_made_the_spool_is_full_and_says_so(spool: Spool, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "spool")
    fill_segment(spool)
    fill_segment(spool)
    with pytest.raises(SpoolFull, match="spool: No such file or directory"):
        fill_segment(spool)
