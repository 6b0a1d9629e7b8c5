"""From stored resources to the entries that proxies are sent.

Builds incrementally: what was not touched keeps its entry. A model's prices depend on its provider, so
models are built again when a provider changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from control_plane.experiments.fit import fit_messages
from control_plane.experiments.state import Decided, effective
from control_plane.resources.model import Ref
from control_plane.resources.references import refers_to
from control_plane.revisions.model import Version
from control_plane.rollouts.model import Canary
from control_plane.secrets.errors import CannotOpen, SecretsSealed
from control_plane.secrets.vault import Vault
from control_plane.snapshots.errors import Inconsistent, NoSnapshot
from control_plane.snapshots.model import CanarySnapshot, Entry, Name, Snapshot, make_snapshot
from control_plane.snapshots.prices import model_prices, model_window
from control_plane.snapshots.store import Loaded, Source
from headgate.rules.names import DEFAULT_TENANT, SHARED_TENANT
from headgate.rules.spec import parse
from headgate.v1 import config_pb2, resources_pb2


@dataclass(frozen=True, slots=True)
class Built:
    snapshot: Snapshot
    # What it was made of, to build the next one on.
    sources: Mapping[Ref, Source]
    # Why a rollout's overlay does not fit over it; empty: it does, or there is none.
    overlay_problem: str = ""


class Builder:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def build(self, loaded: Loaded, last: Built | None) -> Built:
        """Raises NoSnapshot if a secret cannot be opened; the last snapshot then stays."""
        new = {source.ref: source for source in loaded.sources}
        if last is None or loaded.touched is None:
            sources, stale = new, set(new)
            entries: dict[Name, Entry] = {}
        else:
            sources = {ref: s for ref, s in last.sources.items() if ref not in loaded.touched} | new
            stale = set(new)
            if any(ref.kind == "provider" for ref in loaded.touched):
                stale |= {ref for ref in sources if ref.kind == "model"}
            entries = dict(last.snapshot.entries)
            for ref in loaded.touched - new.keys():
                entries.pop(_name(ref), None)
        try:
            for ref in _in_order(stale):
                entries[_name(ref)] = self._entry(sources[ref], sources)
        except (SecretsSealed, CannotOpen) as error:
            raise NoSnapshot(_not_opened(error)) from None
        if loaded.canary is None:
            return Built(make_snapshot(loaded.version, entries), sources)
        try:
            canary = self._canary(loaded.version, loaded.canary, entries, sources)
        except Inconsistent as error:
            problem = "the overlay no longer fits: " + "; ".join(error.problems[:3])
        except (SecretsSealed, CannotOpen) as error:
            # What is declared did not need the secret, and goes out: a revoked key must not wait for this.
            problem = f"the overlay cannot be made: {_not_opened(error)}"
        else:
            return Built(make_snapshot(loaded.version, entries, canary), sources)
        return Built(make_snapshot(loaded.version, entries), sources, problem)

    def _canary(
        self, version: Version, canary: Canary, entries: Mapping[Name, Entry], sources: Mapping[Ref, Source]
    ) -> CanarySnapshot:
        """The overlay over what is declared. Raises Inconsistent, SecretsSealed, CannotOpen."""
        over = dict(sources)
        for ref, spec in canary.specs.items():
            before = sources.get(ref)
            over[ref] = (
                replace(before, spec=spec, revision=canary.revision)
                if before is not None
                else Source(ref, spec, canary.revision, False, {}, (), ())
            )
        stale = set(canary.specs)
        if any(ref.kind == "provider" for ref in stale):
            stale |= {ref for ref in over if ref.kind == "model"}
        together = dict(entries)
        for ref in _in_order(stale):
            together[_name(ref)] = self._entry(over[ref], over)
        snapshot = make_snapshot(version, together)
        snapshot.check()
        return CanarySnapshot(canary.group, Name("rollout", "", str(canary.revision)), snapshot)

    def _entry(self, source: Source, sources: Mapping[Ref, Source]) -> Entry:
        message = config_pb2.ConfigEntry(disabled=source.disabled)
        needs: list[tuple[str, str, str]] = []
        regions: frozenset[str] = frozenset()
        tenant = source.ref.tenant
        if source.ref.kind == "tenant":
            message.tenant.CopyFrom(parse(resources_pb2.Tenant, source.spec))
        elif source.ref.kind == "provider":
            provider = parse(resources_pb2.Provider, source.spec)
            regions = frozenset(provider.serve_regions)
            message.provider.spec.CopyFrom(provider)
            for row in source.sealed:
                value = self._vault.unseal(row.sealed or b"", row.place)
                message.provider.secrets.add(name=row.name, value=value)
        elif source.ref.kind == "model":
            model = parse(resources_pb2.Model, source.spec)
            message.model.spec.CopyFrom(model)
            message.model.prices.CopyFrom(
                model_prices(model, _provider_of(model, tenant, sources), source.revision)
            )
            message.model.context_window = model_window(model, _provider_of(model, tenant, sources))
            message.model.fit.extend(fit_messages(source.detail))
            needs = [(kind, tenant, name) for _, kind, name in refers_to(model)]
        elif source.ref.kind == "route":
            route = parse(resources_pb2.Route, source.spec)
            message.route.CopyFrom(route)
            needs = sorted({(kind, tenant, name) for _, kind, name in refers_to(route)})
        elif source.ref.kind == "experiment":
            experiment = parse(resources_pb2.Experiment, source.spec)
            experiment = effective(experiment, Decided.read(source.detail))
            message.experiment.CopyFrom(experiment)
            needs = sorted({(kind, tenant, name) for _, kind, name in refers_to(experiment)})
        else:
            _fill_key(message.key, source)
        if source.ref.kind != "tenant" and tenant not in (DEFAULT_TENANT, SHARED_TENANT):
            needs.append(("tenant", "", tenant))
        return Entry(message, regions, tuple(needs))


def _not_opened(error: SecretsSealed | CannotOpen) -> str:
    if isinstance(error, SecretsSealed):
        return f"sealed: {error.reason}"
    return f"a stored secret cannot be opened: {error.place}"


def _fill_key(message: config_pb2.KeyConfig, source: Source) -> None:
    key = parse(resources_pb2.Key, source.spec)
    key.ClearField("sha256")  # it is among the credentials, if it is valid
    message.spec.CopyFrom(key)
    for credential in source.credentials:
        added = message.credentials.add(sha256=credential.sha256, public_id=credential.public_id)
        if credential.expires_at is not None:
            added.expires_at.FromDatetime(credential.expires_at)


def _provider_of(
    model: resources_pb2.Model, tenant: str, sources: Mapping[Ref, Source]
) -> resources_pb2.Provider | None:
    for owner in (tenant, SHARED_TENANT):
        if found := sources.get(Ref("provider", owner, model.provider)):
            return resources_pb2.Provider(
                kind=found.spec.get("kind", ""), base_url=found.spec.get("base_url", "")
            )
    return None


def _name(ref: Ref) -> Name:
    return Name(ref.kind, ref.shown_tenant, ref.name)


def _in_order(refs: Iterable[Ref]) -> Iterator[Ref]:
    """Sorted, so that two replicas make the same of the same."""
    return iter(sorted(refs))
