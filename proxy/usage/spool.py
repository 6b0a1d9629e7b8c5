"""The durable queue of usage records: preallocated segment files, written through mmap.

A record costs no system call on the path, survives kill -9 of the process (the pages belong to the
kernel), and a full disk shows when a segment is allocated, not in the middle of a call. `msync` off the
loop every 100 ms bounds what a power cut can take. One writer per folder, which it locks; readers are in
`spool_reader`.

Segment file: 16 bytes of head (magic, segment number), then frames, then zeros.
Frame: length u32, CRC-32 of kind and payload u32, kind u8, payload. A reader that meets a frame while
it is being written sees a wrong checksum and comes back.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import zlib
from pathlib import Path

SEGMENT_BYTES = 4 * 2**20
SEGMENT_HEAD = struct.Struct("<8sQ")
FRAME_HEAD = struct.Struct("<IIB")
MAGIC = b"HGSPOOL1"

# Written before an attempt leaves; never leaves the proxy. A final without its intent is complete too.
INTENT = 1
FINAL = 2
# An intent whose final went with a later segment; written by the reader over the intent.
STRUCK = 3
# What was said of an answer; complete in itself.
SCORE = 4

# Share of the bound at which the alarm is raised. Calls are refused when half a segment is left.
ALARM_SHARE = 0.80

_LENGTH_BYTES = 4
_HEAD_BYTES = FRAME_HEAD.size
KIND_CRC = {kind: zlib.crc32(bytes((kind,))) for kind in (INTENT, FINAL, STRUCK, SCORE)}
_pack_head = FRAME_HEAD.pack


class SpoolFull(Exception):
    """No room for another segment: the bound is reached, or the disk's, or the descriptors'."""


class Spool:
    """The writer. Not thread-safe: one event loop owns it.

    One segment is always kept in reserve, so that records of calls already admitted find room when
    the disk is full.
    """

    def __init__(self, folder: Path, max_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Held for life, and let go by the kernel at the latest: by it readers know a dead writer.
        self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._number = max((segment_number(p) for p in folder.glob("*.seg")), default=0)
        self._map: mmap.mmap | None = None
        self._descriptor = -1
        self._position = 0
        self.dirty = False
        # Of segments that were left since the last sync.
        self._left: list[int] = []
        self._reserve: tuple[int, mmap.mmap, int] | None = None
        self._advance()

    def append(self, kind: int, payload: bytes) -> None:
        """Raises SpoolFull if neither this segment nor another has room."""
        position = self._position
        end = position + _HEAD_BYTES + len(payload)
        if end + _LENGTH_BYTES > self._segment_bytes:
            self._advance()
            position = self._position
            end = position + _HEAD_BYTES + len(payload)
            if end + _LENGTH_BYTES > self._segment_bytes:
                raise SpoolFull(f"a record of {len(payload)} bytes is larger than a segment")
        memory = self._map
        if memory is None:
            raise SpoolFull("the spool is closed")
        memory[position:end] = _pack_head(len(payload), zlib.crc32(payload, KIND_CRC[kind]), kind) + payload
        self._position = end
        self.dirty = True

    def _advance(self) -> None:
        """Goes on in the next segment; the reserve if there is one, and a new reserve behind it."""
        reserve = self._reserve or self._allocate()
        self._reserve = None
        if self._map is not None:
            self._map.close()
            self._left.append(self._descriptor)
        self._number, self._map, self._descriptor = reserve
        self._position = SEGMENT_HEAD.size
        try:
            self._reserve = self._allocate()
        except SpoolFull:
            self._reserve = None  # `has_room` says so before the next call is admitted

    def _allocate(self) -> tuple[int, mmap.mmap, int]:
        """Raises SpoolFull, whatever is missing: bytes, files or descriptors."""
        try:
            numbers = [segment_number(path) for path in self._folder.glob("*.seg")]
            if (len(numbers) + 1) * self._segment_bytes > self._max_bytes:
                raise SpoolFull(f"the spool holds its limit of {self._max_bytes} bytes")
            number = max([self._number, *numbers]) + 1
            path = self._folder / f"{number:012d}.seg"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _no_segment(self._folder, error) from error
        try:
            os.posix_fallocate(descriptor, 0, self._segment_bytes)
            memory = mmap.mmap(descriptor, self._segment_bytes)
        except OSError as error:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise _no_segment(self._folder, error) from error
        memory[: SEGMENT_HEAD.size] = segment_head(number)
        return number, memory, descriptor

    def has_room(self) -> bool:
        """Whether another call may be admitted. Asks for a reserve anew, so it heals by itself.

        Without a reserve the second half of the last segment is for calls that are already under way.
        """
        if self._reserve is not None:
            return True
        try:
            self._reserve = self._allocate()
        except SpoolFull:
            return self._position < self._segment_bytes // 2
        return True

    def take_unsynced(self) -> list[int]:
        """Descriptors of what was appended since the last time, for `sync` in a thread; they are its own,
        so that a segment may be left, or the spool closed, meanwhile. Raises OSError where there are no
        descriptors left, and takes nothing then.
        """
        current = [os.dup(self._descriptor)] if self.dirty and self._map is not None else []
        taken, self._left, self.dirty = [*self._left, *current], [], False
        return taken

    def close(self) -> None:
        """Ends writing. The segments stay for the reader."""
        if self._map is None:
            return
        sync([*self._left, self._descriptor])
        self._map.close()
        self._map = None
        if self._reserve is not None:
            number, memory, descriptor = self._reserve
            memory.close()
            os.close(descriptor)
            (self._folder / f"{number:012d}.seg").unlink(missing_ok=True)
            self._reserve = None
        os.close(self._lock)


def _no_segment(folder: Path, error: OSError) -> SpoolFull:
    return SpoolFull(f"no room for another segment in {folder}: {error.strerror}")


def sync(descriptors: list[int]) -> None:
    """Makes their files survive a power cut, and closes them. Blocks. Raises OSError."""
    try:
        for descriptor in descriptors:
            os.fdatasync(descriptor)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def segment_head(number: int) -> bytes:
    return SEGMENT_HEAD.pack(MAGIC, number)


def segment_number(path: Path) -> int:
    return int(path.stem) if path.stem.isdigit() else 0
