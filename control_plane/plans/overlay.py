"""The config as it would be with a manifest over it: entries as proxies get them, without secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlmodel import Session

from control_plane.errors import InvalidField
from control_plane.experiments.state import Decided, effective
from control_plane.plans.model import PlanCandidate
from control_plane.plans.tree import EntryName
from control_plane.resources.model import Declared
from control_plane.resources.store import ResourceStore
from control_plane.snapshots.prices import model_prices, model_window
from headgate.policy.compile import PolicyCompiler
from headgate.rules.names import SHARED_TENANT
from headgate.v1 import config_pb2, resources_pb2

# What decides where a call goes and what it costs.
KINDS = ("tenant", "provider", "model", "experiment", "route")


def overlaid(
    entries: Mapping[EntryName, config_pb2.ConfigEntry], declared: Sequence[Declared]
) -> dict[EntryName, config_pb2.ConfigEntry]:
    """`entries` with what is declared in their place. Kinds that decide nothing here are passed over."""
    together = {name: entry for name, entry in entries.items() if name[0] in (*KINDS, "key")}
    for kind in KINDS:  # providers first: a model's price depends on its provider
        for one in declared:
            if one.ref.kind == kind:
                name = kind, one.ref.shown_tenant, one.ref.name
                together[name] = _entry(one, together.get(name), together)
    return together


def as_decided(session: Session, declared: Sequence[Declared]) -> list[Declared]:
    """The same, but experiments as they would hold: applying one again undoes no decision about it."""
    states = ResourceStore(session).get_states([one.ref for one in declared if one.ref.kind == "experiment"])
    return [
        replace(one, spec=effective(one.spec, Decided.read(states[one.ref].detail)))
        if isinstance(one.spec, resources_pb2.Experiment) and one.ref in states
        else one
        for one in declared
    ]


def check(entries: Mapping[EntryName, config_pb2.ConfigEntry], declared: Sequence[Declared]) -> None:
    """Raises InvalidField where a declared route leads nowhere."""
    for one in declared:
        if isinstance(one.spec, resources_pb2.Route):
            # Without candidates: every model that is known stands for itself, as one that answers nothing.
            compiler: PolicyCompiler[PlanCandidate] = PolicyCompiler(one.ref.tenant, {}, entries)
            try:
                compiler.node(one.spec.policy, (one.ref.name,))
            except ValueError as error:
                raise InvalidField(f"resources[{one.index}].policy", str(error)) from None


def _entry(
    one: Declared,
    before: config_pb2.ConfigEntry | None,
    entries: Mapping[EntryName, config_pb2.ConfigEntry],
) -> config_pb2.ConfigEntry:
    spec = one.spec
    # A verb's state stays what it is.
    entry = config_pb2.ConfigEntry(disabled=before.disabled if before is not None else False)
    if isinstance(spec, resources_pb2.Tenant):
        entry.tenant.CopyFrom(spec)
    elif isinstance(spec, resources_pb2.Route):
        entry.route.CopyFrom(spec)
    elif isinstance(spec, resources_pb2.Experiment):
        entry.experiment.CopyFrom(spec)
    elif isinstance(spec, resources_pb2.Provider):
        entry.provider.spec.CopyFrom(spec)
        names = [secret.name for secret in before.provider.secrets] if before is not None else []
        for name in names:
            entry.provider.secrets.add(name=name)
    elif isinstance(spec, resources_pb2.Model):
        provider = _provider_of(spec, one.ref.tenant, entries)
        entry.model.spec.CopyFrom(spec)
        entry.model.prices.CopyFrom(model_prices(spec, provider, 0))
        entry.model.context_window = model_window(spec, provider)
        if before is not None:
            entry.model.fit.extend(before.model.fit)
    return entry


def _provider_of(
    model: resources_pb2.Model, tenant: str, entries: Mapping[EntryName, config_pb2.ConfigEntry]
) -> resources_pb2.Provider | None:
    for owner in (tenant, SHARED_TENANT):
        entry = entries.get(("provider", owner, model.provider))
        if entry is not None:
            return entry.provider.spec
    return None
