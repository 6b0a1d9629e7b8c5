"""The policies that are compared, written as in a manifest from what a price list and a page of speeds say.

Whoever writes a policy knows names, prices, declared quality and advertised speeds, and nothing of the day.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.policy.compile import PolicyCompiler
from headgate.policy.nodes import Node
from headgate.rules.spec import parse
from headgate.v1 import policy_pb2
from proxy.config.model import Target
from tests.perf.simulation.market import Model
from tests.perf.simulation.tasks import TASKS


@dataclass(frozen=True, slots=True)
class Contender:
    """`kind`: what it strives for, cost or speed or both: which oracles it is held against."""

    name: str
    kind: str
    policy: Any


def contenders(market: Sequence[Model]) -> list[Contender]:
    names = [model.name for model in market]
    paper = sorted(market, key=lambda model: model.blended_usd)
    roomy = [model for model in paper if model.target.context_window >= 100_000]
    able = [model for model in roomy if _able(model)]
    floor = max(task.floor for task in TASKS)
    # Good enough for every task, cheapest first; for who cannot do what a call needs, others stand in.
    good = [model for model in roomy if _good_enough(model)]
    good_and_able = [model for model in able if _good_enough(model)] or able[-2:]
    quick = sorted(good, key=_advertised_seconds)
    usual = statistics.median(_advertised_seconds(model) for model in good)
    swift_and_good = [model for model in good if _advertised_seconds(model) <= usual]
    small = [model for model in paper if model.input_usd <= 0.3]
    middle = [model for model in roomy if 0.3 < model.input_usd <= 3 and model.quality[2] >= 0.7]
    draw = {"weighted": [{"use": name} for name in names]}
    return [
        Contender("random", "", {"fallback": [draw, draw, draw]}),
        Contender("fixed", "", {"fallback": _names(good_and_able[:2])}),
        Contender("cheapest", "cost", {"cheapest": {"of": names}}),
        Contender("cheapest, good enough", "cost at the floor", _floors(names)),
        Contender("fastest, first token", "speed", {"fastest": {"of": names}}),
        Contender("fastest, total", "speed", {"fastest": {"of": names, "by": "total"}}),
        Contender(
            "nested",
            "cost at the floor",
            {
                "fallback": [
                    {"cheapest": {"of": _names(swift_and_good), "min_quality": 0.7}},
                    {"fastest": {"of": _names(good)}},
                ]
            },
        ),
        Contender(
            "cases",
            "cost at the floor",
            {
                "cases": [
                    {
                        "when": "request.task == 'classify'",
                        "use": {"cheapest": {"of": _names(small), "min_quality": 0.5}},
                    },
                    {
                        "when": "request.task == 'code'",
                        "use": {"cheapest": {"of": names, "min_quality": floor}},
                    },
                    {"use": {"fastest": {"of": _names(middle)}}},
                ]
            },
        ),
        Contender(
            "race of two",
            "speed",
            {
                "fallback": [
                    {"race": {"of": _names(quick[:4]), "width": 2, "stagger": "auto"}},
                    *_names(good_and_able[:2]),
                ]
            },
        ),
    ]


def compiler(market: Sequence[Model]) -> Callable[[Any], Node[Target]]:
    """From a policy of a manifest to a tree with no memory of calls; each region needs one of its own."""
    targets: Mapping[str, Mapping[str, Target]] = {"default": {m.name: m.target for m in market}}
    compiling = PolicyCompiler("default", targets, {})
    return lambda policy: compiling.node(parse(policy_pb2.Policy, policy), ())


def _floors(names: list[str]) -> Any:
    """Each task at its own floor."""
    return {
        "cases": [
            {
                "when": f"request.task == '{task.name}'",
                "use": {"cheapest": {"of": names, "min_quality": task.floor}},
            }
            for task in TASKS
        ]
    }


def _good_enough(model: Model) -> bool:
    return all(quality >= task.floor for quality, task in zip(model.quality, TASKS, strict=True))


def _able(model: Model) -> bool:
    """Can do whatever the tasks need."""
    capabilities = model.target.capabilities or frozenset()
    return {"tools", "vision"} <= capabilities and model.target.context_window >= 100_000


def _advertised_seconds(model: Model) -> float:
    """Until 200 tokens are there, in the nearest region: what pages that compare providers show."""
    return min(model.first_seconds) + 200 / max(model.tokens_per_second)


def _names(models: Sequence[Model]) -> list[str]:
    return [model.name for model in models]
