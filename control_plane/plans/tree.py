"""From a snapshot's entries to a tree that can be asked: the names, keys and routes of one tenant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from control_plane.plans.errors import NoSuchKey, NoSuchRoute, NotCallable
from control_plane.plans.model import PlanCandidate, PlanProvider
from headgate.policy.compile import PolicyCompiler, own_or_shared, prices_of
from headgate.policy.naming import BUILT_IN, STRATEGIES, allows, chosen_by
from headgate.policy.nodes import Barred, Fixed, Node
from headgate.rules.money import DISCOUNT_UNIT
from headgate.rules.names import SHARED_TENANT
from headgate.v1 import config_pb2

EntryName = tuple[str, str, str]
# How many names an error message tells.
MAX_KNOWN = 50


@dataclass(frozen=True, slots=True)
class Tree:
    """What answers to a name: the tree, and what its route adds to a request."""

    name: str
    node: Node[PlanCandidate]
    task: str = ""


class Trees:
    """Of one tenant. `entries`: by (kind, tenant, name), as a proxy of some region gets them."""

    def __init__(self, tenant: str, entries: Mapping[EntryName, config_pb2.ConfigEntry]) -> None:
        self._tenant = tenant
        self._entries = entries
        self._providers: dict[str, dict[str, PlanProvider]] = {}
        self._models: dict[str, dict[str, PlanCandidate]] = {}
        for (kind, owner, name), entry in entries.items():
            if kind == "provider":
                self._providers.setdefault(owner, {})[name] = _provider(owner, entry)
        for (kind, owner, name), entry in entries.items():
            if kind == "model":
                provider = own_or_shared(self._providers, owner, entry.model.spec.provider)
                if provider is not None:
                    self._models.setdefault(owner, {})[name] = _candidate(entry, provider)
        self._compiler = PolicyCompiler(tenant, self._models, entries)

    @property
    def residency(self) -> frozenset[str]:
        entry = self._entries.get(("tenant", "", self._tenant))
        return frozenset(entry.tenant.residency) if entry is not None else frozenset()

    def model(self, name: str) -> PlanCandidate | None:
        return own_or_shared(self._models, self._tenant, name)

    def metadata(self, key: str) -> dict[str, str]:
        """Of the key, if one is named. Raises NoSuchKey where there is none."""
        entry = self._key(key)
        return dict(entry.spec.metadata) if entry is not None else {}

    def find(self, name: str, key: str) -> Tree:
        """As a proxy would; `key` "": whatever a key may. Raises NoSuchRoute, NoSuchKey, NotCallable."""
        patterns = self._patterns(key)
        for owner in (self._tenant, SHARED_TENANT):
            route = self._entries.get(("route", owner, name))
            if route is not None:
                _check(patterns, name, is_route=True)
                if route.disabled:
                    raise NotCallable(name, "it is disabled")
                return Tree(name, self._compiler.node(route.route.policy, (name,)), route.route.task)
        for owner in (self._tenant, SHARED_TENANT):
            if ("model", owner, name) in self._entries:
                _check(patterns, name, is_route=False)
                candidate = self._models.get(owner, {}).get(name)
                barred: Node[PlanCandidate] = Barred(name, "region_not_served")
                return Tree(name, Fixed((candidate,)) if candidate is not None else barred)
        provider_name, slash, upstream_model = name.partition("/")
        for candidate in self._all_models() if slash else ():
            if candidate.provider.name == provider_name and candidate.upstream_model == upstream_model:
                _check(patterns, name, is_route=False)
                return Tree(name, Fixed((candidate,)))
        if name in BUILT_IN:
            return self._built_in(name, patterns)
        base, colon, strategy = name.rpartition(":")
        if colon and strategy in STRATEGIES:
            return self._with_strategy(name, base, strategy, key)
        raise NoSuchRoute(name, tuple(sorted({n for k, _, n in self._entries if k == "route"})[:MAX_KNOWN]))

    def _built_in(self, name: str, patterns: tuple[str, ...] | None) -> Tree:
        _check(patterns or (), name, is_route=True)
        found: dict[str, PlanCandidate] = {}
        for candidate in self._all_models():
            if allows(patterns, candidate.model, is_route=False):
                found.setdefault(candidate.model, candidate)
        return Tree(name, chosen_by(name, list(found.values())))

    def _all_models(self) -> Iterator[PlanCandidate]:
        for owner in (self._tenant, SHARED_TENANT):
            yield from self._models.get(owner, {}).values()

    def _with_strategy(self, name: str, base: str, strategy: str, key: str) -> Tree:
        tree = self.find(base, key)
        own = self._entries.get(("route", self._tenant, base))
        route = own if own is not None else self._entries.get(("route", SHARED_TENANT, base))
        if route is None or strategy not in route.route.client_strategies:
            raise NotCallable(name, f"`client_strategies` of {base!r} do not name {strategy!r}")
        return Tree(name, chosen_by(strategy, list(dict.fromkeys(tree.node.targets()))), tree.task)

    def _key(self, name: str) -> config_pb2.KeyConfig | None:
        if not name:
            return None
        entry = self._entries.get(("key", self._tenant, name))
        if entry is None:
            raise NoSuchKey(name)
        return entry.key

    def _patterns(self, key: str) -> tuple[str, ...] | None:
        config = self._key(key)
        if config is None:
            return ("*",)
        return tuple(config.spec.allow.of) if config.spec.HasField("allow") else None


def _check(patterns: tuple[str, ...] | None, name: str, *, is_route: bool) -> None:
    if not allows(patterns, name, is_route=is_route):
        raise NotCallable(name, "the key may not call it")


def _provider(owner: str, entry: config_pb2.ConfigEntry) -> PlanProvider:
    spec = entry.provider.spec
    keys = tuple(secret.name for secret in entry.provider.secrets) or ("",)
    return PlanProvider(owner, spec.name, spec.region, entry.disabled, keys)


def _candidate(entry: config_pb2.ConfigEntry, provider: PlanProvider) -> PlanCandidate:
    spec = entry.model.spec
    return PlanCandidate(
        model=spec.name,
        provider=provider,
        upstream_model=spec.upstream_model or spec.name,
        prices=prices_of(entry.model.prices),
        discount_ppm=int(Decimal(spec.discount or "0") * DISCOUNT_UNIT),
        disabled=entry.disabled,
        capabilities=frozenset(spec.capabilities) if spec.capabilities else None,
        context_window=entry.model.context_window or spec.context_window,
        quality=tuple(sorted(spec.quality.items())),
        fit=tuple((fit.task, (fit.lower, fit.upper)) for fit in entry.model.fit),
    )
