"""A spool's reader on a failing disk: it says so, passes nothing over, and takes nothing for finished."""

from __future__ import annotations

from pathlib import Path

from proxy.usage.spool import FINAL, INTENT, Spool
from proxy.usage.spool_reader import SpooledRecord, SpoolReader

SEGMENT_BYTES = 4096
LIMIT, LIMIT_BYTES = 100, 1 << 20
UNREADABLE = Path("/proc/self/mem")


def written(folder: Path) -> list[Path]:
    """Three segments of a dead writer: a final, an intent; that one's final; and another intent."""
    spool = Spool(folder, 100 * SEGMENT_BYTES, SEGMENT_BYTES)
    for kind, number in ((FINAL, 1), (INTENT, 2), (FINAL, 2), (FINAL, 3), (INTENT, 4)):
        spool.append(kind, payload(number))
    spool.close()
    return sorted(folder.glob("*.seg"))


def payload(number: int) -> bytes:
    return b"\x0a\x10" + bytes(15) + bytes((number,)) + bytes(SEGMENT_BYTES // 3)


def numbers(records: list[SpooledRecord]) -> list[int]:
    return [record.payload[17] for record in records]


def reader_of(folder: Path) -> SpoolReader:
    reader = SpoolReader(folder)
    reader.writer_died()
    return reader


def test_what_stands_before_an_unreadable_segment_is_given_out_and_no_intent_is_an_orphan_yet(
    tmp_path: Path,
) -> None:
    _, second, _ = written(tmp_path)
    kept = second.rename(tmp_path / "kept")
    second.symlink_to(UNREADABLE)
    reader = reader_of(tmp_path)
    assert numbers(reader.read(LIMIT, LIMIT_BYTES)) == [1]
    assert reader.orphans(LIMIT, LIMIT_BYTES) == []
    assert reader.trouble == f"[Errno 5] Input/output error: '{second}'"
    second.unlink()
    kept.rename(second)
    assert numbers(reader.read(LIMIT, LIMIT_BYTES)) == [2, 3]
    assert reader.trouble == ""
    assert numbers(reader.orphans(LIMIT, LIMIT_BYTES)) == [4]


def test_a_folder_that_cannot_be_listed_is_tried_again_and_counts_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    written(folder)
    reader = reader_of(folder)
    assert reader.bytes_on_disk() == 3 * SEGMENT_BYTES
    kept = folder.rename(tmp_path / "kept")
    folder.symlink_to(folder)
    assert reader.read(LIMIT, LIMIT_BYTES) == []
    assert "Too many levels of symbolic links" in reader.trouble
    assert reader.bytes_on_disk() == 3 * SEGMENT_BYTES
    folder.unlink()
    kept.rename(folder)
    assert numbers(reader.read(LIMIT, LIMIT_BYTES)) == [1, 2, 3]
    assert reader.trouble == ""


def test_a_folder_whose_first_segment_cannot_be_looked_at_is_not_finished(tmp_path: Path) -> None:
    first, *_ = written(tmp_path)
    kept = first.rename(tmp_path / "kept")
    first.symlink_to(first)
    reader = reader_of(tmp_path)
    assert reader.read(LIMIT, LIMIT_BYTES) == []
    assert not reader.finished
    first.unlink()
    kept.rename(first)
    assert numbers(reader.read(LIMIT, LIMIT_BYTES)) == [1, 2, 3]


def test_an_acknowledged_segment_that_cannot_be_deleted_is_said_and_tried_again(tmp_path: Path) -> None:
    first, *_ = written(tmp_path)
    reader = reader_of(tmp_path)
    records = reader.read(LIMIT, LIMIT_BYTES)
    orphans = reader.orphans(LIMIT, LIMIT_BYTES)
    first.unlink()
    first.mkdir()
    reader.acknowledge([*records, *orphans])
    reader.read(LIMIT, LIMIT_BYTES)
    assert "Is a directory" in reader.trouble
    assert not reader.finished
    first.rmdir()
    assert reader.read(LIMIT, LIMIT_BYTES) == []
    assert (reader.trouble, reader.finished) == ("", True)
