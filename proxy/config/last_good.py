"""The last good config on disk (P1): a proxy restarts without its control plane.

Sealed with AES-256-GCM under a key derived from the proxy's token, because provider keys are in it.
Written to a temporary file, synced, renamed; the version before is kept beside it. What does not open
or does not add up is passed over, never served. So is what was sent to another region: it may hold keys that
this one is not sent, and the version by which this proxy introduces itself has to say what it holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import time
from collections.abc import Iterable
from pathlib import Path

from headgate.rules.credentials import Secret
from headgate.v1 import config_pb2
from proxy.config.compile import ConfigRefused
from proxy.config.holder import ConfigHolder

_MAGIC = b"HGCONF01"
_NONCE_BYTES = 12


class LastGood:
    """Current and previous, in one folder."""

    def __init__(self, folder: Path, token: Secret, region: str) -> None:
        self._current = folder / "config.current"
        self._previous = folder / "config.previous"
        self._folder = folder
        self._sealed_with = _MAGIC + region.encode()
        # HKDF-SHA256 (RFC 5869) with an empty salt, one block.
        extracted = hmac.digest(b"\0" * 32, token.text.encode(), hashlib.sha256)
        self._key = hmac.digest(extracted, b"headgate last good config v1\x01", hashlib.sha256)

    def save(self, pieces: Iterable[bytes]) -> None:
        """`pieces`: of ConfigHolder.serialized. Blocks: for a thread. Raises OSError if the disk does."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        payload = b"".join(pieces)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self._key).encrypt(nonce, payload, self._sealed_with)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._current.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_MAGIC + nonce + sealed)
            file.flush()
            os.fsync(file.fileno())
        if self._current.exists():
            os.replace(self._current, self._previous)
        os.replace(temporary, self._current)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def mark_contact(self, seconds_ago: float = 0.0) -> None:
        """The control plane was heard then, and what is on the disk is what it said."""
        heard = time.time() - seconds_ago
        with contextlib.suppress(OSError):
            os.utime(self._current, (heard, heard))

    def load(self, holder: ConfigHolder) -> str | None:
        """Serves the newest file that is good. Returns why one was passed over, if one was."""
        trouble = None
        for path in (self._current, self._previous):
            try:
                update = self._open(path.read_bytes())
                holder.receive(update)
                # By the wall clock, because a restart may be one of the machine.
                holder.lost_at = time.monotonic() - max(0.0, time.time() - path.stat().st_mtime)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, ConfigRefused) as error:
                trouble = f"{path.name}: {error}"
                holder.forget_partial()
                continue
            return trouble
        return trouble

    def _open(self, data: bytes) -> config_pb2.ConfigUpdate:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from google.protobuf.message import DecodeError

        head = len(_MAGIC) + _NONCE_BYTES
        if not data.startswith(_MAGIC) or len(data) < head:
            raise ValueError("not a config file of this version")
        try:
            payload = AESGCM(self._key).decrypt(data[len(_MAGIC) : head], data[head:], self._sealed_with)
            return config_pb2.ConfigUpdate.FromString(payload)
        except InvalidTag:
            raise ValueError("damaged, or sealed under another token or in another region") from None
        except DecodeError:
            raise ValueError("cannot be read") from None
