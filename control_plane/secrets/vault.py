"""The one holder of the key-encryption keys. Open, or sealed with a reason that everybody may read.

Sealed, the control plane serves what needs no secret, refuses what would need to seal one, and never
overwrites what it cannot open. The database says which key seals, by a check value that only that key opens;
a replica that meets a key that it does not know looks where its keys come from once more, so that a new one
needs no restart.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from cachetools import TTLCache
from sqlmodel import Session

from control_plane.secrets import envelope, store
from control_plane.secrets.envelope import Kek, Place
from control_plane.secrets.errors import CannotOpen, SecretsSealed
from control_plane.secrets.source import KekSource, KekUnavailable

log = logging.getLogger(__name__)

_CHECK_PLACE = Place("", "kek_check", ("1",), 1)
_CHECK_PLAIN = b"headgate kek check"
# A source is asked again for a key that it did not have no sooner than this: it may be somebody's KMS.
ASK_AGAIN_SECONDS = 2.0
# Ids of keys that were looked for in vain; whoever writes rubbish into the database does not get more.
MAX_MISSED = 64

WRONG_KEK = "the key-encryption key is not the one that sealed the stored secrets"
NOT_CHECKED = "the key-encryption key has not been checked against the database yet"


class Vault:
    def __init__(self, source: KekSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._ring: dict[bytes, Kek] = {}
        # When the source was last asked for the key of that id.
        self._missed: TTLCache[bytes, None] = TTLCache(MAX_MISSED, ASK_AGAIN_SECONDS, clock)
        self._unavailable = ""
        self.not_opened_total = 0
        self._sealed_because: str | None = NOT_CHECKED

    @property
    def sealed_because(self) -> str | None:
        """None: open."""
        return self._sealed_because

    @property
    def known(self) -> tuple[bytes, ...]:
        """The ids of the keys at hand, in the order in which their source has them."""
        return tuple(self._ring)

    def check(self, session: Session) -> None:
        """Find out whether the right key is here; the first key ever used becomes the right one."""
        self._read_source()
        if not self._ring:
            self._close(self._unavailable)
            return
        stored = store.read_check(session)
        if stored is None:
            first = next(iter(self._ring.values()))
            stored = store.write_check_if_absent(session, self._check_value(first))
        self._open(stored)

    def active(self, session: Session) -> Kek:
        """The key that seals now, as the transaction sees it. Raises SecretsSealed."""
        if self._sealed_because is not None:
            raise SecretsSealed(self._sealed_because)
        stored = store.read_check(session)
        if stored is None:
            raise SecretsSealed(NOT_CHECKED)
        kek = self._find(envelope.kek_id(stored))
        if kek is None:
            self._close(WRONG_KEK)
            raise SecretsSealed(WRONG_KEK)
        return kek

    def activate(self, session: Session, kek: Kek) -> None:
        """From this transaction on it seals."""
        store.replace_check(session, self._check_value(kek))

    def newest(self) -> Kek:
        """The first key of the source as it stands now. Raises SecretsSealed."""
        self._read_source()
        if self._unavailable:
            raise SecretsSealed(self._unavailable)
        return next(iter(self._ring.values()))

    def seal(self, session: Session, plain: bytes, place: Place) -> bytes:
        """Raises SecretsSealed."""
        return envelope.seal(self.active(session), plain, place)

    def unseal(self, sealed: bytes, place: Place) -> bytes:
        """Raises SecretsSealed; CannotOpen, which is logged: somebody changed the database by hand."""
        if self._sealed_because is not None:
            raise SecretsSealed(self._sealed_because)
        try:
            kek = self._find(envelope.kek_id(sealed))
            if kek is None:
                raise CannotOpen(str(place))
            return envelope.unseal(kek, sealed, place)
        except CannotOpen:
            raise self.cannot_open(place) from None

    def cannot_open(self, place: Place) -> CannotOpen:
        """To be raised; logged and counted here."""
        self.not_opened_total += 1
        log.critical("a sealed secret does not open", extra={"data": {"place": str(place)}})
        return CannotOpen(str(place))

    def _find(self, kek_id: bytes) -> Kek | None:
        found = self._ring.get(kek_id)
        if found is None and kek_id not in self._missed and len(self._missed) < MAX_MISSED:
            self._missed[kek_id] = None
            self._read_source()
            found = self._ring.get(kek_id)
        return found

    def _read_source(self) -> None:
        """Keys that were there stay, whatever happened to their source: what they opened still opens."""
        with self._lock:
            try:
                read = self._source.read()
            except KekUnavailable as error:
                if self._unavailable != str(error):
                    log.critical("no key-encryption key", extra={"data": {"reason": str(error)}})
                self._unavailable = str(error)
            else:
                self._unavailable = ""
                self._ring = {kek.id: kek for kek in read} | {
                    kek_id: kek
                    for kek_id, kek in self._ring.items()
                    if kek_id not in {new.id for new in read}
                }

    def _open(self, stored: bytes) -> None:
        kek = self._ring.get(envelope.kek_id(stored))
        try:
            if kek is None:
                raise CannotOpen(str(_CHECK_PLACE))
            envelope.unseal(kek, stored, _CHECK_PLACE)
        except CannotOpen:
            self._close(WRONG_KEK)
        else:
            self._sealed_because = None

    def _close(self, reason: str) -> None:
        if self._sealed_because != reason:
            log.critical("sealed", extra={"data": {"reason": reason}})
        self._sealed_because = reason

    @staticmethod
    def _check_value(kek: Kek) -> bytes:
        return envelope.seal(kek, _CHECK_PLAIN, _CHECK_PLACE)
