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
from headgate.rules.references import NOT_RACED, raced, references, walk
from headgate.rules.spec import parse
from headgate.v1 import policy_pb2, resources_pb2

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
        for at, policy in _policies(spec):
            for reference in references(policy, at):
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
        specs = {Ref(row.kind, row.tenant, row.name): _spec_of(row) for row in store.of_kinds(LEADING_KINDS)}
        problems = [*_cycles(specs, declared, names), *_raced(specs, declared, names)]
    if problems:
        raise DanglingReferences(problems)


def _cycles(
    specs: Mapping[Ref, Message], declared: Sequence[Declared], names: Collection[Ref]
) -> Iterator[SpecProblem]:
    """Declared routes and experiments that lead back to themselves."""
    edges: dict[Ref, list[tuple[Path, Ref]]] = {}
    for here, spec in specs.items():
        for path, kind, name in refers_to(spec):
            there = resolve(names, kind, here.tenant, name) if kind in LEADING_KINDS else None
            if there is not None:
                edges.setdefault(here, []).append((path, there))
    for one in declared:
        for path, first in edges.get(one.ref, ()):
            way = _way(edges, first, one.ref)
            if way is not None:
                shown = " → ".join(ref.name for ref in (one.ref, *way))
                message = f"leads back to the {one.ref.kind} itself: {shown}"
                yield SpecProblem(str(one.ref), one.index, path_text(path), message)


def _raced(
    specs: Mapping[Ref, Message], declared: Sequence[Declared], names: Collection[Ref]
) -> Iterator[SpecProblem]:
    """Routes in a race that lead to what cannot run there, where any on the way was declared."""
    wanted = {one.ref: one for one in declared}
    for here, spec in specs.items():
        for at, policy in _policies(spec):
            for path, node in raced(policy, at):
                start = resolve(names, "route", here.tenant, node.route)
                for way, problem in _not_raced(specs, names, start) if start is not None else ():
                    one = next((wanted[ref] for ref in (here, *way) if ref in wanted), None)
                    if one is not None:
                        place = path_text(path if one.ref == here else ("policy",))
                        shown = " → ".join(str(ref) for ref in (here, *way))
                        yield SpecProblem(str(one.ref), one.index, place, f"{problem} ({shown})")


def _not_raced(
    specs: Mapping[Ref, Message], names: Collection[Ref], start: Ref
) -> Iterator[tuple[list[Ref], str]]:
    """(way, why) to each route from `start` on that holds what cannot run in a race."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop()
        spec = specs[way[-1]]
        if not isinstance(spec, resources_pb2.Route):
            continue
        for _, node in walk(spec.policy):
            if problem := NOT_RACED.get(node.WhichOneof("node") or ""):
                yield way, problem
            there = resolve(names, "route", way[-1].tenant, node.route)
            if there is not None and there not in seen:
                seen.add(there)
                ways.append([*way, there])


def _policies(spec: Message) -> Iterator[tuple[Path, policy_pb2.Policy]]:
    if isinstance(spec, resources_pb2.Route):
        yield ("policy",), spec.policy
    elif isinstance(spec, resources_pb2.Experiment):
        for index, variant in enumerate(spec.variants):
            yield ("variants", index, "use"), variant.use


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
