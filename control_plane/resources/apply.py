"""ApplyResources: everything declared becomes so in one transaction, or nothing does.

Order: lock the head → read what is stored → compare → write specs, then secrets and credentials → prune
→ ask the database whether every reference still leads somewhere → revision. State is never written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from control_plane.experiments.state import Decided
from control_plane.keys import store as key_store
from control_plane.keys.errors import HashInUse
from control_plane.keys.model import CredentialRow
from control_plane.keys.service import Keys
from control_plane.providers import store as provider_store
from control_plane.providers.service import ProviderKeys
from control_plane.resources.errors import BadSpecs, OwnedByOthers, ResourceExists, SpecProblem
from control_plane.resources.model import Applied, Change, ChangeType, Declared, Ref, ResourceRow
from control_plane.resources.references import check_declared, check_removed
from control_plane.resources.store import ResourceStore
from control_plane.revisions.service import OpenRevision, Revisions
from control_plane.tokens.model import Principal
from headgate.rules.credentials import Minted
from headgate.rules.spec import differences
from headgate.v1 import resources_pb2

# More conflicts than this are not named one by one.
MAX_CONFLICTS_NAMED = 20
MAX_DIFFERENCES = 50


@dataclass(frozen=True, slots=True)
class Request:
    declared: Sequence[Declared]
    source: str
    prune: bool = False
    expected_revision: int = 0
    # The caller rolls back: no revision is made.
    dry_run: bool = False
    # Fail where something is there already.
    only_new: bool = False


@dataclass(slots=True)
class _Run:
    """One apply under way."""

    session: Session
    store: ResourceStore
    revision: OpenRevision
    actor: str
    now: datetime
    stored: Mapping[Ref, ResourceRow]
    minted: list[tuple[Ref, Minted]]


class Applier:
    def __init__(self, revisions: Revisions, provider_keys: ProviderKeys, keys: Keys) -> None:
        self._revisions = revisions
        self._provider_keys = provider_keys
        self._keys = keys

    def apply(self, session: Session, caller: Principal, request: Request, now: datetime) -> Applied:
        """Raises RevisionMismatch, OwnedByOthers, DanglingReferences, StillReferenced, SecretsSealed."""
        head = self._revisions.lock(session, request.expected_revision)
        store = ResourceStore(session)
        revision = self._revisions.begin(session, caller.name, request.source, now)
        stored = store.get_many([one.ref for one in request.declared])
        _check_owners(stored, request)
        run = _Run(session, store, revision, caller.name, now, stored, [])
        sources = dict.fromkeys((one.ref for one in request.declared), request.source)
        changes = self._write(run, request.declared, sources)
        pruned = self._prune(run, caller, request) if request.prune else []
        check_declared(store, request.declared)
        check_removed(store, [change.ref for change in pruned])
        number = head.revision if request.dry_run else revision.finish()
        return Applied((*changes, *pruned), number, tuple(run.minted))

    def restore(
        self,
        session: Session,
        caller: Principal,
        declared: Sequence[Declared],
        sources: Mapping[Ref, str],
        gone: Sequence[Ref],
        title: str,
        now: datetime,
        *,
        dry_run: bool,
    ) -> Applied:
        """Specs of the past, each for the source that it belonged to. `title`: of the revision.

        Raises as `apply`, but for OwnedByOthers.
        """
        head = self._revisions.lock(session)
        store = ResourceStore(session)
        revision = self._revisions.begin(session, caller.name, title, now)
        stored = store.get_many([*(one.ref for one in declared), *gone])
        run = _Run(session, store, revision, caller.name, now, stored, [])
        changes = self._write(run, declared, sources)
        removed = [ref for ref in gone if ref in stored]
        self._remove(run, removed, stored)
        check_declared(store, declared)
        check_removed(store, removed)
        pruned = [Change(ref, ChangeType.PRUNED) for ref in removed]
        number = head.revision if dry_run else revision.finish()
        return Applied((*changes, *pruned), number, tuple(run.minted))

    def check_new(self, session: Session, request: Request) -> None:
        """Raises ResourceExists, before anything is done."""
        self._revisions.lock(session)
        _check_owners(ResourceStore(session).get_many([one.ref for one in request.declared]), request)

    def _write(self, run: _Run, declared: Sequence[Declared], sources: Mapping[Ref, str]) -> list[Change]:
        states = run.store.get_states([one.ref for one in declared])
        details = self._write_secrets(run, declared)
        rows: list[dict[str, Any]] = []
        changes: list[Change] = []
        for one in declared:
            old = run.stored.get(one.ref)
            before = old.spec if old is not None else None
            secret_changes, overrides = details.get(one.ref, ((), ()))
            differs = (*differences(before or {}, one.rendered), *secret_changes)
            if (state := states.get(one.ref)) and state.disabled:
                overrides = (f"disabled: {state.reason}", *overrides)
            if isinstance(one.spec, resources_pb2.Experiment) and state is not None:
                overrides = (*Decided.of(one.spec, state.detail).in_words(), *overrides)
            if before is None:
                kind = ChangeType.CREATED
            else:
                kind = ChangeType.CHANGED if differs else ChangeType.UNCHANGED
            shown = tuple(differs[:MAX_DIFFERENCES]) if kind is ChangeType.CHANGED else ()
            changes.append(Change(one.ref, kind, shown, overrides))
            if kind is not ChangeType.UNCHANGED:
                rows.append(_row(one, sources[one.ref], run))
                _record(run, one.ref, kind.value, before, one.rendered)
        run.store.write(rows)
        return changes

    def _write_secrets(
        self, run: _Run, declared: Sequence[Declared]
    ) -> dict[Ref, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Provider keys and credentials; per resource (what changed, what state overrides)."""
        details: dict[Ref, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        providers = [one for one in declared if one.ref.kind == "provider"]
        keys = [one for one in declared if one.ref.kind == "key"]
        problems: list[SpecProblem] = []
        sealed = provider_store.rows_of(run.session, [(o.ref.tenant, o.ref.name) for o in providers])
        for one in providers:
            rows = sealed[one.ref.tenant, one.ref.name]
            found = self._provider_keys.reconcile(
                run.session, one.ref, one.provider_keys, rows, run.revision.number, run.actor, run.now
            )
            details[one.ref] = found.differences, found.overrides
            for name in found.missing:
                message = f"the key {name!r} has no value, and none is stored"
                problems.append(SpecProblem(str(one.ref), one.index, "keys", message))
        if problems:
            raise BadSpecs(problems)
        credentials = key_store.rows_of(run.session, [(o.ref.tenant, o.ref.name) for o in keys])
        hashes = [bytes.fromhex(one.rendered["sha256"]) for one in keys if "sha256" in one.rendered]
        taken = key_store.by_hashes(run.session, hashes)
        new: dict[bytes, CredentialRow] = {}
        for one in keys:
            if not isinstance(one.spec, resources_pb2.Key):
                continue
            rows_of_key = credentials[one.ref.tenant, one.ref.name]
            result = self._keys.reconcile(run.session, one.ref, one.spec, rows_of_key, taken, run.now)
            details[one.ref] = result.differences, result.overrides
            for row in result.new:
                if row.sha256 in new:
                    raise HashInUse(one.ref.tenant, one.ref.name)
                new[row.sha256] = row
            if result.minted is not None:
                run.minted.append((one.ref, result.minted))
        key_store.insert_many(run.session, list(new.values()))
        return details

    @staticmethod
    def _prune(run: _Run, caller: Principal, request: Request) -> list[Change]:
        """The spec goes, state stays: declaring it again brings it back as it was."""
        declared = {one.ref for one in request.declared}
        owned = run.store.of_source(request.source, caller.tenant)
        gone = sorted(ref for ref in owned if ref not in declared)
        if caller.tenant is not None:
            gone = [ref for ref in gone if ref.kind != "tenant"]
        Applier._remove(run, gone, owned)
        return [Change(ref, ChangeType.PRUNED) for ref in gone]

    @staticmethod
    def _remove(run: _Run, gone: Sequence[Ref], stored: Mapping[Ref, ResourceRow]) -> None:
        for ref in gone:
            _record(run, ref, ChangeType.PRUNED.value, stored[ref].spec, None)
            if ref.kind == "provider":
                provider_store.remove(run.session, ref.tenant, ref.name, None, "spec")
        run.store.delete(gone)


def _check_owners(stored: Mapping[Ref, ResourceRow], request: Request) -> None:
    if request.only_new:
        for ref in stored:
            raise ResourceExists(ref)
    owned = [(ref, row.source) for ref, row in stored.items() if row.source != request.source]
    if owned:
        raise OwnedByOthers(owned[:MAX_CONFLICTS_NAMED])


def _row(one: Declared, source: str, run: _Run) -> dict[str, Any]:
    return {
        "tenant": one.ref.tenant,
        "kind": one.ref.kind,
        "name": one.ref.name,
        "spec": one.rendered,
        "source": source,
        "revision": run.revision.number,
        "created_at": run.now,
        "updated_at": run.now,
    }


def _record(
    run: _Run, ref: Ref, verb: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    run.revision.record(ref.kind, ref.tenant, ref.name, verb, before, after)
