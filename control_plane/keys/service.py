"""Mints, rotates and revokes.

A manifest declares that a key is there; its credentials are state. So: applying a key that has never had
a credential mints one; applying one that was revoked changes nothing, until `key rotate` mints a
new one; pruning a key stops it and declaring it again brings it back as it was; deleting it (a verb)
ends its credentials for good. `expires` counts from the minting and is fixed then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from control_plane.errors import InvalidField
from control_plane.keys import store
from control_plane.keys.errors import HashInUse
from control_plane.keys.model import FROM_SPEC, MINTED, CredentialRow
from control_plane.resources.errors import ResourceNotFound
from control_plane.resources.model import CredentialInfo, Ref
from control_plane.resources.store import ResourceStore
from control_plane.revisions.service import Revisions
from control_plane.tokens.model import Principal
from headgate.rules.credentials import KEY_PREFIX, Minted, mint
from headgate.rules.spec import parse
from headgate.v1 import resources_pb2

DEFAULT_GRACE = timedelta(hours=24)
MAX_GRACE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Reconciled:
    new: tuple[CredentialRow, ...] = ()
    minted: Minted | None = None
    differences: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()


class Keys:
    def __init__(self, revisions: Revisions) -> None:
        self._revisions = revisions

    def reconcile(
        self,
        session: Session,
        ref: Ref,
        spec: resources_pb2.Key,
        rows: Sequence[CredentialRow],
        taken: Mapping[bytes, CredentialRow],
        now: datetime,
    ) -> Reconciled:
        """What a declared key needs; the caller inserts `new`.

        `rows`: the key's own credentials; `taken`: those, whosever, with hashes that the request declares.
        """
        wanted = bytes.fromhex(spec.sha256)
        for row in rows:
            if row.origin == FROM_SPEC and row.sha256 != wanted and row.revoked_at is None:
                store.delete_row(session, row)
        overrides = ("credentials: all revoked",) if rows and all(r.revoked_at for r in rows) else ()
        if wanted:
            if any(row.sha256 == wanted for row in rows):
                return Reconciled(overrides=overrides)
            other = taken.get(wanted)
            if other is None:
                new = _row(ref, spec, wanted, "", FROM_SPEC, now)
                return Reconciled(new=(new,), differences=("sha256: taken over",))
            if (other.tenant, other.key_name) == (ref.tenant, ref.name):
                return Reconciled(overrides=("sha256: revoked",))
            raise HashInUse(ref.tenant, ref.name)
        if rows:
            return Reconciled(overrides=overrides)
        minted = mint(KEY_PREFIX)
        new = _row(ref, spec, minted.sha256, minted.public_id, MINTED, now)
        return Reconciled(new=(new,), minted=minted)

    def rotate(
        self, session: Session, caller: Principal, ref: Ref, grace: timedelta | None, now: datetime
    ) -> tuple[Minted, int]:
        """A second secret; the old ones end after the grace (or sooner, if they would anyway)."""
        grace = DEFAULT_GRACE if grace is None else grace
        if not timedelta(0) <= grace <= MAX_GRACE:
            raise InvalidField("grace", f"must be from 0s to {MAX_GRACE.days}d")
        change = self._revisions.begin(session, caller.name, "rotate", now)
        spec = _spec_of(session, caller, ref)
        rows = store.rows_of(session, [(ref.tenant, ref.name)])[ref.tenant, ref.name]
        for row in rows:
            if row.is_live(now):
                end = now + grace
                row.expires_at = end if row.expires_at is None else min(row.expires_at, end)
        store.save(session, rows)
        minted = mint(KEY_PREFIX)
        store.insert_many(session, [_row(ref, spec, minted.sha256, minted.public_id, MINTED, now)])
        after = {"public_id": minted.public_id, "grace_seconds": int(grace.total_seconds())}
        change.record("key", ref.tenant, ref.name, "rotated", None, after)
        return minted, change.finish()

    def revoke(self, session: Session, caller: Principal, ref: Ref, now: datetime) -> int:
        """Ends every secret of the key, now."""
        change = self._revisions.begin(session, caller.name, "revoke", now)
        _spec_of(session, caller, ref)
        rows = store.rows_of(session, [(ref.tenant, ref.name)])[ref.tenant, ref.name]
        ended = [row for row in rows if row.revoked_at is None]
        for row in ended:
            row.revoked_at = now
        store.save(session, ended)
        if ended:
            before = {"public_ids": [row.public_id for row in ended]}
            change.record("key", ref.tenant, ref.name, "revoked", before, None)
        return change.finish()


def shown(rows: Sequence[CredentialRow]) -> tuple[CredentialInfo, ...]:
    return tuple(CredentialInfo(r.public_id, r.created_at, r.expires_at, r.revoked_at) for r in rows)


def _row(
    ref: Ref, spec: resources_pb2.Key, sha256: bytes, public_id: str, origin: str, now: datetime
) -> CredentialRow:
    lifetime = spec.expires.ToTimedelta() if spec.HasField("expires") else None
    return CredentialRow(
        sha256=sha256,
        tenant=ref.tenant,
        key_name=ref.name,
        public_id=public_id,
        origin=origin,
        created_at=now,
        expires_at=now + lifetime if lifetime is not None else None,
    )


def _spec_of(session: Session, caller: Principal, ref: Ref) -> resources_pb2.Key:
    row = ResourceStore(session).get(ref) if caller.sees(ref.tenant) else None
    if row is None:
        raise ResourceNotFound(ref.kind, ref.tenant, ref.name)
    return parse(resources_pb2.Key, row.spec)
