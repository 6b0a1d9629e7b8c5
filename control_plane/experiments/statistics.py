"""Is a difference between two variants real? Intervals that hold at every look, not at one fixed moment.

Observations are clustered by unit: a metric of a variant is a ratio of sums over units (cost per call: all
cost over all calls), and its variance is that of the units' residuals (delta method). The interval around a
difference is an asymptotic confidence sequence: it covers the truth at all times at once, so looking every
minute and stopping when one likes is allowed. What it needs is enough units for the variance to be known.

- Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: "Time-uniform central limit theory and asymptotic
  confidence sequences", Annals of Statistics 52 (2024), eq. (5) and appendix on the choice of rho.
- Deng, Knoblich, Lu: "Applying the Delta Method in Metric Analytics", KDD 2018.
- Lindon, Malek: "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022 (for the share of units).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

# Where the interval is tightest. It is valid everywhere; this only chooses for whom it is shortest.
TIGHTEST_AT_UNITS = 1_000
# Per variant, before anything is said: the variance of fewer is a guess.
MIN_UNITS = 50
# Of double precision, over long sums.
ROUNDING = 1e-9
# Times the limit's odds: a variant that is barely worse takes long to be told, one that is broken must not.
ODDS_BETTED_ON = (1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 30.0)
# Strength of the belief that shares are as the weights say: a hundred units' worth.
SHARE_PRIOR = 100.0
# A split as uneven as this happens by chance once in a thousand experiments, looked at for ever.
SHARE_ALARM = 0.001


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one metric of one variant over its units: n = observations of a unit, y = their sum."""

    units: int = 0
    n: float = 0.0
    y: float = 0.0
    nn: float = 0.0
    yy: float = 0.0
    ny: float = 0.0

    @property
    def mean(self) -> float | None:
        """Per observation; None: there are none."""
        return self.y / self.n if self.n else None

    @property
    def opposite(self) -> Sums:
        """The same observations, each with its sign changed."""
        return replace(self, y=-self.y, ny=-self.ny)

    def scaled(self, factor: float) -> Sums:
        """The same observations, each times `factor`."""
        return replace(self, y=self.y * factor, yy=self.yy * factor * factor, ny=self.ny * factor)

    @property
    def variance(self) -> float:
        """Of the mean, times the number of units: each unit's part in it."""
        mean = self.mean
        if mean is None or self.units < 2:
            return math.inf
        per_unit = self.n / self.units
        residuals = max(0.0, self.yy - 2 * mean * self.ny + mean * mean * self.nn)
        return residuals / (self.units - 1) / (per_unit * per_unit)


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference (other less baseline) and how far it may be off, at any time."""

    difference: float
    half_width: float

    @property
    def excludes_zero(self) -> bool:
        return abs(self.difference) > self.half_width


def difference(baseline: Sums, other: Sums, alpha: float) -> Interval | None:
    """`alpha`: the chance of ever being wrong about it. None: too few units yet."""
    if min(baseline.units, other.units) < MIN_UNITS:
        return None
    before, after = baseline.mean, other.mean
    if before is None or after is None:
        return None
    if abs(after - before) <= ROUNDING * max(abs(before), abs(after)):
        after = before  # sums of the same figures in another order
    # As many as an even split would need to know as much: the smaller variant is what is known least of.
    units = 4 / (1 / baseline.units + 1 / other.units)
    pooled = _pooled(baseline, other)
    # Few units that happen to be alike say little of how much units differ: those of both are the least.
    variance = max(baseline.variance, pooled) / baseline.units + max(other.variance, pooled) / other.units
    return Interval(after - before, math.sqrt(variance * units) * width(units, alpha))


def _pooled(one: Sums, other: Sums) -> float:
    """Variance of the units of both, each around its own mean."""
    freedom = one.units + other.units - 2
    return ((one.units - 1) * one.variance + (other.units - 1) * other.variance) / freedom


def of_zero(sums: Sums, alpha: float) -> Interval | None:
    """How far a mean is from zero: of what is a difference already, one observation at a time."""
    mean = sums.mean
    if mean is None or sums.units < MIN_UNITS:
        return None
    return Interval(mean, math.sqrt(sums.variance) * width(sums.units, alpha))


def width(units: float, alpha: float) -> float:
    """Half of the interval of a mean of `units` with variance 1."""
    rho_squared = _rho_squared(alpha)
    scaled = units * rho_squared + 1
    return math.sqrt(2 * scaled / (units * units * rho_squared) * math.log(math.sqrt(scaled) / alpha))


def _rho_squared(alpha: float) -> float:
    odds = -2 * math.log(alpha)
    return (odds + math.log(odds + 1)) / TIGHTEST_AT_UNITS


def units_to_decide(interval: Interval, units: int) -> int | None:
    """In all, if the difference stays what it is; None: there is none to see."""
    if not interval.difference:
        return None
    return max(units, math.ceil(units * (interval.half_width / abs(interval.difference)) ** 2))


def rate_bets(limit: float) -> list[float]:
    """Stakes against "the rate of an event is at most `limit`", for `log_wealths` of all of which the mean is
    taken. Each is the best one against some rate above the limit; those are multiples of its odds.

    Waudby-Smith, Ramdas: "Estimating means of bounded random variables by betting", JRSS B 86 (2024).
    """
    odds = limit / (1 - limit)
    rates = [times * odds / (1 + times * odds) for times in ODDS_BETTED_ON]
    return [(rate - limit) / (limit * (1 - limit)) for rate in rates]


def evidence_above(log_wealths: Sequence[float]) -> float:
    """By how much the stakes have grown; above 1 / alpha the limit is exceeded, or chance less than alpha."""
    highest = max(log_wealths)
    if highest > 700:
        return math.inf
    return math.fsum(math.exp(one) for one in log_wealths) / len(log_wealths)


def share_p_value(units: Sequence[int], weights: Sequence[float]) -> float:
    """Of a split like this or a worse one at any time, if the weights were kept. 1: as expected."""
    total = sum(weights)
    shares = [weight / total for weight in weights]
    if any(count and not share for count, share in zip(units, shares, strict=True)):
        return 0.0
    used = [(count, share) for count, share in zip(units, shares, strict=True) if share]
    everyone = sum(count for count, _ in used)
    # The logarithm of the Bayes factor: Dirichlet around the shares against the shares themselves.
    log_factor = math.lgamma(SHARE_PRIOR) - math.lgamma(SHARE_PRIOR + everyone)
    for count, share in used:
        prior = SHARE_PRIOR * share
        log_factor += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return min(1.0, math.exp(-log_factor)) if log_factor > -700 else 1.0
