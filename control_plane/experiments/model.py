"""Values of experiments: what each variant came to, beside the first one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from control_plane.experiments.state import Decided
from control_plane.experiments.statistics import SHARE_ALARM, Interval

CHECK = "check "
PREFERENCE = "preference"


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
    is_shadow: bool = False
    # Why it gets no traffic any more.
    stopped: str = ""
    units: int = 0
    calls: int = 0
    unpriced: int = 0
    outside: int = 0
    judged: int = 0
    unscored: int = 0
    metrics: list[Metric] = field(default_factory=list)
    # (remark of usage.proto, how often)
    remarks: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Spent:
    """In the background, since the window's start. `variant` "": by judges."""

    variant: str
    picousd: int


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
    decided: Decided
    # Of several judges; None: there is one, or they judged nothing together.
    agreement: float | None = None
    spent: tuple[Spent, ...] = ()
    # The figure that it is decided by.
    by: str = ""

    @property
    def units(self) -> int:
        return sum(variant.units for variant in self.variants)

    @property
    def shares_are_off(self) -> bool:
        """Something keeps units out of a variant, and its figures are of others than it looks."""
        return self.share_p_value < SHARE_ALARM
