"""What was decided of an experiment, and what that makes of it for proxies.

State, not spec: the next apply of the manifest does not undo it, `experiment start` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from headgate.v1 import resources_pb2


@dataclass(frozen=True, slots=True)
class Stopped:
    variant: str
    evidence: str
    stopped_at: str


@dataclass(frozen=True, slots=True)
class Decided:
    """Times as ISO 8601 text, as they are stored."""

    winner: str = ""
    evidence: str = ""
    decided_at: str = ""
    would_win: str = ""
    stopped: tuple[Stopped, ...] = ()
    # It was begun anew: what came before does not count.
    since: str = ""

    @classmethod
    def read(cls, detail: Mapping[str, Any]) -> Decided:
        stopped = tuple(Stopped(**one) for one in detail.get("stopped", ()))
        return cls(**{**detail, "stopped": stopped})

    def detail(self) -> dict[str, Any]:
        """As it is stored; what is empty is left out."""
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def is_over(self) -> bool:
        return bool(self.winner)

    def without(self, variant: str, evidence: str, now: datetime) -> Decided:
        """With another variant stopped."""
        kept = tuple(one for one in self.stopped if one.variant != variant)
        return replace(self, stopped=(*kept, Stopped(variant, evidence, now.isoformat())))

    def won_by(self, variant: str, evidence: str, now: datetime) -> Decided:
        return replace(self, winner=variant, evidence=evidence, decided_at=now.isoformat(), would_win="")


def effective(spec: resources_pb2.Experiment, decided: Decided) -> resources_pb2.Experiment:
    """The experiment as it holds now: all traffic to the winner, none to what was stopped.

    A decision about a variant that the spec has no more is none.
    """
    names = [variant.name for variant in spec.variants]
    if decided.winner in names:
        over = resources_pb2.Experiment(name=spec.name, tenant=spec.tenant, unit=spec.unit)
        for variant in spec.variants:
            if variant.name == decided.winner or not variant.shadow:
                kept = over.variants.add()
                kept.CopyFrom(variant)
                kept.weight = float(variant.name == decided.winner)
                kept.shadow = False
        return over
    stopped = {one.variant for one in decided.stopped}
    holds = resources_pb2.Experiment()
    holds.CopyFrom(spec)
    del holds.variants[:]
    for variant in spec.variants:
        if variant.name in stopped and variant.shadow:
            continue
        kept = holds.variants.add()
        kept.CopyFrom(variant)
        if variant.name in stopped:
            kept.weight = 0.0
    return holds if any(is_open(variant) for variant in holds.variants) else spec


def is_open(variant: resources_pb2.Variant) -> bool:
    """Whether clients' calls go to it."""
    return not variant.shadow and (not variant.HasField("weight") or variant.weight > 0)
