"""Whether everything that is referred to will be there, asked of the database after the writes and
before the commit.

A name is looked up in the resource's own tenant, then among the shared ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from google.protobuf.message import Message

from control_plane.resources.errors import DanglingReferences, SpecProblem, StillReferenced
from control_plane.resources.model import Declared, Ref, ResourceRow
from control_plane.resources.store import ResourceStore
from headgate.rules.errors import Path, path_text
from headgate.rules.names import DEFAULT_TENANT, SHARED_TENANT, did_you_mean
from headgate.rules.references import references
from headgate.rules.spec import parse
from headgate.v1 import resources_pb2

REFERRED_KINDS = ("tenant", "provider", "model", "route", "experiment")
# Those that have policies, and so may lead to each other in a circle.
LEADING_KINDS = ("route", "experiment")
MAX_REFERRERS_NAMED = 20


def refers_to(spec: Message) -> Iterator[tuple[Path, str, str]]:
    """(path, kind, name) of everything that a spec names."""
    if isinstance(spec, resources_pb2.Model):
        yield ("provider",), "provider", spec.provider
    elif isinstance(spec, resources_pb2.Route):
        for reference in references(spec.policy):
            yield reference.path, reference.kind, reference.name
    elif isinstance(spec, resources_pb2.Experiment):
        for index, variant in enumerate(spec.variants):
            for reference in references(variant.use, ("variants", index, "use")):
                yield reference.path, reference.kind, reference.name
        if spec.judge.model:
            yield ("judge", "model"), "model", spec.judge.model
        for index, name in enumerate(spec.judge.models):
            yield ("judge", "models", index), "model", name


def resolve(names: Collection[Ref], kind: str, tenant: str, name: str) -> Ref | None:
    for owner in (tenant, SHARED_TENANT):
        if (ref := Ref(kind, owner, name)) in names:
            return ref
    return None


def check_declared(store: ResourceStore, declared: Sequence[Declared]) -> None:
    """Raises DanglingReferences with all that point nowhere."""
    names = store.names_of_kinds(REFERRED_KINDS)
    problems: list[SpecProblem] = []
    for one in declared:
        for path, message in _dangling(one, names):
            problems.append(SpecProblem(str(one.ref), one.index, path, message))
    if not problems and any(one.ref.kind in LEADING_KINDS for one in declared):
        problems = list(_cycles(store, declared, names))
    if problems:
        raise DanglingReferences(problems)


def _cycles(
    store: ResourceStore, declared: Sequence[Declared], names: Collection[Ref]
) -> Iterator[SpecProblem]:
    """Declared routes and experiments that lead back to themselves."""
    edges: dict[Ref, list[tuple[Path, Ref]]] = {}
    for row in store.of_kinds(LEADING_KINDS):
        here = Ref(row.kind, row.tenant, row.name)
        for path, kind, name in refers_to(_spec_of(row)):
            there = resolve(names, kind, row.tenant, name) if kind in LEADING_KINDS else None
            if there is not None:
                edges.setdefault(here, []).append((path, there))
    for one in declared:
        for path, first in edges.get(one.ref, ()):
            way = _way(edges, first, one.ref)
            if way is not None:
                shown = " → ".join(ref.name for ref in (one.ref, *way))
                message = f"leads back to the {one.ref.kind} itself: {shown}"
                yield SpecProblem(str(one.ref), one.index, path_text(path), message)


def _way(edges: Mapping[Ref, list[tuple[Path, Ref]]], start: Ref, goal: Ref) -> list[Ref] | None:
    """The routes from `start` to `goal`, both included; None if there is no way."""
    ways: list[list[Ref]] = [[start]]
    seen = {start}
    while ways:
        way = ways.pop()
        if way[-1] == goal:
            return way
        for _, there in edges.get(way[-1], ()):
            if there not in seen:
                seen.add(there)
                ways.append([*way, there])
    return None


def _dangling(one: Declared, names: Collection[Ref]) -> Iterator[tuple[str, str]]:
    tenant = one.ref.tenant
    if tenant not in (DEFAULT_TENANT, SHARED_TENANT) and Ref("tenant", tenant, tenant) not in names:
        known = [ref.name for ref in names if ref.kind == "tenant"]
        yield "tenant", f"there is no tenant {tenant!r}{did_you_mean(tenant, known)}"
    for path, kind, name in refers_to(one.spec):
        if resolve(names, kind, tenant, name) is None:
            known = [r.name for r in names if r.kind == kind and r.tenant in (tenant, SHARED_TENANT)]
            yield path_text(path), f"there is no {kind} {name!r}{did_you_mean(name, known)}"


def check_removed(store: ResourceStore, removed: Sequence[Ref]) -> None:
    """Raises StillReferenced for the first removed resource that something left behind refers to."""
    tenants = [ref.name for ref in removed if ref.kind == "tenant" and ref.name != DEFAULT_TENANT]
    for ref in store.names_of_tenants(tenants) if tenants else ():
        raise StillReferenced(Ref("tenant", ref.tenant, ref.tenant), [ref])
    gone = {(ref.kind, ref.name): ref for ref in removed if ref.kind in REFERRED_KINDS[1:]}
    if not gone:
        return
    names = store.names_of_kinds(REFERRED_KINDS)
    by: dict[Ref, list[Ref]] = {}
    for row, kind, name in _references_of(store.of_kinds(("model", *LEADING_KINDS))):
        lost = gone.get((kind, name))
        if lost is not None and resolve(names, kind, row.tenant, name) is None:
            by.setdefault(lost, []).append(Ref(row.kind, row.tenant, row.name))
    for ref, referrers in by.items():
        raise StillReferenced(ref, sorted(set(referrers))[:MAX_REFERRERS_NAMED])


def _references_of(rows: Iterable[ResourceRow]) -> Iterator[tuple[ResourceRow, str, str]]:
    for row in rows:
        for _, kind, name in refers_to(_spec_of(row)):
            yield row, kind, name


def _spec_of(row: ResourceRow) -> Message:
    if row.kind == "model":
        return resources_pb2.Model(provider=row.spec.get("provider", ""))
    kind = resources_pb2.Experiment if row.kind == "experiment" else resources_pb2.Route
    return parse(kind, row.spec)
