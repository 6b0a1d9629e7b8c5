"""Replacing the key-encryption key while everything runs: name the new one, then seal anew, batch by batch.

From the first step on, the new key seals and both open. Each secret gets a fresh data key on the way, so
that what a thief of an old backup and the old key had opens nothing that is written later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from control_plane.revisions.service import Revisions
from control_plane.secrets import store
from control_plane.secrets.model import Sealed
from control_plane.secrets.vault import Vault
from control_plane.tokens.model import Principal

# Rows in one transaction: they are locked meanwhile.
BATCH = 200


@dataclass(frozen=True, slots=True)
class KekUse:
    """One key: how many secrets it sealed, and whether this replica has it."""

    id: str
    secrets: int
    is_active: bool
    is_here: bool


class KekRotation:
    """`tables`: all that hold sealed secrets."""

    def __init__(self, vault: Vault, revisions: Revisions, tables: Sequence[type[Sealed]]) -> None:
        self._vault = vault
        self._revisions = revisions
        self._tables = tables

    def uses(self, session: Session) -> list[KekUse]:
        """The active one first. Raises SecretsSealed."""
        active = self._vault.active(session).id
        here = self._vault.known
        counts = dict.fromkeys((active, *here), 0)
        for table in self._tables:
            for kek_id, number in store.count_by_kek(session, table).items():
                counts[kek_id] = counts.get(kek_id, 0) + number
        return [KekUse(one.hex(), number, one == active, one in here) for one, number in counts.items()]

    def activate_newest(self, session: Session, caller: Principal, now: datetime) -> bool:
        """The first key of the source seals from now on; False: it did already. Raises SecretsSealed."""
        newest = self._vault.newest()
        change = self._revisions.begin(session, caller.name, "rotate", now)
        active = self._vault.active(session)
        if newest.id == active.id:
            return False
        self._vault.activate(session, newest)
        change.record("kek", "", "kek", "rotated", {"id": active.id.hex()}, {"id": newest.id.hex()})
        change.finish()
        return True

    def seal_batch(self, session: Session) -> int:
        """Up to `BATCH` secrets that another key sealed; how many. Raises SecretsSealed, CannotOpen."""
        active = self._vault.active(session)
        done = 0
        for table in self._tables:
            for row in store.not_sealed_by(session, table, active.id, BATCH - done):
                plain = self._vault.unseal(row.sealed or b"", row.place)
                row.sealed = self._vault.seal(session, plain, row.place)
                session.add(row)
                done += 1
            if done == BATCH:
                break
        return done
