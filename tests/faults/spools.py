"""Spools without a proxy around them: attempts written as a worker writes them, and sudden deaths."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from headgate.v1 import usage_pb2
from proxy.usage.record import Recorder
from proxy.usage.spool import FINAL, FRAME_HEAD, KIND_CRC, Spool
from proxy.usage.spool_reader import SpooledRecord, SpoolReader

LIMIT_BYTES = 1 << 20


def attempt_id(number: int) -> bytes:
    """A UUIDv7, the same for the same number."""
    return (1_760_000_000_000 + number).to_bytes(6, "big") + b"\x70\0\x80" + number.to_bytes(7, "big")


def account(padding: int) -> bytes:
    return usage_pb2.UsageRecord(tenant="default", user="u" * padding).SerializeToString()


def final_of(intent: bytes, tokens: int) -> bytes:
    worth = usage_pb2.UsageRecord(outcome=usage_pb2.OUTCOME_OK, final=True, output_tokens=tokens)
    return intent + worth.SerializeToString()


def begin(spool: Spool, number: int, padding: int = 20) -> bytes:
    """Spools an intent; what its final begins with."""
    return Recorder(spool).intent(attempt_id(number), attempt_id(number), account(padding))


def kill_writer(spool: Spool, torn: bytes = b"", torn_share: float = 0.0) -> None:
    """What the kernel does at kill -9: descriptors and locks go, nothing is flushed, cut off or deleted.

    With `torn`, it died while it wrote that final: so much of its frame is there.
    """
    memory = spool._map
    if memory is None:
        return
    if torn:
        frame = FRAME_HEAD.pack(len(torn), _crc(torn), FINAL) + torn
        cut = frame[: int(len(frame) * torn_share)]
        end = spool._position + len(cut)
        if end + 4 <= len(memory):
            memory[spool._position : end] = cut
    memory.close()
    for descriptor in (spool._descriptor, *spool._left):
        os.close(descriptor)
    if spool._reserve is not None:
        spool._reserve[1].close()
        os.close(spool._reserve[2])
    os.close(spool._lock)
    spool._map = None


def _crc(payload: bytes) -> int:

    return zlib.crc32(payload, KIND_CRC[FINAL])


def read_all(folder: Path) -> tuple[SpoolReader, list[SpooledRecord], list[SpooledRecord]]:
    """Adopts a dead writer's folder: the reader, its finals, its orphans; all acknowledged."""
    reader = SpoolReader(folder)
    reader.writer_died()
    finals: list[SpooledRecord] = []
    while records := reader.read(100, LIMIT_BYTES):
        finals += records
    orphans: list[SpooledRecord] = []
    while records := reader.orphans(100, LIMIT_BYTES):
        orphans += records
    reader.acknowledge(finals)
    reader.acknowledge(orphans)
    return reader, finals, orphans
