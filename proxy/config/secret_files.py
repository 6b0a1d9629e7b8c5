"""Files below `--secrets-dir` that a config names: provider keys that the control plane never sees, and CAs.

Made for folders that something else keeps (Kubernetes, a vault's agent): a file that changes is taken up
within seconds, one that is missing makes its provider unusable on this proxy and nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

# A provider's key is a line; a bundle of certificate authorities has up to some 200 KiB.
MAX_FILE_BYTES = 1 * 2**20

# What tells that a file is another than before; None: it cannot be read.
_Mark = tuple[int, int, int] | None


class FileProblem(Exception):
    """Why a file cannot be used. Names it as the config does, never what is in it."""


class SecretFiles:
    """`folder`: None where the proxy was started without one."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._marks: dict[str, _Mark] = {}

    def read(self, name: str) -> bytes:
        """Its content. Blocks for a small file. Raises FileProblem."""
        self._marks[name] = self._mark(name)
        try:
            with open(self._path(name), "rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no name of a file"
            raise FileProblem(f"{name}: {reason}") from None
        if len(data) > MAX_FILE_BYTES:
            raise FileProblem(f"{name}: larger than {MAX_FILE_BYTES // 2**20} MiB")
        return data

    def changed(self) -> bool:
        """Whether a file that was read, or looked for, is another now."""
        return any(self._mark(name) != mark for name, mark in self._marks.items())

    def _path(self, name: str) -> Path:
        """Raises FileProblem; nothing outside the folder can be named, not through a link either."""
        if self._folder is None:
            raise FileProblem(f"{name}: this proxy was started without --secrets-dir")
        folder = self._folder.resolve()
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise FileProblem(f"{name}: must be a name below --secrets-dir")
        found = (folder / path).resolve()
        if not found.is_relative_to(folder):
            raise FileProblem(f"{name}: leads out of --secrets-dir")
        return found

    def _mark(self, name: str) -> _Mark:
        try:
            status = os.stat(self._path(name))
        except (FileProblem, OSError, ValueError):
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
