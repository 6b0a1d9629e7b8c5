"""Which variant of an experiment a request gets: the same unit always the same, without coordination.

Weighted rendezvous hashing: each variant draws -weight / ln(u) with u from a hash of (experiment, unit,
variant), and the highest wins. Shares follow the weights; a changed weight moves only units to or from that
variant; experiments do not correlate, because their names are in the hash.
Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", SPAA 2005, with the logarithmic method.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

from headgate.policy.candidate import C
from headgate.policy.facts import Assignment, Facts
from headgate.policy.nodes import Arm, Node, Step

UNITS = ("session", "user", "key", "request")
METADATA = "metadata."
DEFAULT_UNIT = "session"


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


class Experiment(Generic[C]):
    """`tenant`: the resource's own, so that experiments of one name in two tenants are two."""

    __slots__ = ("_prefix", "_variants", "name", "unit")

    def __init__(self, tenant: str, name: str, unit: str, variants: Sequence[Variant[C]]) -> None:
        self.name = name
        self.unit = unit or DEFAULT_UNIT
        self._variants = tuple(variants)
        self._prefix = f"{tenant}\0{name}\0"

    def plan(self, facts: Facts) -> Sequence[Step[C]]:
        forced = next((v for v in self._variants if facts.forced_variant == f"{self.name}/{v.name}"), None)
        unit = unit_of(facts, self.unit)
        variant = forced or self.assigned(unit or facts.request_id or repr(facts.random()))
        if variant is None:
            return ()
        facts.assignments.append(
            Assignment(self.name, variant.name, by_request=forced is not None or not unit)
        )
        return [Arm(step, self.name, variant) for step in variant.node.plan(facts)]

    def assigned(self, unit: str) -> Variant[C] | None:
        """None: no variant has a weight."""
        best: Variant[C] | None = None
        highest = 0.0
        for variant in self._variants:
            if variant.weight <= 0:
                continue
            drawn = -variant.weight / math.log(chance(f"{self._prefix}{variant.name}\0{unit}"))
            if best is None or drawn > highest:
                best, highest = variant, drawn
        return best

    def targets(self) -> Iterator[C]:
        return itertools.chain.from_iterable(variant.node.targets() for variant in self._variants)


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
