"""Makes revisions: lock the head, change something, record it, finish.

A change that turns out to change nothing makes no revision. NOTIFY is part of the transaction, so
replicas hear of a revision exactly when they can read it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Session

from control_plane.revisions import store
from control_plane.revisions.errors import RevisionMismatch
from control_plane.revisions.model import Change, Filter, Revision, Version


class Revisions:
    """Stateless; one object so that tests can put another in its place."""

    def lock(self, session: Session, expected: int = 0) -> Version:
        """Waits for its turn. `expected` 0: whatever it is. Raises RevisionMismatch."""
        head = store.lock_head(session)
        if expected and head.revision != expected:
            raise RevisionMismatch(expected, head.revision)
        return head

    def begin(self, session: Session, actor: str, source: str, now: datetime) -> OpenRevision:
        return OpenRevision(session, self.lock(session), actor, source, now)

    def follow(self, session: Session, served: Version, now: datetime) -> bool:
        """A proxy serves `served`: if this database never got that far in that epoch, it was restored.

        It then begins a new epoch, so that what it says counts as newer. True if it did.
        """
        head = store.read_head(session)
        if head.epoch != served.epoch or head.revision >= served.revision:
            return False
        head = self.lock(session)
        if head.epoch != served.epoch:
            return False  # another replica was first
        store.renew_epoch(session, max(int(now.timestamp() * 1000), head.epoch + 1))
        return True

    def page(self, session: Session, tenant: str | None, before: int, limit: int) -> list[Revision]:
        return store.list_page(session, tenant, before, limit)

    def changes(
        self, session: Session, chosen: Filter, before: tuple[int, int] | None, limit: int
    ) -> list[Change]:
        """The audit trail, newest first; those before (revision, seq)."""
        return store.list_changes(session, chosen, before, limit)


class OpenRevision:
    """A revision that is being made, under the head's lock."""

    def __init__(self, session: Session, head: Version, actor: str, source: str, now: datetime) -> None:
        self._session = session
        self._head = head
        self._actor = actor
        self._source = source
        self._now = now
        # As rows: a model object for each of ten thousand keys would cost a second.
        self._changes: list[dict[str, Any]] = []

    @property
    def number(self) -> int:
        """What this revision is called if it changes anything."""
        return self._head.revision + 1

    def record(
        self,
        kind: str,
        tenant: str,
        name: str,
        verb: str,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
    ) -> None:
        self._changes.append(
            {
                "revision": self.number,
                "seq": len(self._changes),
                "tenant": tenant,
                "kind": kind,
                "name": name,
                "verb": verb,
                "before": before,
                "after": after,
            }
        )

    def finish(self) -> int:
        """The revision that is current afterwards: this one, or the old one if nothing changed."""
        if not self._changes:
            return self._head.revision
        store.write(self._session, self.number, self._now, self._actor, self._source, self._changes)
        return self.number
