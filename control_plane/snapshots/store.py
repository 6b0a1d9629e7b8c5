"""Reads what snapshots are made of, at one moment of the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, select

from control_plane.keys import store as key_store
from control_plane.providers import store as provider_store
from control_plane.providers.model import ProviderKeyRow
from control_plane.resources.model import Ref, ResourceRow, ResourceStateRow
from control_plane.resources.store import ResourceStore
from control_plane.revisions.model import Version
from control_plane.revisions.store import changed_since, read_head
from control_plane.rollouts import store as rollout_store
from control_plane.rollouts.model import Canary

# Proxies need no other kinds.
SENT_KINDS = ("tenant", "provider", "model", "experiment", "route", "key")


@dataclass(frozen=True, slots=True)
class CredentialHash:
    sha256: bytes
    public_id: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Source:
    """One resource as it is stored, with all that its entry is made of."""

    ref: Ref
    spec: Mapping[str, Any]
    revision: int
    disabled: bool
    # What verbs and decisions wrote about it.
    detail: Mapping[str, Any]
    sealed: tuple[ProviderKeyRow, ...]
    credentials: tuple[CredentialHash, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    version: Version
    # None: everything was loaded.
    touched: frozenset[Ref] | None
    sources: Sequence[Source]
    # What goes over it for some proxies.
    canary: Canary | None = None


def load(session: Session, since: Version | None, now: datetime) -> Loaded | None:
    """Everything, or what changed since a version; None: nothing did. Needs one consistent view."""
    head = read_head(session)
    if since is not None and head == since:
        return None
    store = ResourceStore(session)
    if since is None or since.epoch != head.epoch or head.revision < since.revision:
        rows = store.of_kinds(SENT_KINDS)
        states = {Ref(row.kind, row.tenant, row.name): row for row in session.exec(select(ResourceStateRow))}
        sealed = provider_store.all_rows(session)
        credentials = key_store.live_rows(session, now)
        return Loaded(head, None, _sources(rows, states, sealed, credentials), _canary(session))
    touched = {Ref(*name) for name in changed_since(session, since.revision)}
    wanted = [ref for ref in touched if ref.kind in SENT_KINDS]
    found = store.get_many(wanted)
    states = store.get_states(wanted)
    sealed = provider_store.rows_of(session, _owners(found, "provider"))
    of_keys = key_store.rows_of(session, _owners(found, "key"))
    credentials = {owner: [row for row in rows if row.is_live(now)] for owner, rows in of_keys.items()}
    sources = _sources(list(found.values()), states, sealed, credentials)
    return Loaded(head, frozenset(wanted), sources, _canary(session))


def _canary(session: Session) -> Canary | None:
    row = rollout_store.under_way(session)
    return row.canary if row is not None else None


def _owners(refs: Collection[Ref], kind: str) -> list[tuple[str, str]]:
    return [(ref.tenant, ref.name) for ref in refs if ref.kind == kind]


def _sources(
    rows: Sequence[ResourceRow],
    states: Mapping[Ref, ResourceStateRow],
    sealed: Mapping[tuple[str, str], Sequence[ProviderKeyRow]],
    credentials: Mapping[tuple[str, str], Sequence[Any]],
) -> list[Source]:
    sources = []
    for row in rows:
        ref = Ref(row.kind, row.tenant, row.name)
        owner = (row.tenant, row.name)
        state = states.get(ref)
        hashes = credentials.get(owner, ()) if row.kind == "key" else ()
        keys = provider_store.effective(sealed.get(owner, ())) if row.kind == "provider" else {}
        sources.append(
            Source(
                ref,
                row.spec,
                row.revision,
                state is not None and state.disabled,
                state.detail if state is not None else {},
                tuple(key for key in keys.values() if key.sealed is not None),
                tuple(CredentialHash(c.sha256, c.public_id, c.expires_at) for c in hashes),
            )
        )
    return sources
