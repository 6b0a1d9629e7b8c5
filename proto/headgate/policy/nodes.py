"""A compiled policy: what a route decides for one request.

A node yields steps in the order in which they are to be tried; a step is a target, or several that race.
Nodes are shared by all calls under a snapshot; chance and learned figures come in with the facts of the
request, so that the same facts make the same plan. What cannot answer is left out before choosing.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias

from headgate.policy.candidate import C
from headgate.policy.conditions import Condition
from headgate.policy.eligible import exclusion
from headgate.policy.facts import Facts

if TYPE_CHECKING:
    from headgate.policy.experiments import Variant


@dataclass(frozen=True, slots=True, eq=False)
class Heat(Generic[C]):
    """Targets that race: the first good answer wins."""

    targets: tuple[C, ...]
    # Seconds between starts; None: each starts when the one before is slower than it usually is.
    stagger_seconds: float | None = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Arm(Generic[C]):
    """A step of an experiment's variant: what it changes in the request holds for this step alone.

    An experiment inside a variant makes an arm within an arm; the inner one's changes come on top.
    """

    step: C | Heat[C] | Arm[C]
    experiment: str
    variant: Variant[C]


Step: TypeAlias = C | Heat[C] | Arm[C]


class Node(Protocol[C]):
    def plan(self, facts: Facts) -> Sequence[Step[C]]:
        """Steps in order of preference; empty: nothing here can answer."""
        ...

    def targets(self) -> Iterator[C]:
        """Every target that the node could ever choose."""
        ...


class Fixed(Generic[C]):
    """A model, or any part of a tree in which nothing depends on the request but who can answer it."""

    __slots__ = ("_selective", "_targets")

    def __init__(self, targets: Sequence[C]) -> None:
        self._targets = tuple(targets)
        # Most configs declare nothing that could exclude a target: then there is nothing to look at.
        self._selective = any(target.selective for target in self._targets)

    @property
    def fixed(self) -> Sequence[C] | None:
        return None if self._selective else self._targets

    def plan(self, facts: Facts) -> Sequence[Step[C]]:
        if not self._selective and not facts.residency:
            return self._targets
        able = []
        for target in self._targets:
            reason = exclusion(target, facts)
            if reason:
                facts.excluded.append((target.model, reason))
            else:
                able.append(target)
        return able

    def targets(self) -> Iterator[C]:
        return iter(self._targets)


class Fallback(Generic[C]):
    """In order, until one answers."""

    __slots__ = ("_nodes",)

    def __init__(self, nodes: Sequence[Node[C]]) -> None:
        self._nodes = tuple(nodes)

    def plan(self, facts: Facts) -> Sequence[Step[C]]:
        return [step for node in self._nodes for step in node.plan(facts)]

    def targets(self) -> Iterator[C]:
        return itertools.chain.from_iterable(node.targets() for node in self._nodes)


class Weighted(Generic[C]):
    """One of several, by weight; the others do not stand in for it."""

    __slots__ = ("_bounds", "_nodes", "_total")

    def __init__(self, weighted: Sequence[tuple[Node[C], float]]) -> None:
        chosen = [(node, weight) for node, weight in weighted if weight > 0]
        self._nodes = tuple(node for node, _ in chosen)
        self._bounds = list(itertools.accumulate(weight for _, weight in chosen))
        self._total = self._bounds[-1] if self._bounds else 0.0

    def plan(self, facts: Facts) -> Sequence[Step[C]]:
        if not self._nodes:
            return ()
        index = bisect.bisect_right(self._bounds, facts.random() * self._total)
        return self._nodes[min(index, len(self._nodes) - 1)].plan(facts)

    def targets(self) -> Iterator[C]:
        return itertools.chain.from_iterable(node.targets() for node in self._nodes)


class Barred(Generic[C]):
    """A model, or a route, that answers nothing here; it stands in the tree to say why."""

    __slots__ = ("_name", "_reason")

    def __init__(self, name: str, reason: str) -> None:
        self._name = name
        self._reason = reason

    def plan(self, facts: Facts) -> Sequence[Step[C]]:
        facts.excluded.append((self._name, self._reason))
        return ()

    def targets(self) -> Iterator[C]:
        return iter(())


class Cases(Generic[C]):
    """The first whose condition holds; one without a condition always does."""

    __slots__ = ("_cases",)

    def __init__(self, cases: Sequence[tuple[Condition | None, Node[C]]]) -> None:
        self._cases = tuple(cases)

    def plan(self, facts: Facts) -> Sequence[Step[C]]:
        for condition, node in self._cases:
            if condition is None or condition.holds(facts):
                return node.plan(facts)
        return ()

    def targets(self) -> Iterator[C]:
        return itertools.chain.from_iterable(node.targets() for _, node in self._cases)


def fallback(nodes: Sequence[Node[C]]) -> Node[C]:
    """A fallback; flattened at compile time where nothing in it depends on the request."""
    if all(isinstance(node, Fixed) for node in nodes):
        return Fixed([target for node in nodes for target in node.targets()])
    return Fallback(nodes)


def fixed_plan(node: Node[C]) -> Sequence[C] | None:
    """The plan of a node in which nothing depends on the request; None: it must be asked each time."""
    return node.fixed if isinstance(node, Fixed) else None


def targets_of(steps: Sequence[Step[C]]) -> list[C]:
    """Every target of a plan, in order."""
    found: list[C] = []
    for step in steps:
        inner = plain(step)
        found += inner.targets if isinstance(inner, Heat) else (inner,)
    return found


def plain(step: Step[C]) -> C | Heat[C]:
    """Without the arms around it."""
    while isinstance(step, Arm):
        step = step.step
    return step


def within(steps: Sequence[Step[C]], facts: Facts, max_picousd: int) -> list[Step[C]]:
    """The steps that are expected to cost no more, a race in all; what nobody can price is left out."""
    found: list[Step[C]] = []
    for step in steps:
        cheap: list[C] = []
        left = max_picousd
        for target in targets_of((step,)):
            cost = facts.estimates.cost_picousd(facts, target)
            if cost is not None and cost <= left:
                cheap.append(target)
                left -= cost
        inner = plain(step)
        if isinstance(inner, Heat) and len(cheap) > 1:
            found.append(_in_arms(step, replace(inner, targets=tuple(cheap))))
        else:
            found += [_in_arms(step, target) for target in cheap]
    return found


def _in_arms(step: Step[C], inner: C | Heat[C]) -> Step[C]:
    """`inner` in the place of what stands in the arms of `step`."""
    return replace(step, step=_in_arms(step.step, inner)) if isinstance(step, Arm) else inner


def first_target(steps: Sequence[Step[C]]) -> C:
    """Whom a plan begins with; of a race, its first."""
    return targets_of(steps[:1])[0]
