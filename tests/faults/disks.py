"""A small disk that a test may fill: a tmpfs of its own, where this process may mount one."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """The folder, with a file system of that size on it; skips the test where none can be mounted."""
    folder.mkdir()
    options = f"size={size_bytes},mode=700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "headgate-test", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
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
