"""Reads resources with their state, deletes them, and disables them in an emergency.

Delete is a verb: it takes the state along, and ends the credentials of a key for good. (Prune takes
the spec alone.) What the caller does not see is not found, exactly like what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from control_plane.errors import InvalidField
from control_plane.keys import service as keys
from control_plane.keys import store as key_store
from control_plane.providers import service as providers
from control_plane.providers import store as provider_store
from control_plane.resources.errors import ResourceNotFound
from control_plane.resources.model import Ref, ResourceRow, State, Stored
from control_plane.resources.references import check_removed
from control_plane.resources.store import ResourceStore
from control_plane.revisions.service import Revisions
from control_plane.revisions.store import read_head
from control_plane.tokens.errors import NotAllowed
from control_plane.tokens.model import Principal
from headgate.rules.names import KINDS

MAX_REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Page:
    resources: tuple[Stored, ...]
    # The last one shown, if there are more.
    more_after: Ref | None
    revision: int


class Resources:
    def __init__(self, revisions: Revisions) -> None:
        self._revisions = revisions

    def get(self, session: Session, caller: Principal, ref: Ref) -> Stored:
        return _with_state(session, [_visible(session, caller, ref)])[0]

    def list(
        self, session: Session, caller: Principal, kind: str, tenant: str, after: Ref | None, limit: int
    ) -> Page:
        if kind and kind not in KINDS:
            raise InvalidField("kind", f"unknown kind {kind[:64]!r}")
        revision = read_head(session).revision
        if tenant and not caller.sees(tenant):
            return Page((), None, revision)
        place = (KINDS.index(after.kind) + 1, after.tenant, after.name) if after else None
        rows = ResourceStore(session).list_page(kind, tenant or caller.tenant, place, limit + 1)
        shown = _with_state(session, rows[:limit])
        return Page(tuple(shown), shown[-1].ref if len(rows) > limit else None, revision)

    def delete(self, session: Session, caller: Principal, ref: Ref, expected: int, now: datetime) -> int:
        """Raises ResourceNotFound, StillReferenced, RevisionMismatch."""
        self._revisions.lock(session, expected)
        row = _writable(session, caller, ref)
        change = self._revisions.begin(session, caller.name, "delete", now)
        store = ResourceStore(session)
        before = row.spec
        store.delete([ref])
        store.forget_state(ref)
        check_removed(store, [ref])
        if ref.kind == "provider":
            provider_store.remove(session, ref.tenant, ref.name, None, None)
        if ref.kind == "key":
            key_store.detach(session, (ref.tenant, ref.name), now)
        change.record(ref.kind, ref.tenant, ref.name, "deleted", before, None)
        return change.finish()

    def set_disabled(
        self, session: Session, caller: Principal, ref: Ref, disabled: bool, reason: str, now: datetime
    ) -> int:
        if len(reason) > MAX_REASON_CHARACTERS:
            raise InvalidField("reason", f"is longer than {MAX_REASON_CHARACTERS} characters")
        change = self._revisions.begin(session, caller.name, "disable" if disabled else "enable", now)
        _writable(session, caller, ref)
        store = ResourceStore(session)
        old = store.get_states([ref]).get(ref)
        was = {"disabled": old.disabled, "reason": old.reason} if old else {"disabled": False, "reason": ""}
        new = {"disabled": disabled, "reason": reason if disabled else ""}
        if was != new:
            store.set_disabled(ref, disabled, new["reason"], caller.name, now)  # type: ignore[arg-type]
            verb = "disabled" if disabled else "enabled"
            change.record(ref.kind, ref.tenant, ref.name, verb, was, new)
        return change.finish()


def _visible(session: Session, caller: Principal, ref: Ref) -> ResourceRow:
    row = ResourceStore(session).get(ref) if caller.sees(ref.tenant) else None
    if row is None:
        raise ResourceNotFound(ref.kind, ref.shown_tenant, ref.name)
    return row


def _writable(session: Session, caller: Principal, ref: Ref) -> ResourceRow:
    row = _visible(session, caller, ref)
    if ref.kind == "tenant" and caller.tenant is not None:
        raise NotAllowed("editor of all tenants")
    return row


def _with_state(session: Session, rows: Sequence[ResourceRow]) -> list[Stored]:
    refs = [Ref(row.kind, row.tenant, row.name) for row in rows]
    states = ResourceStore(session).get_states(refs)
    sealed = provider_store.rows_of(session, _owners(refs, "provider"))
    credentials = key_store.rows_of(session, _owners(refs, "key"))
    shown = []
    for row, ref in zip(rows, refs, strict=True):
        state = states.get(ref)
        owner = (ref.tenant, ref.name)
        shown.append(
            Stored(
                ref,
                row.spec,
                row.source,
                row.revision,
                row.updated_at,
                State(
                    state.disabled if state else False,
                    state.reason if state else "",
                    providers.shown(sealed[owner]) if ref.kind == "provider" else (),
                    keys.shown(credentials[owner]) if ref.kind == "key" else (),
                    state.detail if state else {},
                ),
            )
        )
    return shown


def _owners(refs: Sequence[Ref], kind: str) -> list[tuple[str, str]]:
    return [(ref.tenant, ref.name) for ref in refs if ref.kind == kind]
