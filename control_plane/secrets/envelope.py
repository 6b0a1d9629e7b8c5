"""Envelope encryption: each secret has its own random data key (DEK), wrapped by the key-encryption key.

Layout: version (1) · KEK id (8) · nonce (12) · wrapped DEK (48) · nonce (12) · ciphertext with tag. Both
layers are AES-256-GCM with the secret's place as additional data, so that a ciphertext that is moved
to another row, tenant or version does not open. Nonces are random: a DEK seals once, and a KEK
wraps far fewer than the 2^32 keys at which random nonces become a concern (NIST SP 800-38D 8.3).
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from control_plane.secrets.errors import CannotOpen

FORMAT_VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
KEK_ID_BYTES = 8
_HEAD_BYTES = 1 + KEK_ID_BYTES
_WRAPPED_BYTES = KEY_BYTES + TAG_BYTES


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret lives. `version` counts its replacements, so that an old one cannot be put back."""

    tenant: str
    table: str
    row: tuple[str, ...]
    version: int

    def __str__(self) -> str:
        return f"{self.table}/{self.tenant}/{'/'.join(self.row)}@{self.version}"

    def bound(self) -> bytes:
        """Unambiguous bytes: JSON keeps the parts apart."""
        return json.dumps([self.tenant, self.table, list(self.row), self.version]).encode()


@dataclass(frozen=True, slots=True, repr=False)
class Kek:
    """A key-encryption key; its id may be shown, the key itself never."""

    key: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(b"headgate kek id\0" + self.key).digest()[:KEK_ID_BYTES]

    def __repr__(self) -> str:
        return f"Kek({self.id.hex()})"


def kek_id(sealed: bytes) -> bytes:
    """Of the key that sealed this; no secret, and not to be believed before it was opened."""
    return sealed[1:_HEAD_BYTES]


def seal(kek: Kek, plain: bytes, place: Place) -> bytes:
    data_key = os.urandom(KEY_BYTES)
    outer, inner = os.urandom(NONCE_BYTES), os.urandom(NONCE_BYTES)
    head = bytes([FORMAT_VERSION]) + kek.id
    bound = head + place.bound()
    wrapped = AESGCM(kek.key).encrypt(outer, data_key, bound)
    return head + outer + wrapped + inner + AESGCM(data_key).encrypt(inner, plain, bound)


def unseal(kek: Kek, sealed: bytes, place: Place) -> bytes:
    """Raises CannotOpen; whatever is wrong, the answer is the same."""
    head, rest = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
    if head != bytes([FORMAT_VERSION]) + kek.id or len(rest) < 2 * NONCE_BYTES + _WRAPPED_BYTES + TAG_BYTES:
        raise CannotOpen(str(place))
    bound = head + place.bound()
    outer, rest = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
    wrapped, rest = rest[:_WRAPPED_BYTES], rest[_WRAPPED_BYTES:]
    inner, cipher = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
    try:
        data_key = AESGCM(kek.key).decrypt(outer, wrapped, bound)
        return AESGCM(data_key).decrypt(inner, cipher, bound)
    except InvalidTag:
        raise CannotOpen(str(place)) from None
