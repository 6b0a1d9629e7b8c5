"""The state folder: where it is, what its files are called, and how secrets get into files.

Folders are 0700 and files 0600; a file is complete or absent (temporary name, fsync, rename).
`headgate up` writes here; the other commands find address and token here.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from admin_cli.errors import CliError
from headgate.rules.credentials import Secret

ADDRESS_DEFAULT = "127.0.0.1:8081"
# Our secrets are below a hundred bytes; a larger file is not one of them.
MAX_SECRET_FILE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Paths below one state folder."""

    root: Path

    @classmethod
    def from_environment(cls) -> StateFolder:
        return cls(Path(os.environ.get("HEADGATE_STATE") or "~/.headgate").expanduser().absolute())

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def up_file(self) -> Path:
        """What a running `up` listens on."""
        return self.run / "up.json"

    @property
    def lock_file(self) -> Path:
        return self.run / "up.lock"

    @property
    def kek(self) -> Path:
        return self.root / "kek"

    @property
    def admin_token(self) -> Path:
        return self.root / "admin-token"

    @property
    def proxy_certificate(self) -> Path:
        """Written by the proxy when it has joined: name, region, and a certificate with its port."""
        return self.proxy / "identity" / "certificate.json"

    @property
    def quickstart_key(self) -> Path:
        return self.root / "quickstart-key"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    def has_database(self) -> bool:
        """Whether there is an embedded database, whose secrets only the KEK opens."""
        return any(
            file.exists() for file in (self.postgres / "PG_VERSION", *self.postgres.glob("*/PG_VERSION"))
        )

    @property
    def proxy(self) -> Path:
        return self.root / "proxy"


def make_private_folder(path: Path) -> None:
    """Creates the folder, or narrows an existing one, to 0700."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = path.stat().st_mode
    if mode & stat.S_ISVTX:
        raise CliError(f"{path} is a folder that everybody shares", "choose one below it")
    if mode & 0o077:
        path.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Writes a 0600 file so that it is complete or absent, also over a power cut."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk shows at write and fsync, which know no name
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_secret(path: Path) -> Secret | None:
    """The secret in a file, without surrounding white space; None if there is no such file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return Secret(file.read(MAX_SECRET_FILE_BYTES).strip())
    except FileNotFoundError:
        return None


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file; None if it is absent or (still) something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return document if isinstance(document, dict) else None
