"""What a proxy's identity is on the disk: name, region, key and certificate in one file, replaced whole.

Without gRPC, for whoever looks before it is set up.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

CERTIFICATE = "certificate.json"
# The same without a certificate: a token may have been used up for this key already.
JOINING = "joining.json"


def kept_key(folder: Path) -> str:
    """The PEM of the key that a proxy has, or is joining with; empty: it has none that can be read."""
    for name in (CERTIFICATE, JOINING):
        try:
            return key_in(json.loads((folder / name).read_text("utf-8")), folder)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return ""


def key_in(document: dict[str, Any], folder: Path) -> str:
    """Folders of before have it in a file of its own."""
    return str(document["key"]) if "key" in document else (folder / "key.pem").read_text("utf-8")


def write_whole(path: Path, data: bytes) -> None:
    """Whole or not at all, and for nobody else to read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
