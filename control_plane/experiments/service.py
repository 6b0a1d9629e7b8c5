"""`experiment show`: each variant beside the first one, with intervals that hold at every look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import Session

from control_plane.experiments import store
from control_plane.experiments.errors import ExperimentNotFound
from control_plane.experiments.statistics import (
    SHARE_ALARM,
    Interval,
    Sums,
    difference,
    share_p_value,
    units_to_decide,
)
from control_plane.experiments.store import METRICS, Arm, Question
from control_plane.resources.model import Ref, ResourceRow
from control_plane.resources.store import ResourceStore
from headgate.policy.experiments import DEFAULT_UNIT
from headgate.rules.names import SHARED_TENANT
from headgate.rules.spec import parse
from headgate.v1 import resources_pb2

CONFIDENCE = 0.95
# Further back no query ends in time.
MAX_WINDOW = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Metric:
    """Of one variant. `versus`: its difference to the first; None: too few units yet, or the first itself."""

    name: str
    mean: float | None
    versus: Interval | None
    # Units in all until the difference is decided, if it stays as it is.
    decided_at_units: int | None = None


@dataclass(frozen=True, slots=True)
class VariantResult:
    name: str
    share: float
    units: int = 0
    calls: int = 0
    unpriced: int = 0
    outside: int = 0
    metrics: list[Metric] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Results:
    experiment: str
    unit: str
    start: datetime
    end: datetime
    confidence: float
    variants: list[VariantResult]
    # Chance of such a split of units, if the weights were kept.
    share_p_value: float

    @property
    def units(self) -> int:
        return sum(variant.units for variant in self.variants)

    @property
    def shares_are_off(self) -> bool:
        """Something keeps units out of a variant, and its figures are of others than it looks."""
        return self.share_p_value < SHARE_ALARM


class Experiments:
    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def results(self, session: Session, tenant: str, name: str, since: datetime | None) -> Results:
        """`since` None: since the experiment was last changed. Raises ExperimentNotFound."""
        row = self._find(session, tenant, name)
        spec = parse(resources_pb2.Experiment, row.spec)
        end = self._now()
        start = max(since or row.updated_at, end - MAX_WINDOW)
        unit = spec.unit or DEFAULT_UNIT
        seen = {arm.variant: arm for arm in store.arms(session, Question(tenant, name, unit, start, end))}
        weights = [v.weight if v.HasField("weight") else 1.0 for v in spec.variants]
        arms = [seen.get(variant.name) for variant in spec.variants]
        total = sum(weights)
        # Of one metric, all variants and all looks together are wrong once in twenty.
        alpha = (1 - CONFIDENCE) / max(1, len(arms) - 1)
        variants = [
            _variant(spec.variants[index].name, weights[index] / total, arm, arms[0], alpha, index == 0)
            for index, arm in enumerate(arms)
        ]
        p_value = share_p_value([variant.units for variant in variants], weights)
        return Results(name, unit, start, end, CONFIDENCE, variants, p_value)

    @staticmethod
    def _find(session: Session, tenant: str, name: str) -> ResourceRow:
        rows = ResourceStore(session).get_many(
            [Ref("experiment", owner, name) for owner in (tenant, SHARED_TENANT)]
        )
        for owner in (tenant, SHARED_TENANT):
            if (row := rows.get(Ref("experiment", owner, name))) is not None:
                return row
        raise ExperimentNotFound(name)


def _variant(
    name: str, share: float, arm: Arm | None, baseline: Arm | None, alpha: float, is_baseline: bool
) -> VariantResult:
    if arm is None:
        return VariantResult(name, share)
    metrics = []
    for metric in METRICS:
        sums = arm.metrics[metric]
        before = baseline.metrics[metric] if baseline is not None and not is_baseline else Sums()
        versus = difference(before, sums, alpha) if not is_baseline else None
        units = before.units + sums.units
        needed = units_to_decide(versus, units) if versus is not None else None
        metrics.append(Metric(metric, sums.mean, versus, needed))
    return VariantResult(name, share, arm.units, arm.calls, arm.unpriced, arm.outside, metrics)
