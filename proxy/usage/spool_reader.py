"""Reads a spool folder that a writer may still be appending to, and deletes what was acknowledged.

Knows nothing of the writer but the files, so the same code ships a living worker's records and adopts
a dead one's. A segment may go when the writer has moved past it, all its finals are acknowledged, and
none of its intents is still waiting for its final. Damaged bytes are set aside and counted; reading
goes on at the next whole frame. Where the disk fails, nothing is passed over: it is said (`trouble`), and
tried again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import zlib
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from proxy.usage.spool import (
    FINAL,
    FRAME_HEAD,
    INTENT,
    KIND_CRC,
    SCORE,
    SEGMENT_HEAD,
    STRUCK,
    segment_head,
    segment_number,
)

# Read at a time; some 400 records.
_BLOCK_BYTES = 256 * 2**10
# A UUIDv7 at the front of every payload: field 1, length 16.
_ID = slice(2, 18)
# Kind, then the beginning of a payload: where a frame may begin again after damage.
_FRAME_SIGN = re.compile(rb"[\x01-\x04]\x0a\x10", re.DOTALL)
_BEFORE_KIND = 8
_CRC_OFFSET = 4


@dataclass(frozen=True, slots=True)
class _Intent:
    payload: bytes
    # Of its frame.
    offset: int


@dataclass(slots=True)
class _Segment:
    number: int
    path: Path
    # Of the file; it does not change once it is allocated.
    size: int
    position: int = 0
    # The writer has moved on, or is dead: what is here now is all.
    sealed: bool = False
    # Read to its end after it was sealed.
    read_up: bool = False
    unacked: int = 0
    open_intents: dict[bytes, _Intent] = field(default_factory=dict)
    # Intents in earlier segments whose final is here: they are struck out there before this one goes,
    # or a later life would take them for orphans.
    closed_elsewhere: list[tuple[int, _Intent]] = field(default_factory=list)


@dataclass(slots=True)
class SpooledRecord:
    """A final record or a score, and where its acknowledgement counts."""

    payload: bytes
    segment: int
    is_score: bool = False


class SpoolReader:
    """One folder. `read` gives new finals in order, `acknowledge` lets their segments go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segments: dict[int, _Segment] = {}
        self._waiting: deque[SpooledRecord] = deque()
        self.damaged_frames = 0
        # Why it gets no further, as of the last `read`; "" it does.
        self.trouble = ""
        self._bytes = 0
        self._writer_left = False
        self._writer_dead = False

    def writer_died(self) -> None:
        """Nobody feeds it any more. It counts as dead once its lock on the folder is free: a worker
        may outlive its supervisor and finish its calls. Intents without a final then never get one.
        """
        self._writer_left = True

    def read(self, limit: int, limit_bytes: int) -> list[SpooledRecord]:
        """At most `limit` finals that were not given out before; no more after `limit_bytes`."""
        try:
            self._look(limit)
            self.trouble = ""
        except OSError as error:
            self.trouble = str(error)
        found: list[SpooledRecord] = []
        while self._waiting and len(found) < limit and limit_bytes > 0:
            found.append(self._waiting.popleft())
            limit_bytes -= len(found[-1].payload)
        return found

    def _look(self, limit: int) -> None:
        """Until `limit` finals wait, or there are no more. Raises OSError; what was read by then waits."""
        if self._writer_left and not self._writer_dead:
            self._writer_dead = _is_unlocked(self._folder)
        self._discover()
        for segment in list(self._segments.values()):
            if len(self._waiting) >= limit:
                break
            self._scan(segment, limit)
            if not segment.sealed:
                break  # a later one may get the final of an intent that is not read yet here
        self._delete_finished()

    def orphans(self, limit: int, limit_bytes: int) -> list[SpooledRecord]:
        """Intents whose final can no longer come; only once the writer is dead and all is read."""
        found: list[SpooledRecord] = []
        if not self._writer_dead or self._waiting or self.trouble:
            return found
        for segment in self._segments.values():
            while segment.open_intents and len(found) < limit and limit_bytes > 0:
                identity = next(iter(segment.open_intents))
                payload = segment.open_intents.pop(identity).payload
                segment.unacked += 1
                found.append(SpooledRecord(payload, segment.number))
                limit_bytes -= len(payload)
        return found

    def acknowledge(self, records: list[SpooledRecord]) -> None:
        for record in records:
            segment = self._segments.get(record.segment)
            if segment is not None:
                segment.unacked -= 1
        with contextlib.suppress(OSError):  # `read` tries again, and says so
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
        return self._writer_dead and not self._waiting and not self._segments and not self.trouble

    def bytes_on_disk(self) -> int:
        """As last seen, where the disk does not say."""
        with contextlib.suppress(OSError):
            names = [name for name in _names(self._folder) if name.endswith(".seg")]
            self._bytes = sum(_size(self._folder / name) for name in names)
        return self._bytes

    def _discover(self) -> None:
        """Finds new segments; those that the writer has moved past are sealed. Raises OSError."""
        segments = self._segments
        for name in _names(self._folder):
            if name.endswith(".seg"):
                path = self._folder / name
                number = segment_number(path)
                if number not in segments:
                    segments[number] = _Segment(number, path, _size(path))
        newest_used = 0
        for segment in segments.values():
            if self._writer_dead or segment.position > SEGMENT_HEAD.size or _is_used(segment.path):
                newest_used = max(newest_used, segment.number)
        for segment in segments.values():
            # A later segment has frames: the writer will not come back to this one.
            segment.sealed = self._writer_dead or segment.number < newest_used

    def _scan(self, segment: _Segment, limit: int) -> None:
        """Takes frames in blocks until there are no more, or `limit` finals wait. Raises OSError."""
        if segment.read_up:
            return
        try:
            with segment.path.open("rb", buffering=0) as file:
                if segment.position == 0 and not self._take_head(segment, file.read(SEGMENT_HEAD.size)):
                    return
                block_bytes = _BLOCK_BYTES
                while len(self._waiting) < limit:
                    file.seek(segment.position)
                    taken, wanted = self._take_frames(segment, file.read(block_bytes))
                    segment.position += taken
                    if taken or wanted > block_bytes:
                        block_bytes = max(_BLOCK_BYTES, wanted)
                        continue
                    # An open segment's tail may still be being written: it is looked at again.
                    if not segment.sealed:
                        return
                    file.seek(segment.position)
                    if not self._pass_damage(segment, file.read()):
                        return
        except FileNotFoundError:
            self._segments.pop(segment.number, None)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(segment.path)) from error

    def _take_head(self, segment: _Segment, head: bytes) -> bool:
        """False if it is not all there yet. A damaged one costs nothing but itself."""
        if head != segment_head(segment.number) and not (segment.sealed and self._set_aside(segment, head)):
            return False
        segment.position = SEGMENT_HEAD.size
        return True

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
                return offset, 0
            self._take(segment, kind, payload, segment.position + offset)
            offset = end
        return offset, FRAME_HEAD.size

    def _pass_damage(self, segment: _Segment, rest: bytes) -> bool:
        """Of a sealed segment, where no whole frame stands: sets aside what does, up to the next one."""
        if not rest.strip(b"\0"):
            segment.read_up = True
            return False
        length = _next_frame(rest)
        if not self._set_aside(segment, rest[:length]):
            return False
        segment.position += length
        return True

    def _take(self, segment: _Segment, kind: int, payload: bytes, offset: int) -> None:
        identity = payload[_ID]
        if kind == INTENT:
            segment.open_intents[identity] = _Intent(payload, offset)
        elif kind == FINAL:
            if segment.open_intents.pop(identity, None) is None:
                for other in self._segments.values():
                    intent = other.open_intents.pop(identity, None)
                    if intent is not None:
                        segment.closed_elsewhere.append((other.number, intent))
                        break
            segment.unacked += 1
            self._waiting.append(SpooledRecord(payload, segment.number))
        elif kind == SCORE:
            segment.unacked += 1
            self._waiting.append(SpooledRecord(payload, segment.number, is_score=True))

    def _set_aside(self, segment: _Segment, damaged: bytes) -> bool:
        """False if the disk is full: then it stays where it is, and is tried again."""
        damaged = damaged.rstrip(b"\0")
        if not damaged:
            return True
        try:
            path = segment.path.with_suffix(".damaged")
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as aside:
                aside.write(damaged)
        except OSError:
            return False
        self.damaged_frames += 1
        return True

    def _delete_finished(self) -> None:
        for segment in list(self._segments.values()):
            if segment.read_up and segment.unacked == 0 and not segment.open_intents:
                for number, intent in segment.closed_elsewhere:
                    if number in self._segments:
                        _strike_out(self._segments[number].path, intent)
                segment.path.unlink(missing_ok=True)
                del self._segments[segment.number]


def _is_unlocked(folder: Path) -> bool:
    """Whether no writer holds the folder; the kernel lets go of a dead process's lock."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _names(folder: Path) -> list[str]:
    """Sorted; none while the writer has not made the folder yet."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is_used(path: Path) -> bool:
    """Whether the writer has put a frame into it."""
    try:
        with path.open("rb") as file:
            file.seek(SEGMENT_HEAD.size)
            return file.read(4).strip(b"\0") != b""
    except FileNotFoundError:
        return False


def _next_frame(data: bytes) -> int:
    """Where the next whole frame begins after a damaged one: where that says, or where one is found."""
    if len(data) >= FRAME_HEAD.size:
        said = FRAME_HEAD.size + FRAME_HEAD.unpack_from(data)[0]
        if _is_frame(data, said):
            return int(said)
    for sign in _FRAME_SIGN.finditer(data, _BEFORE_KIND + 1):
        if _is_frame(data, sign.start() - _BEFORE_KIND):
            return sign.start() - _BEFORE_KIND
    return len(data)


def _is_frame(data: bytes, offset: int) -> bool:
    if offset + FRAME_HEAD.size > len(data):
        return False
    length, crc, kind = FRAME_HEAD.unpack_from(data, offset)
    end = offset + FRAME_HEAD.size + length
    if not length or end > len(data) or kind not in KIND_CRC:
        return False
    return bool(zlib.crc32(data[offset + FRAME_HEAD.size : end], KIND_CRC[kind]) == crc)


def _strike_out(path: Path, intent: _Intent) -> None:
    """Five bytes in place: the same frame under another kind."""
    crc = zlib.crc32(intent.payload, KIND_CRC[STRUCK])
    try:
        with path.open("r+b") as file:
            file.seek(intent.offset + _CRC_OFFSET)
            file.write(crc.to_bytes(4, "little") + bytes((STRUCK,)))
    except OSError:
        return  # the control plane will then see a stale `unknown`, and set it aside
