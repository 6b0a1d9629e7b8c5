"""Rollback: specs as they were at a revision, as one new revision. State is never touched.

The past is read from the audit trail: of everything whose spec changed since, what stood before its first
change. It then goes the way of an apply: checked by today's rules, references included, or nothing is
done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from control_plane.resources.apply import Applier
from control_plane.resources.declare import declare_all
from control_plane.resources.model import VERB_SOURCE, Applied, Ref
from control_plane.resources.store import ResourceStore
from control_plane.revisions import store
from control_plane.revisions.errors import NoSuchRevision
from control_plane.revisions.service import Revisions
from control_plane.tokens.model import Principal
from headgate.rules.names import DEFAULT_TENANT
from headgate.rules.spec import parse
from headgate.v1 import resources_pb2

# As the history calls its revisions.
SOURCE = "rollback"


@dataclass(frozen=True, slots=True)
class _Past:
    """What was, where it is another than what is."""

    resources: list[resources_pb2.Resource]
    sources: Mapping[Ref, str]
    gone: list[Ref]


class Rollback:
    def __init__(self, revisions: Revisions, applier: Applier) -> None:
        self._revisions = revisions
        self._applier = applier

    def to(
        self, session: Session, caller: Principal, revision: int, now: datetime, *, dry_run: bool
    ) -> Applied:
        """Raises NoSuchRevision, and what an apply raises."""
        head = self._revisions.lock(session)
        if not 0 < revision <= head.revision:
            raise NoSuchRevision(revision, head.revision)
        past = _past(session, caller, revision)
        declared = declare_all(past.resources, caller)
        return self._applier.restore(
            session,
            caller,
            declared,
            past.sources,
            past.gone,
            f"{SOURCE} {revision}",
            now,
            dry_run=dry_run,
        )


def _past(session: Session, caller: Principal, revision: int) -> _Past:
    """Of a tenant's token, its own tenant's."""
    before = {
        Ref(kind, tenant, name): spec
        for (kind, tenant, name), spec in store.specs_before(session, revision, caller.tenant).items()
    }
    if caller.tenant is not None:  # the tenant itself is not its editor's to change
        before = {ref: spec for ref, spec in before.items() if ref.kind != "tenant"}
    current = ResourceStore(session).get_many(sorted(before))
    changed = {
        ref: spec for ref, spec in before.items() if spec != (current[ref].spec if ref in current else None)
    }
    written = store.sources_at(session, revision, SOURCE)
    sources = {}
    for ref in changed:
        own = current[ref].source if ref in current else None
        sources[ref] = own or written.get((ref.kind, ref.tenant, ref.name)) or VERB_SOURCE
    resources = [resource_of(ref, spec) for ref, spec in sorted(changed.items()) if spec is not None]
    gone = [ref for ref, spec in sorted(changed.items()) if spec is None]
    return _Past(resources, sources, gone)


def resource_of(ref: Ref, spec: Mapping[str, Any]) -> resources_pb2.Resource:
    resource = resources_pb2.Resource()
    message = getattr(resource, ref.kind)
    message.CopyFrom(parse(type(message), spec))
    if ref.kind != "tenant":
        message.tenant = message.tenant or DEFAULT_TENANT
    return resource
