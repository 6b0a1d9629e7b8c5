"""UUIDv7 ids of requests and attempts (RFC 9562, 5.7): the time is inside, so records sort by it.

Random bits come from a block of the kernel's generator: one system call per 400 ids.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

_BLOCK_BYTES = 4000


class Ids:
    """Makes ids. `unix_ms` and `random_bytes` are given where a test wants the same ids again."""

    __slots__ = ("_random_bytes", "_tails", "_unix_ms")

    def __init__(
        self,
        unix_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._unix_ms = unix_ms
        self._random_bytes = random_bytes
        self._tails: list[bytes] = []

    def new(self) -> bytes:
        """16 bytes: 48 bits of milliseconds, version 7, variant 10, 74 random bits."""
        tails = self._tails
        if not tails:
            block = self._random_bytes(_BLOCK_BYTES)
            tails += [_tail(block[at : at + 10]) for at in range(0, _BLOCK_BYTES, 10)]
        return self._unix_ms().to_bytes(6, "big") + tails.pop()


def _tail(random: bytes) -> bytes:
    """The last ten bytes: version and variant over random bits."""
    return bytes((0x70 | random[0] & 0x0F, random[1], 0x80 | random[2] & 0x3F)) + random[3:]


def unix_ms_of(uuid7: bytes) -> int:
    return int.from_bytes(uuid7[:6], "big")
