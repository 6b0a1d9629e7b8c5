"""A compiled policy: what a route decides for one request.

A node yields targets in the order in which they are to be tried. Nodes are immutable and shared;
chance comes in as a number, so that the same number makes the same plan.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from proxy.config.model import Target

Random = Callable[[], float]


class Node(Protocol):
    def plan(self, random: Random) -> Sequence[Target]:
        """Targets in order of preference."""
        ...

    def targets(self) -> Iterator[Target]:
        """Every target that the node could ever choose."""
        ...


class Fixed:
    """A model, or any part of a tree in which nothing depends on the request."""

    __slots__ = ("_targets",)

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = tuple(targets)

    def plan(self, random: Random) -> Sequence[Target]:
        return self._targets

    def targets(self) -> Iterator[Target]:
        return iter(self._targets)


class Fallback:
    """In order, until one answers."""

    __slots__ = ("_nodes",)

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = tuple(nodes)

    def plan(self, random: Random) -> Sequence[Target]:
        return [target for node in self._nodes for target in node.plan(random)]

    def targets(self) -> Iterator[Target]:
        return itertools.chain.from_iterable(node.targets() for node in self._nodes)


class Weighted:
    """One of several, by weight; the others do not stand in for it."""

    __slots__ = ("_bounds", "_nodes", "_total")

    def __init__(self, weighted: Sequence[tuple[Node, float]]) -> None:
        chosen = [(node, weight) for node, weight in weighted if weight > 0]
        self._nodes = tuple(node for node, _ in chosen)
        self._bounds = list(itertools.accumulate(weight for _, weight in chosen))
        self._total = self._bounds[-1] if self._bounds else 0.0

    def plan(self, random: Random) -> Sequence[Target]:
        if not self._nodes:
            return ()
        index = bisect.bisect_right(self._bounds, random() * self._total)
        return self._nodes[min(index, len(self._nodes) - 1)].plan(random)

    def targets(self) -> Iterator[Target]:
        return itertools.chain.from_iterable(node.targets() for node in self._nodes)


def fallback(nodes: Sequence[Node]) -> Node:
    """A fallback; flattened at compile time where nothing in it depends on chance."""
    if all(isinstance(node, Fixed) for node in nodes):
        return Fixed([target for node in nodes for target in node.targets()])
    return Fallback(nodes)
