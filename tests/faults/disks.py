"""A small disk that a test may fill: a tmpfs of its own, where this process may mount one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def can_mount() -> bool:
    """Tried, not asked: root in a container may be refused."""
    with tempfile.TemporaryDirectory() as name:
        try:
            with small_disk(Path(name) / "tried", 2**20):
                return True
        except (subprocess.CalledProcessError, FileNotFoundError):
            return False


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """The folder, with a file system of that size on it. Raises CalledProcessError where that is refused."""
    folder.mkdir()
    options = f"size={size_bytes},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "headgate-test", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def free_bytes(folder: Path) -> int:
    said = os.statvfs(folder)
    return said.f_bavail * said.f_frsize


def fill(file: Path, size_bytes: int) -> None:
    """Takes that much of the disk."""
    with file.open("wb") as opened:
        os.posix_fallocate(opened.fileno(), 0, size_bytes)
