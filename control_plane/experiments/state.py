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

    @classmethod
    def of(cls, spec: resources_pb2.Experiment, detail: Mapping[str, Any]) -> Decided:
        """What was decided, as far as the spec still has what it is about."""
        return cls.read(detail).about(spec)

    def about(self, spec: resources_pb2.Experiment) -> Decided:
        names = {variant.name for variant in spec.variants}
        found = replace(self, stopped=tuple(one for one in self.stopped if one.variant in names))
        if not names.issuperset(filter(None, (self.winner, self.would_win))):
            found = replace(found, winner="", would_win="", evidence="", decided_at="")
        out = {one.variant for one in found.stopped}
        if not found.winner and not any(is_open(one) and one.name not in out for one in spec.variants):
            return replace(found, stopped=())  # somebody must answer
        return found

    def in_words(self) -> tuple[str, ...]:
        """What it makes of the spec, for whoever applies it."""
        if self.winner:
            return (f"won by {self.winner}",)
        return tuple(f"{one.variant} stopped" for one in self.stopped)

    @property
    def is_over(self) -> bool:
        return bool(self.winner)

    def without(self, variant: str, evidence: str, now: datetime) -> Decided:
        """With another variant stopped."""
        stopped = (*self._others(variant), Stopped(variant, evidence, now.isoformat()))
        if self.would_win == variant:
            return replace(self, stopped=stopped, would_win="", evidence="")
        return replace(self, stopped=stopped)

    def won_by(self, variant: str, evidence: str, now: datetime) -> Decided:
        return replace(
            self,
            winner=variant,
            evidence=evidence,
            decided_at=now.isoformat(),
            would_win="",
            stopped=self._others(variant),
        )

    def _others(self, variant: str) -> tuple[Stopped, ...]:
        return tuple(one for one in self.stopped if one.variant != variant)


def effective(spec: resources_pb2.Experiment, decided: Decided) -> resources_pb2.Experiment:
    """The experiment as it holds now: all traffic to the winner, none to what was stopped."""
    decided = decided.about(spec)
    if decided.winner:
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
    return holds


def is_open(variant: resources_pb2.Variant) -> bool:
    """Whether clients' calls go to it."""
    return not variant.shadow and (not variant.HasField("weight") or variant.weight > 0)
