"""The form of what we mint: virtual keys (`hg-`), admin or proxy tokens (`hgt-`), join tokens (`hgj-`).

`<prefix>-<12 public>-<secret>`: the public part may appear in logs, the secret has 256 bits, and
only the SHA-256 of the whole is stored. A hash of a 256-bit random secret needs no salt and no
slow function: there is nothing to guess (NIST SP 800-63B 5.1.1.2 asks for those for memorised secrets).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PUBLIC_LENGTH = 12
# 43 characters of 62 carry 256.03 bits.
_SECRET_LENGTH = 43

KEY_PREFIX = "hg"
TOKEN_PREFIX = "hgt"  # noqa: S105 - a prefix
JOIN_PREFIX = "hgj"

# Longest credential that is hashed at all; longer ones are unknown without further work.
MAX_CREDENTIAL_BYTES = 512

_OURS = re.compile(r"hg[tj]?-([0-9A-Za-z]{12})-[0-9A-Za-z]{43}")


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that must not show itself by accident."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        return "[secret]"

    def __bool__(self) -> bool:
        return bool(self.text)


@dataclass(frozen=True, slots=True)
class Minted:
    secret: Secret
    public_id: str
    sha256: bytes


def mint(prefix: str) -> Minted:
    public_id = "".join(secrets.choice(_ALPHABET) for _ in range(_PUBLIC_LENGTH))
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    text = f"{prefix}-{public_id}-{tail}"
    return Minted(Secret(text), public_id, digest(text))


def digest(credential: str) -> bytes:
    """SHA-256 of the whole credential, 32 bytes; what is stored and looked up."""
    return hashlib.sha256(credential.encode("utf-8", "surrogateescape")).digest()


def public_part(credential: str) -> str | None:
    """The part that logs may show, or None if it is not one of ours."""
    match = _OURS.fullmatch(credential)
    return match.group(1) if match else None
