"""Who calls: a credential is looked up by its hash, never compared.

Every credential costs the same, known or not: one SHA-256, one dictionary look-up, one look at what was
found, so that neither timing nor answer tells a wrong secret from an unknown or an expired key (A7).
Misses are counted per address and throttled; a valid key passes from any address (A6).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable

from cachetools import TTLCache

from headgate.rules.credentials import MAX_CREDENTIAL_BYTES
from proxy.config.model import Credential, Key, Snapshot
from proxy.errors import config_is_stale, invalid_key, too_many_failed_keys
from proxy.http.request import Request

# Failed credentials per address and window; a misconfigured fleet behind one address stays below.
MAX_MISSES = 100
WINDOW_SECONDS = 10
# Addresses remembered; the oldest are forgotten first.
MAX_ADDRESSES = 10_000

_NOBODY = hashlib.sha256(b"").digest()
# What is found in place of the unknown, and has expired: an expired key that alone was looked at showed
# in the time of 10⁵ guesses (|t| = 7.2 of the faster 95 %; now 1.7).
_UNKNOWN = Credential(Key("", "", None, (), (), disabled=True), "", expires_at=-math.inf)


class Authenticator:
    """`staleness`: seconds since the control plane was heard."""

    def __init__(
        self,
        unix_seconds: Callable[[], float] = time.time,
        staleness: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._now = unix_seconds
        self._staleness = staleness
        self._misses: TTLCache[str, int] = TTLCache(MAX_ADDRESSES, WINDOW_SECONDS)

    def authenticate(self, snapshot: Snapshot, credential: bytes, request: Request) -> Key:
        """The key that the credential opens. Raises CallError: 401, always the same, 429, or 503 (stale)."""
        sha256 = (
            hashlib.sha256(credential).digest() if 0 < len(credential) <= MAX_CREDENTIAL_BYTES else _NOBODY
        )
        found = snapshot.credentials.get(sha256, _UNKNOWN)
        key = found.key
        if (
            self._now() < found.expires_at
            and not key.disabled
            and key.tenant not in snapshot.disabled_tenants
        ):
            bounds = snapshot.max_staleness
            if bounds and self._staleness() > bounds.get(key.tenant, math.inf):
                raise config_is_stale(key.tenant)
            return key
        misses = self._misses.get(request.connection.remote, 0) + 1
        self._misses[request.connection.remote] = misses
        if misses > MAX_MISSES:
            raise too_many_failed_keys(WINDOW_SECONDS)
        raise invalid_key()
