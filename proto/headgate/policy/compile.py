"""From a policy as it was declared to nodes that plan: once per snapshot, never per call.

Raises ValueError for what cannot be served; the snapshot is then refused with that reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Generic, TypeVar

from headgate.policy.candidate import C
from headgate.policy.choosing import Cheapest, Fastest, Race
from headgate.policy.conditions import Condition
from headgate.policy.experiments import Experiment, Judge, Shadow, Variant
from headgate.policy.nodes import Barred, Cases, Fixed, Node, Weighted, fallback
from headgate.rules.money import PICO_PER_USD, Price
from headgate.rules.names import SHARED_TENANT
from headgate.rules.units import parse_duration_ns
from headgate.v1 import config_pb2, policy_pb2, resources_pb2

# Routes that refer to routes: deeper is a cycle, which the control plane refuses.
MAX_ROUTE_DEPTH = 20
DEFAULT_WIDTH = 2
AUTO = "auto"
PAIRWISE = "pairwise"
# Share of the calls of an experiment that are judged.
DEFAULT_SAMPLE = 0.1
T = TypeVar("T")


class PolicyCompiler(Generic[C]):
    """For one tenant. `entries`: everything in the snapshot, by (kind, tenant, name)."""

    def __init__(
        self,
        tenant: str,
        targets: Mapping[str, Mapping[str, C]],
        entries: Mapping[tuple[str, str, str], Any],
    ) -> None:
        self._tenant = tenant
        self._targets = targets
        self._entries = entries

    def node(self, policy: policy_pb2.Policy, routes: tuple[str, ...]) -> Node[C]:
        """`routes`: the names on the way here, to end at a cycle."""
        which = policy.WhichOneof("node")
        if which == "model":
            return self._model(policy.model)
        if which == "route":
            return self._route(policy.route, routes)
        if which == "fallback":
            return fallback(self._all(policy.fallback.of, routes))
        if which == "weighted":
            return Weighted(
                [
                    (self.node(item.use, routes), item.weight if item.HasField("weight") else 1.0)
                    for item in policy.weighted.of
                ]
            )
        if which == "cheapest":
            cheapest = policy.cheapest
            return Cheapest(
                self._all(cheapest.of, routes),
                max_picousd=_picousd(cheapest.max_usd_per_call),
                min_quality=cheapest.min_quality if cheapest.HasField("min_quality") else None,
            )
        if which == "fastest":
            return Fastest(self._all(policy.fastest.of, routes), by=policy.fastest.by or "first_token")
        if which == "race":
            return self._race(policy.race, routes)
        if which == "experiment":
            return self._experiment(policy.experiment, routes)
        if which == "cases":
            return Cases(
                [
                    (Condition(case.when) if case.when else None, self.node(case.use, routes))
                    for case in policy.cases.of
                ]
            )
        raise ValueError(f"policy node {which or 'nothing'!r} is not supported yet")

    def _all(self, nodes: Sequence[policy_pb2.Policy], routes: tuple[str, ...]) -> list[Node[C]]:
        return [self.node(node, routes) for node in nodes]

    def _model(self, name: str) -> Node[C]:
        target = own_or_shared(self._targets, self._tenant, name)
        if target is not None:
            return Fixed((target,))
        known = [("model", tenant, name) in self._entries for tenant in (self._tenant, SHARED_TENANT)]
        if any(known):
            return Barred(name, "region_not_served")
        raise ValueError(f"model {name!r} is not in this config")

    def _route(self, name: str, routes: tuple[str, ...]) -> Node[C]:
        if name in routes or len(routes) > MAX_ROUTE_DEPTH:
            raise ValueError(f"route {name!r} leads back to itself: {' → '.join((*routes, name))}")
        for tenant in (self._tenant, SHARED_TENANT):
            entry = self._entries.get(("route", tenant, name))
            if entry is not None:
                if entry.disabled:
                    return Barred(name, "route_disabled")
                return self.node(entry.route.policy, (*routes, name))
        raise ValueError(f"route {name!r} is not in this config")

    def _experiment(self, name: str, routes: tuple[str, ...]) -> Node[C]:
        place = f"experiment {name}"
        if place in routes or len(routes) > MAX_ROUTE_DEPTH:
            raise ValueError(f"experiment {name!r} leads back to itself: {' → '.join((*routes, place))}")
        for tenant in (self._tenant, SHARED_TENANT):
            entry = self._entries.get(("experiment", tenant, name))
            if entry is not None:
                if entry.disabled:
                    return Barred(name, "experiment_disabled")
                return self._made_experiment(tenant, entry.experiment, (*routes, place))
        raise ValueError(f"experiment {name!r} is not in this config")

    def _made_experiment(
        self, tenant: str, spec: resources_pb2.Experiment, routes: tuple[str, ...]
    ) -> Experiment[C]:
        """Variants and shadows of whoever asks; experiments of a namespace are those of its own tenant."""
        seen = [self._variant(variant, routes) for variant in spec.variants if not variant.shadow]
        shadows = [
            Shadow(
                self._variant(variant, routes),
                variant.sample if variant.HasField("sample") else 1.0,
                _picousd(variant.max_usd_per_day),
            )
            for variant in spec.variants
            if variant.shadow
        ]
        shares = [
            (name, other.experiment.share if other.experiment.HasField("share") else 1.0)
            for (kind, owner, name), other in self._entries.items()
            if kind == "experiment" and owner == tenant and not other.disabled
            if spec.namespace and other.experiment.namespace == spec.namespace
        ]
        judge = self._judge(spec.judge) if spec.HasField("judge") else None
        return Experiment(
            tenant,
            spec.name,
            spec.unit,
            seen,
            shadows=shadows,
            judge=judge,
            namespace=spec.namespace,
            shares=sorted(shares),
        )

    def _variant(self, spec: resources_pb2.Variant, routes: tuple[str, ...]) -> Variant[C]:
        return Variant(
            name=spec.name,
            node=self.node(spec.use, routes),
            weight=spec.weight if spec.HasField("weight") else 1.0,
            system=spec.system,
            parameters=tuple(
                sorted((name, float(value)) for name, value in spec.parameters.items())  # type: ignore[arg-type]
            ),
        )

    def _judge(self, spec: resources_pb2.Judge) -> Judge[C]:
        names = list(dict.fromkeys([*([spec.model] if spec.model else []), *spec.models]))
        return Judge(
            models=tuple((name, self._model(name)) for name in names),
            sample=spec.sample if spec.HasField("sample") else DEFAULT_SAMPLE,
            pairwise=spec.mode == PAIRWISE,
            rubric=spec.rubric,
            rubric_name=spec.rubric_name,
            max_picousd=_picousd(spec.max_usd_per_day),
            checks=tuple(spec.checks),
        )

    def _race(self, race: policy_pb2.Race, routes: tuple[str, ...]) -> Node[C]:
        stagger: float | None = None
        if race.stagger != AUTO:
            stagger = parse_duration_ns(race.stagger or "0ms") / 1e9
        return Race(
            self._all(race.of, routes),
            stagger_seconds=stagger,
            width=race.width or DEFAULT_WIDTH,
            max_picousd=_picousd(race.max_usd),
        )


def own_or_shared(by_tenant: Mapping[str, Mapping[str, T]], tenant: str, name: str) -> T | None:
    own = by_tenant.get(tenant, {}).get(name)
    return own if own is not None else by_tenant.get(SHARED_TENANT, {}).get(name)


def prices_of(prices: config_pb2.PriceList) -> tuple[Price, ...]:
    return tuple(
        Price(
            input=price.input,
            output=price.output,
            cache_read=price.cache_read,
            cache_write_5m=price.cache_write_5m,
            cache_write_1h=price.cache_write_1h,
            audio_input=price.audio_input,
            audio_output=price.audio_output,
            request=price.request,
            from_unix_ms=price.from_unix_ms,
            service_tier=price.service_tier,
            above_input_tokens=price.above_input_tokens,
            day_from_seconds=price.day_from_seconds,
            day_to_seconds=price.day_to_seconds,
        )
        for price in prices.prices
    )


def _picousd(text: str) -> int | None:
    return int(Decimal(text) * PICO_PER_USD) if text else None
