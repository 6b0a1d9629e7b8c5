"""Which variant of an experiment a request gets: the same unit always the same, without coordination.

Weighted rendezvous hashing: each variant draws -weight / ln(u) with u from a hash of (experiment, unit,
variant), and the highest wins. Shares follow the weights; a changed weight moves only units to or from that
variant; experiments do not correlate, because their names are in the hash. The experiments of a namespace
draw for the unit in the same way, so that it takes part in one of them.
Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", SPAA 2005, with the logarithmic method.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from headgate.policy.candidate import C
from headgate.policy.facts import Assignment, Facts
from headgate.policy.nodes import Arm, Node, Step

UNITS = ("session", "user", "key", "request")
METADATA = "metadata."
DEFAULT_UNIT = "session"
MODES = ("pointwise", "pairwise")
# What an experiment can be decided by, and whether more of it is better.
STOP_METRICS = {
    "quality": True,
    "feedback": True,
    "cost_usd": False,
    "cost_per_success": False,
    "error_rate": False,
    "latency_ms": False,
    "first_token_ms": False,
}


@dataclass(frozen=True, slots=True, eq=False)
class Variant(Generic[C]):
    name: str
    node: Node[C]
    weight: float = 1.0
    # Placed before the conversation; "" leaves it alone.
    system: str = ""
    # Of the request, by their neutral names.
    parameters: tuple[tuple[str, float], ...] = ()

    @property
    def changes(self) -> bool:
        return bool(self.system or self.parameters)


@dataclass(frozen=True, slots=True, eq=False)
class Shadow(Generic[C]):
    """A variant that answers copies of requests. `sample`: the share of calls that it gets one of."""

    variant: Variant[C]
    sample: float = 1.0
    # In a UTC day; None: no limit.
    max_picousd: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Judge(Generic[C]):
    """Who says how good an answer is. `models`: each judges by itself, by its name."""

    models: tuple[tuple[str, Node[C]], ...] = ()
    sample: float = 0.1
    pairwise: bool = False
    rubric: str = ""
    rubric_name: str = ""
    max_picousd: int | None = None
    # As they were declared; who runs them knows what they mean.
    checks: tuple[Any, ...] = ()


class Experiment(Generic[C]):
    """`tenant`: the resource's own, so that experiments of one name in two tenants are two.

    `namespace`: (name, share) of every experiment of its namespace, itself among them; empty: it has none.
    """

    __slots__ = (
        "_namespace",
        "_namespace_prefix",
        "_prefix",
        "judge",
        "name",
        "shadows",
        "tenant",
        "unit",
        "variants",
    )

    def __init__(
        self,
        tenant: str,
        name: str,
        unit: str,
        variants: Sequence[Variant[C]],
        *,
        shadows: Sequence[Shadow[C]] = (),
        judge: Judge[C] | None = None,
        namespace: str = "",
        shares: Sequence[tuple[str, float]] = (),
    ) -> None:
        self.tenant = tenant
        self.name = name
        self.unit = unit or DEFAULT_UNIT
        self.variants = tuple(variants)
        self.shadows = tuple(shadows)
        self.judge = judge
        self._prefix = f"{tenant}\0{name}\0"
        self._namespace = tuple(shares) if len(shares) > 1 else ()
        self._namespace_prefix = f"{tenant}\0\0{namespace}\0"

    def plan(self, facts: Facts) -> Sequence[Step[C]]:
        forced = self._forced(facts.forced_variant) if facts.forced_variant else None
        said = unit_of(facts, self.unit)
        unit = said or facts.request_id or repr(facts.random())
        if forced is None and not self.takes_part(unit):
            first = next((v for v in self.variants if v.weight > 0), self.variants[0])
            return [Arm(step, self.name, first) for step in first.node.plan(facts)]
        variant = forced or self.assigned(unit)
        if variant is None:
            return ()
        by_request = forced is not None or not said
        facts.assignments.append(Assignment(self.name, variant.name, by_request=by_request))
        if len(facts.assignments) == 1:
            facts.experiment = self
            facts.judged = (
                self.judge is not None and not by_request and self._drawn("", self.judge.sample, facts)
            )
        return [Arm(step, self.name, variant) for step in variant.node.plan(facts)]

    def _forced(self, said: str) -> Variant[C] | None:
        return next((v for v in self.variants if said == f"{self.name}/{v.name}"), None)

    def takes_part(self, unit: str) -> bool:
        """Whether the unit belongs to this experiment, and not to another one of its namespace."""
        if not self._namespace:
            return True
        return _drawn_of(self._namespace_prefix, unit, self._namespace) == self.name

    def assigned(self, unit: str) -> Variant[C] | None:
        """None: no variant has a weight."""
        name = _drawn_of(self._prefix, unit, ((v.name, v.weight) for v in self.variants))
        return next((v for v in self.variants if v.name == name), None)

    def copied_to(self, facts: Facts) -> list[Shadow[C]]:
        """The shadows that get a copy of this request: none where it does not count for what clients see."""
        if facts.assignments[0].by_request:
            return []
        return [s for s in self.shadows if self._drawn(s.variant.name, s.sample, facts)]

    def _drawn(self, what: str, share: float, facts: Facts) -> bool:
        """By the request's id, so that whoever plans it comes to the same."""
        if share >= 1 or not facts.request_id:
            return share >= 1
        return chance(f"{self._prefix}\0sample\0{what}\0{facts.request_id}") < share

    def targets(self) -> Iterator[C]:
        """Of the variants that clients see."""
        return itertools.chain.from_iterable(variant.node.targets() for variant in self.variants)


def _drawn_of(prefix: str, unit: str, weights: Iterable[tuple[str, float]]) -> str:
    """The name that the unit draws; "": none has a weight."""
    best, highest = "", 0.0
    for name, weight in weights:
        if weight <= 0:
            continue
        drawn = -weight / math.log(chance(f"{prefix}{name}\0{unit}"))
        if not best or drawn > highest:
            best, highest = name, drawn
    return best


def chance(text: str) -> float:
    """In (0, 1), the same for the same text, everywhere."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53 + 2.0**-54


def unit_of(facts: Facts, unit: str) -> str:
    """What the request says of itself; "" where it does not say."""
    if unit == "session":
        return facts.session
    if unit == "user":
        return facts.user
    if unit == "key":
        return f"{facts.tenant}\0{facts.key}"
    if unit.startswith(METADATA):
        return dict(facts.metadata).get(unit.removeprefix(METADATA), "")
    return facts.request_id
