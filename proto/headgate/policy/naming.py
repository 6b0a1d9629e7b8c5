"""What clients may ask for beside declared names: suffixes and built-in routes; and what a key covers."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from headgate.policy.candidate import C
from headgate.policy.choosing import Cheapest, Fastest, Race
from headgate.policy.nodes import Fixed, Node

STRATEGIES = ("cheapest", "fastest", "race")
# Over all models that a key may call; they must themselves be allowed.
BUILT_IN = ("cheapest", "fastest")


def chosen_by(strategy: str, targets: Sequence[C]) -> Node[C]:
    nodes: list[Node[C]] = [Fixed((target,)) for target in targets]
    if strategy == "cheapest":
        return Cheapest(nodes)
    if strategy == "fastest":
        return Fastest(nodes)
    return Race(nodes)


def allows(patterns: Sequence[str] | None, name: str, *, is_route: bool) -> bool:
    """Whether a key's patterns cover a name. No patterns: routes only."""
    if patterns is None:
        return is_route
    return any(pattern == name or fnmatchcase(name, pattern) for pattern in patterns)
