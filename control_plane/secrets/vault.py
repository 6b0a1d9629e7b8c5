"""The one holder of the key-encryption key. Open, or sealed with a reason that everybody may read.

Sealed, the control plane serves what needs no secret, refuses what would need to seal one, and never
overwrites what it cannot open. A wrong key is known by a check value stored at first use.
"""

from __future__ import annotations

import base64
import logging

from sqlmodel import Session

from control_plane.secrets import envelope, store
from control_plane.secrets.envelope import Kek, Place
from control_plane.secrets.errors import CannotOpen, SecretsSealed
from headgate.rules.credentials import Secret

log = logging.getLogger(__name__)

_CHECK_PLACE = Place("", "kek_check", ("1",), 1)
_CHECK_PLAIN = b"headgate kek check"

NO_KEK = "no key-encryption key: set HEADGATE_KEK or HEADGATE_KEK_FILE and start again"
WRONG_KEK = "the key-encryption key is not the one that sealed the stored secrets"
NOT_CHECKED = "the key-encryption key has not been checked against the database yet"


class Vault:
    def __init__(self, kek: Secret | None) -> None:
        self._kek = Kek(base64.b64decode(kek.text)) if kek else None
        self._sealed_because: str | None = NOT_CHECKED if kek else NO_KEK

    @property
    def sealed_because(self) -> str | None:
        """None: open."""
        return self._sealed_because

    def check(self, session: Session) -> None:
        """Find out whether the key is the right one; the first key ever used becomes the right one."""
        if self._kek is None:
            return
        stored = store.read_check(session)
        if stored is None:
            sealed = envelope.seal(self._kek, _CHECK_PLAIN, _CHECK_PLACE)
            stored = store.write_check_if_absent(session, sealed)
        try:
            envelope.unseal(self._kek, stored, _CHECK_PLACE)
        except CannotOpen:
            self._sealed_because = WRONG_KEK
            log.critical("sealed", extra={"data": {"reason": WRONG_KEK}})
        else:
            self._sealed_because = None

    def seal(self, plain: bytes, place: Place) -> bytes:
        """Raises SecretsSealed."""
        return envelope.seal(self._open_kek(), plain, place)

    def unseal(self, sealed: bytes, place: Place) -> bytes:
        """Raises SecretsSealed; CannotOpen, which is logged: somebody changed the database by hand."""
        try:
            return envelope.unseal(self._open_kek(), sealed, place)
        except CannotOpen as error:
            log.critical("a sealed secret does not open", extra={"data": {"place": error.place}})
            raise

    def _open_kek(self) -> Kek:
        if self._kek is None or self._sealed_because is not None:
            raise SecretsSealed(self._sealed_because or NO_KEK)
        return self._kek
