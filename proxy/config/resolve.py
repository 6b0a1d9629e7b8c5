"""What a key means by a `model`: the look-up order and the permissions of interface.md, section 3.

The tenant's route, a shared route, the tenant's model, a shared model, then provider/upstream-model.
Everything is deny by default; what was found is cached per key until the next snapshot.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

from headgate.policy.naming import BUILT_IN, STRATEGIES, allows, chosen_by
from headgate.policy.nodes import Fixed
from headgate.rules.money import Price
from headgate.rules.names import SHARED_TENANT
from proxy.config.model import Key, Provider, Route, Snapshot, Target
from proxy.errors import CallError, model_not_allowed, model_not_found

# Distinct names remembered per key: a client that invents names must not grow our memory.
MAX_RESOLVED_PER_KEY = 1_000
MAX_NAME_LENGTH = 256


def resolve(snapshot: Snapshot, key: Key, name: str) -> Route:
    """The route that answers `name` for this key. Raises CallError: 403, 404 or 400."""
    route = key.resolved.get(name)
    if route is None:
        route = _resolve(snapshot, key, name)
        if len(key.resolved) < MAX_RESOLVED_PER_KEY:
            key.resolved[name] = route
    return route


def _resolve(snapshot: Snapshot, key: Key, name: str) -> Route:
    if len(name) > MAX_NAME_LENGTH:
        raise model_not_found(name)
    for tenant in (key.tenant, SHARED_TENANT):
        route = snapshot.routes.get(tenant, {}).get(name)
        if route is not None:
            return _permitted(key, name, route, is_route=True)
    for tenant in (key.tenant, SHARED_TENANT):
        route = snapshot.models.get(tenant, {}).get(name)
        if route is not None:
            return _permitted(key, name, route, is_route=False)
    if "/" in name:
        route = _direct(snapshot, key, name)
        if route is not None:
            return _permitted(key, name, route, is_route=False)
    if name in BUILT_IN:
        return _built_in(snapshot, key, name)
    base, colon, strategy = name.rpartition(":")
    if colon and strategy in STRATEGIES:
        return _with_strategy(snapshot, key, name, base, strategy)
    raise model_not_found(name)


def _built_in(snapshot: Snapshot, key: Key, name: str) -> Route:
    """`cheapest` and `fastest`: over all models that the key may call, if it may call them by that name."""
    if key.allow is None or not allows(key.allow, name, is_route=True):
        raise model_not_allowed(name)
    targets: dict[str, Target] = {}
    for tenant in (key.tenant, SHARED_TENANT):
        for model, route in snapshot.models.get(tenant, {}).items():
            if model not in targets and allows(key.allow, model, is_route=False):
                targets[model] = next(route.node.targets())
    return Route(name, chosen_by(name, list(targets.values())))


def _with_strategy(snapshot: Snapshot, key: Key, name: str, base: str, strategy: str) -> Route:
    """A route's own models, chosen otherwise; for routes that let their clients do so."""
    route = resolve(snapshot, key, base)
    if strategy not in route.client_strategies:
        raise CallError(
            403,
            "model_not_allowed",
            f"Route {base!r} takes no suffix {strategy!r}: its `client_strategies` do not name it.",
            "model",
            kind="permission_error",
        )
    targets = list(dict.fromkeys(route.node.targets()))
    return replace(route, name=name, node=chosen_by(strategy, targets))


def _permitted(key: Key, name: str, route: Route, *, is_route: bool) -> Route:
    if not allows(key.allow, name, is_route=is_route):
        raise model_not_allowed(name)
    if route.refusal:
        raise CallError(400, "no_capable_model", f"Route {name!r} {route.refusal}.", "model")
    return route


def _direct(snapshot: Snapshot, key: Key, name: str) -> Route | None:
    """`provider/upstream-model`: a declared model of that provider, or an undeclared one."""
    provider_name, _, upstream_model = name.partition("/")
    provider = provider_named(snapshot, key.tenant, provider_name)
    if provider is None or not upstream_model:
        return None
    for tenant in (key.tenant, SHARED_TENANT):
        for route in snapshot.models.get(tenant, {}).values():
            for target in route.node.targets():
                if target.provider is provider and target.upstream_model == upstream_model:
                    return Route(name, Fixed((target,)))
    if not allows(key.allow, name, is_route=False):
        raise model_not_allowed(name)
    prices, version = catalogue_price(provider.kind.name, provider.base_url, upstream_model)
    return Route(
        name,
        Fixed((Target(upstream_model, provider, upstream_model, prices, version, 0, disabled=False),)),
    )


def provider_named(snapshot: Snapshot, tenant: str, name: str) -> Provider | None:
    own = snapshot.providers.get(tenant, {}).get(name)
    return own if own is not None else snapshot.providers.get(SHARED_TENANT, {}).get(name)


@functools.lru_cache(maxsize=1_000)
def catalogue_price(kind: str, base_url: str, upstream_model: str) -> tuple[tuple[Price, ...], str]:
    # Imported at the first undeclared model only: 0.2-0.6 s and 25 MB that most proxies never need.
    from headgate.rules.catalogue import price_list

    prices, version = price_list(kind, base_url, upstream_model)
    return tuple(prices), version


def callable_names(snapshot: Snapshot, key: Key) -> Iterator[tuple[str, str]]:
    """(name, owner) of everything declared that this key may call, each name once."""
    seen: set[str] = set()
    for kind, by_tenant in (("route", snapshot.routes), ("model", snapshot.models)):
        for tenant in (key.tenant, SHARED_TENANT):
            for name, route in by_tenant.get(tenant, {}).items():
                if name in seen or not allows(key.allow, name, is_route=kind == "route"):
                    continue
                seen.add(name)
                owner = "headgate"
                if kind == "model":
                    owner = next((t.provider.name for t in route.node.targets()), owner)
                yield name, owner
