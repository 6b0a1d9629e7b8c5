"""Reads a spool folder that a writer may still be appending to, and deletes what was acknowledged.

Knows nothing of the writer but the files, so the same code ships a living worker's records and adopts
a dead one's. A segment may go when the writer has moved past it, all its finals are acknowledged, and
none of its intents is still waiting for its final. Torn or damaged frames are set aside and counted.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from proxy.usage.spool import FINAL, FRAME_HEAD, INTENT, KIND_CRC, MAGIC, SEGMENT_HEAD, segment_number

# Read at a time; some 400 records.
_BLOCK_BYTES = 256 * 2**10
# A UUIDv7 at the front of every payload: field 1, length 16.
_ID = slice(2, 18)


@dataclass(slots=True)
class _Segment:
    number: int
    path: Path
    # Of the file; it does not change once it is allocated.
    size: int
    position: int = SEGMENT_HEAD.size
    # The writer has moved on, or is dead: what is here now is all.
    sealed: bool = False
    unacked: int = 0
    open_intents: dict[bytes, bytes] = field(default_factory=dict)
    damaged: bool = False


@dataclass(slots=True)
class SpooledRecord:
    """A final record, and where its acknowledgement counts."""

    payload: bytes
    segment: int


class SpoolReader:
    """One folder. `read` gives new finals in order, `acknowledge` lets their segments go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segments: dict[int, _Segment] = {}
        self._waiting: deque[SpooledRecord] = deque()
        self.damaged_frames = 0
        self._writer_dead = False

    def writer_died(self) -> None:
        """No more is to come: intents without a final will never get one."""
        self._writer_dead = True

    def read(self, limit: int) -> list[SpooledRecord]:
        """At most `limit` finals that were not given out before."""
        self._discover()
        for segment in list(self._segments.values()):
            if len(self._waiting) >= limit:
                break
            self._scan(segment, limit)
        self._delete_finished()
        return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def orphans(self) -> list[SpooledRecord]:
        """Intents whose final can no longer come; only after `writer_died` and once all is read."""
        if not self._writer_dead:
            return []
        found = []
        for segment in self._segments.values():
            for payload in segment.open_intents.values():
                segment.unacked += 1
                found.append(SpooledRecord(payload, segment.number))
            segment.open_intents = {}
        return found

    def acknowledge(self, records: list[SpooledRecord]) -> None:
        for record in records:
            segment = self._segments.get(record.segment)
            if segment is not None:
                segment.unacked -= 1
        self._delete_finished()

    @property
    def drained(self) -> bool:
        """Nothing waits: everything read is acknowledged."""
        return not self._waiting and all(
            segment.unacked == 0 and not segment.open_intents for segment in self._segments.values()
        )

    @property
    def finished(self) -> bool:
        """The writer is dead and everything it left is acknowledged and deleted."""
        return self._writer_dead and not self._waiting and not self._segments

    def bytes_on_disk(self) -> int:
        total = 0
        for path in self._folder.glob("*.seg"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue
        return total

    def _discover(self) -> None:
        """Finds new segments; those that the writer has moved past are sealed."""
        segments = self._segments
        for name in sorted(os.listdir(self._folder)):
            if name.endswith(".seg"):
                path = self._folder / name
                number = segment_number(path)
                if number not in segments:
                    segments[number] = _Segment(number, path, _size(path))
        newest_used = 0
        for segment in segments.values():
            if segment.position > SEGMENT_HEAD.size or _first_length(segment.path):
                newest_used = max(newest_used, segment.number)
        for segment in segments.values():
            segment.sealed = self._writer_dead or segment.number < newest_used

    def _scan(self, segment: _Segment, limit: int) -> None:
        """Takes frames in blocks until there are no more, or `limit` finals wait."""
        if segment.damaged:
            return
        try:
            with segment.path.open("rb", buffering=0) as file:
                if segment.position == SEGMENT_HEAD.size and not _good_head(file, segment.number):
                    self._damage(segment)
                    return
                block_bytes = _BLOCK_BYTES
                while len(self._waiting) < limit and not segment.damaged:
                    file.seek(segment.position)
                    taken, wanted = self._take_frames(segment, file.read(block_bytes))
                    segment.position += taken
                    if not taken and wanted <= block_bytes:
                        return
                    block_bytes = max(_BLOCK_BYTES, wanted)
        except FileNotFoundError:
            self._segments.pop(segment.number, None)

    def _take_frames(self, segment: _Segment, block: bytes) -> tuple[int, int]:
        """(bytes of whole frames taken, bytes that the frame after them needs)."""
        offset = 0
        size = len(block)
        while offset + FRAME_HEAD.size <= size:
            length, crc, kind = FRAME_HEAD.unpack_from(block, offset)
            if length == 0:
                return offset, 0
            end = offset + FRAME_HEAD.size + length
            if end > size and segment.position + end <= segment.size:
                return offset, FRAME_HEAD.size + length
            payload = block[offset + FRAME_HEAD.size : end]
            if zlib.crc32(payload, KIND_CRC.get(kind, 0)) != crc or len(payload) != length:
                # The tail of a living writer is looked at again; elsewhere the frame is damaged for
                # good, and with it the place where the next one begins.
                if segment.sealed:
                    self._damage(segment)
                return offset, 0
            self._take(segment, kind, payload)
            offset = end
        return offset, FRAME_HEAD.size

    def _take(self, segment: _Segment, kind: int, payload: bytes) -> None:
        identity = payload[_ID]
        if kind == INTENT:
            segment.open_intents[identity] = payload
        elif kind == FINAL:
            if segment.open_intents.pop(identity, None) is None:
                for other in self._segments.values():
                    if other.open_intents.pop(identity, None) is not None:
                        break
            segment.unacked += 1
            self._waiting.append(SpooledRecord(payload, segment.number))

    def _damage(self, segment: _Segment) -> None:
        segment.damaged = True
        self.damaged_frames += 1
        aside = segment.path.with_suffix(".damaged")
        try:
            aside.write_bytes(segment.path.read_bytes())
            aside.chmod(0o600)
        except OSError:
            return  # the disk is full; the counter tells, and the segment itself stays

    def _delete_finished(self) -> None:
        for segment in list(self._segments.values()):
            if (
                segment.sealed
                and segment.unacked == 0
                and not segment.open_intents
                and self._read_up(segment)
            ):
                segment.path.unlink(missing_ok=True)
                del self._segments[segment.number]

    def _read_up(self, segment: _Segment) -> bool:
        if segment.damaged:
            return segment.path.with_suffix(".damaged").exists()
        try:
            with segment.path.open("rb") as file:
                return not _more_at(file, segment.position)
        except FileNotFoundError:
            return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _first_length(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _more_at(file, SEGMENT_HEAD.size)
    except FileNotFoundError:
        return False


def _more_at(file: object, position: int) -> bool:
    """Whether a frame begins at `position`; leaves the file positioned there."""
    file.seek(position)  # type: ignore[attr-defined]
    length = file.read(4)  # type: ignore[attr-defined]
    file.seek(position)  # type: ignore[attr-defined]
    return len(length) == 4 and length != b"\0\0\0\0"


def _good_head(file: object, number: int) -> bool:
    file.seek(0)  # type: ignore[attr-defined]
    head = file.read(SEGMENT_HEAD.size)  # type: ignore[attr-defined]
    if len(head) < SEGMENT_HEAD.size:
        return False
    if head == b"\0" * SEGMENT_HEAD.size:
        return True  # just allocated
    magic, written = SEGMENT_HEAD.unpack(head)
    return bool(magic == MAGIC and written == number)
