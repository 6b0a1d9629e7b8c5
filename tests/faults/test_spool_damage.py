"""F10: whatever happens to bytes on the disk, the bad record is set aside and all others are delivered."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.usage.spool import FINAL, FRAME_HEAD, SEGMENT_HEAD, Spool
from tests.faults.scale import FULL
from tests.faults.spools import attempt_id, begin, final_of, kill_writer, read_all

SEGMENT_BYTES = 1200
ATTEMPTS = 20
_ID = slice(2, 18)

examples = settings(max_examples=5_000 if FULL else 200, deadline=None, derandomize=not FULL)


def write(folder: Path) -> None:
    """Twenty attempts over several segments; the last two have no final. Then kill -9."""
    spool = Spool(folder, 100 * SEGMENT_BYTES, SEGMENT_BYTES)
    intents = [begin(spool, number, padding=number) for number in range(ATTEMPTS)]
    for number, intent in enumerate(intents[:-2]):
        spool.append(FINAL, final_of(intent, number))
    kill_writer(spool)


def frames(path: Path) -> list[tuple[int, int, int, bytes]]:
    """(begin, end, kind, id) of every frame."""
    data, at, found = path.read_bytes(), SEGMENT_HEAD.size, []
    while at + FRAME_HEAD.size <= len(data):
        length, _, kind = FRAME_HEAD.unpack_from(data, at)
        if not length:
            break
        end = at + FRAME_HEAD.size + length
        found.append((at, end, kind, data[at + FRAME_HEAD.size : end][_ID]))
        at = end
    return found


def check(folder: Path, victim: Path, hurt: range) -> None:
    """`hurt`: the bytes of `victim` that are not as they were."""
    lost = {
        (kind, identity)
        for begin_at, end, kind, identity in frames(victim)
        if begin_at < hurt.stop and hurt.start < end
    }
    yield_after = _damage(victim, hurt)
    reader, finals, orphans = read_all(folder)
    expected = {attempt_id(number) for number in range(ATTEMPTS - 2)}
    expected -= {identity for kind, identity in lost if kind == FINAL}
    assert {record.payload[_ID] for record in finals} == expected
    assert len(finals) == len(expected)
    unfinished = {attempt_id(number) for number in range(ATTEMPTS)} - expected
    unfinished -= {identity for kind, identity in lost if kind != FINAL}
    assert {record.payload[_ID] for record in orphans} == unfinished
    assert len(orphans) == len(unfinished)
    assert [*folder.glob("*.seg")] == [], "a segment that was dealt with stays"
    if lost and yield_after:
        assert reader.damaged_frames
        assert any(folder.glob("*.damaged"))


def _damage(victim: Path, hurt: range) -> bool:
    """Cuts if the end is open, else flips one bit of every byte; whether something is left to see."""
    data = victim.read_bytes()
    if hurt.stop > len(data):
        victim.write_bytes(data[: hurt.start])
        return any(begin_at < hurt.start < end for begin_at, end, _, _ in _frames_of(data))
    changed = bytearray(data)
    for at in hurt:
        changed[at] ^= 1 << at % 8
    victim.write_bytes(changed)
    return True


def _frames_of(data: bytes) -> list[tuple[int, int, int, bytes]]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return frames(Path(file.name))


@examples
@given(data=st.data())
def test_a_flipped_byte_costs_at_most_its_record(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "spool"
        write(folder)
        victim = data.draw(st.sampled_from(sorted(folder.glob("*.seg"))))
        at = data.draw(st.integers(0, SEGMENT_BYTES - 1))
        check(folder, victim, range(at, at + 1))


@examples
@given(data=st.data())
def test_a_cut_at_any_length_costs_at_most_what_was_cut_off(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "spool"
        write(folder)
        victim = data.draw(st.sampled_from(sorted(folder.glob("*.seg"))))
        check(folder, victim, range(data.draw(st.integers(0, SEGMENT_BYTES - 1)), 1 << 30))


def test_a_zeroed_page_costs_at_most_what_lay_on_it(tmp_path: Path) -> None:
    """What a power cut leaves of pages that were never written back."""
    write(tmp_path)
    victim = sorted(tmp_path.glob("*.seg"))[0]
    data = bytearray(victim.read_bytes())
    first, second = frames(victim)[:2]
    data[first[0] : second[0]] = bytes(second[0] - first[0])
    victim.write_bytes(data)
    _, finals, orphans = read_all(tmp_path)
    assert len(finals) == ATTEMPTS - 2
    assert len(orphans) == 2


def test_a_length_that_lies_neither_hides_the_next_record_nor_costs_memory(tmp_path: Path) -> None:
    write(tmp_path)
    victim = sorted(tmp_path.glob("*.seg"))[0]
    data = bytearray(victim.read_bytes())
    struct.pack_into("<I", data, frames(victim)[1][0], 2**32 - 1)
    victim.write_bytes(data)
    reader, finals, _ = read_all(tmp_path)
    assert len(finals) == ATTEMPTS - 2
    assert reader.damaged_frames == 1
