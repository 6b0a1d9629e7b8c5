"""Sets, removes and compares provider keys.

A manifest's value is compared with what is stored by opening it, so that applying the same manifest
again changes nothing. What cannot be opened is never overwritten while the vault is sealed.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from control_plane.errors import InvalidField
from control_plane.providers import store
from control_plane.providers.errors import ProviderKeyNotFound
from control_plane.providers.model import DEFAULT_KEY, SPEC, STATE, ProviderKeyRow, place_of
from control_plane.resources.errors import ResourceNotFound
from control_plane.resources.model import ProviderKeyInfo, Ref
from control_plane.resources.store import ResourceStore
from control_plane.resources.validate_provider import key_value_problem
from control_plane.revisions.service import Revisions
from control_plane.secrets.errors import CannotOpen
from control_plane.secrets.vault import Vault
from control_plane.tokens.model import Principal
from headgate.rules.credentials import Secret
from headgate.rules.names import name_problem


@dataclass(frozen=True, slots=True)
class Reconciled:
    differences: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    # Names of keys that have no value, neither given nor stored.
    missing: tuple[str, ...] = ()


class ProviderKeys:
    def __init__(self, vault: Vault, revisions: Revisions) -> None:
        self._vault = vault
        self._revisions = revisions

    def reconcile(
        self,
        session: Session,
        ref: Ref,
        values: Mapping[str, Secret | None],
        rows: Sequence[ProviderKeyRow],
        version: int,
        actor: str,
        now: datetime,
    ) -> Reconciled:
        """Make the spec's rows what a manifest says. `rows`: what is stored for this provider."""
        stored = {row.name: row for row in rows if row.origin == SPEC}
        state = {row.name for row in rows if row.origin == STATE}
        differences, missing = [], []
        for name, value in values.items():
            row = stored.get(name)
            if value is None:
                if row is None and name not in state:
                    missing.append(name)
            elif row is None or not self._is_same(row, value):
                self._write(session, ref.tenant, ref.name, name, SPEC, value, version, actor, now)
                differences.append(f"keys.{name}: {'new value' if row else 'value set'}")
        for name in stored.keys() - values.keys():
            store.remove(session, ref.tenant, ref.name, name, SPEC)
        return Reconciled(tuple(differences), tuple(overrides(rows)), tuple(missing))

    def set(
        self,
        session: Session,
        caller: Principal,
        owner: tuple[str, str],
        key: str,
        value: Secret,
        now: datetime,
    ) -> int:
        """The new revision. Raises ResourceNotFound, SecretsSealed."""
        key = key or DEFAULT_KEY
        if problem := name_problem(key):
            raise InvalidField("key", problem)
        if problem := "is missing" if not value else key_value_problem(value.text):
            raise InvalidField("value", problem)
        tenant, provider = owner
        change = self._revisions.begin(session, caller.name, "set-key", now)
        _check_exists(session, caller, tenant, provider)
        self._write(session, tenant, provider, key, STATE, value, change.number, caller.name, now)
        change.record("provider", tenant, provider, "set-key", None, {"key": key})
        return change.finish()

    def remove(
        self, session: Session, caller: Principal, owner: tuple[str, str], key: str, now: datetime
    ) -> int:
        """A tombstone that also covers the manifest's value. Raises ProviderKeyNotFound."""
        key = key or DEFAULT_KEY
        tenant, provider = owner
        change = self._revisions.begin(session, caller.name, "remove-key", now)
        _check_exists(session, caller, tenant, provider)
        rows = store.rows_of(session, [owner])[owner]
        row = store.effective(rows).get(key)
        if row is None or row.sealed is None:
            raise ProviderKeyNotFound(tenant, provider, key)
        tombstone = ProviderKeyRow(
            tenant=tenant,
            provider=provider,
            name=key,
            origin=STATE,
            sealed=None,
            version=change.number,
            actor=caller.name,
            updated_at=now,
        )
        store.write(session, tombstone)
        change.record("provider", tenant, provider, "remove-key", {"key": key}, None)
        return change.finish()

    def _write(
        self,
        session: Session,
        tenant: str,
        provider: str,
        name: str,
        origin: str,
        value: Secret,
        version: int,
        actor: str,
        now: datetime,
    ) -> None:
        place = place_of(tenant, provider, name, origin, version)
        row = ProviderKeyRow(
            tenant=tenant,
            provider=provider,
            name=name,
            origin=origin,
            sealed=self._vault.seal(session, value.text.encode(), place),
            version=version,
            actor=actor,
            updated_at=now,
        )
        store.write(session, row)

    def _is_same(self, row: ProviderKeyRow, value: Secret) -> bool:
        if row.sealed is None:
            return False
        try:
            return hmac.compare_digest(self._vault.unseal(row.sealed, row.place), value.text.encode())
        except CannotOpen:
            # Tampered with, and logged by the vault: a new value from its owner is the repair.
            return False


def overrides(rows: Iterable[ProviderKeyRow]) -> list[str]:
    return [
        f"keys.{row.name}: {'set by set-key' if row.sealed is not None else 'removed by remove-key'}"
        for row in rows
        if row.origin == STATE
    ]


def shown(rows: Iterable[ProviderKeyRow]) -> tuple[ProviderKeyInfo, ...]:
    def origin(row: ProviderKeyRow) -> str:
        if row.sealed is None:
            return "removed"
        return "set-key" if row.origin == STATE else "manifest"

    return tuple(
        ProviderKeyInfo(name, origin(row), row.updated_at)
        for name, row in sorted(store.effective(rows).items())
    )


def _check_exists(session: Session, caller: Principal, tenant: str, provider: str) -> None:
    ref = Ref("provider", tenant, provider)
    if not caller.sees(tenant) or ResourceStore(session).get(ref) is None:
        raise ResourceNotFound(ref.kind, tenant, provider)
