"""What a policy refers to: a walk over its tree, with paths in the words of the manifest.

Both sides use it: the control plane refuses what points nowhere, the proxy nacks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headgate.rules.errors import Path
from headgate.v1 import policy_pb2

# No sensible policy has more; it bounds the work of compiling and planning.
MAX_POLICY_NODES = 200


# A race starts one model of each of its parts: what more these would bring along would be lost.
NOT_RACED = {
    "experiment": "an experiment cannot run in a race: put the experiment around it, races in its variants",
    "race": "a race cannot run in a race: name all models in one, with its `width`",
}


@dataclass(frozen=True, slots=True)
class Reference:
    path: Path
    # model, route or experiment
    kind: str
    name: str


def walk(policy: policy_pb2.Policy, path: Path = ("policy",)) -> Iterator[tuple[Path, policy_pb2.Policy]]:
    """Every node with its path, parents first."""
    yield path, policy
    for step, child in _children(policy):
        yield from walk(child, (*path, *step))


def references(policy: policy_pb2.Policy, path: Path = ("policy",)) -> Iterator[Reference]:
    """Everything that the policy names, in reading order."""
    for here, node in walk(policy, path):
        kind = node.WhichOneof("node")
        if kind in ("model", "route", "experiment"):
            yield Reference(here, kind, getattr(node, kind))
        elif kind == "semantic" and node.semantic.embedder:
            yield Reference((*here, "semantic", "embedder"), "model", node.semantic.embedder)


def raced(policy: policy_pb2.Policy, path: Path = ("policy",)) -> Iterator[tuple[Path, policy_pb2.Policy]]:
    """Every node that stands inside a race, with its path."""
    return ((here, node) for here, node in walk(policy, path) if "race" in here[len(path) :])


def node_count(policy: policy_pb2.Policy) -> int:
    return sum(1 for _ in walk(policy))


def _children(policy: policy_pb2.Policy) -> Iterator[tuple[Path, policy_pb2.Policy]]:
    kind = policy.WhichOneof("node")
    if kind == "fallback":
        yield from ((("fallback", i), node) for i, node in enumerate(policy.fallback.of))
    elif kind == "weighted":
        yield from ((("weighted", i, "use"), item.use) for i, item in enumerate(policy.weighted.of))
    elif kind == "cheapest":
        yield from ((("cheapest", "of", i), node) for i, node in enumerate(policy.cheapest.of))
    elif kind == "fastest":
        yield from ((("fastest", "of", i), node) for i, node in enumerate(policy.fastest.of))
    elif kind == "race":
        yield from ((("race", "of", i), node) for i, node in enumerate(policy.race.of))
    elif kind == "cases":
        yield from ((("cases", i, "use"), case.use) for i, case in enumerate(policy.cases.of))
    elif kind == "semantic":
        yield from ((("semantic", "of", i, "use"), case.use) for i, case in enumerate(policy.semantic.of))
        if policy.semantic.HasField("else"):
            yield ("semantic", "else"), getattr(policy.semantic, "else")
