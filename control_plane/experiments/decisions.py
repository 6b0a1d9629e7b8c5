"""When an experiment is over, and when a variant is too bad to go on. Pure: figures in, a decision out.

All intervals hold at every look, so deciding as soon as one can is no mistake. With several variants the
chance of being wrong is shared among all pairs: the winner must be better than each of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from control_plane.experiments.statistics import (
    MIN_UNITS,
    Interval,
    Sums,
    difference,
    evidence_above,
    of_zero,
)

DEFAULT_CONFIDENCE = 0.95
# Of stopping a variant that keeps within a guardrail, at any time; for each guardrail and variant.
GUARD_ALPHA = 0.01


@dataclass(frozen=True, slots=True)
class Rule:
    confidence: float = DEFAULT_CONFIDENCE
    min_units: int = MIN_UNITS
    # 0: it goes on until there is a winner.
    max_units: int = 0
    more_is_better: bool = True
    # How many it began with: the chance of being wrong is shared among all their pairs, also when some of
    # them are out. At least as many as are left.
    variants: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """`winner`: position of a variant. `by`: its difference to the next best; None: nobody is better."""

    winner: int
    by: Interval | None = None
    next_best: int = 0


@dataclass(frozen=True, slots=True)
class Loss:
    """`loser`, `to`: positions of variants; `by`: how much better the latter is."""

    loser: int
    to: int
    by: Interval


# (one, other) → how much more the other has; None: too few units yet.
Compare = Callable[[int, int], "Interval | None"]


def decide(sums: Sequence[Sums], rule: Rule, *, preferences: bool = False) -> Decision | None:
    """None: not yet. `sums`: of each variant that is left, the first one first.

    `preferences`: each variant's sums are of its being liked better (1) or less (-1) than the first, whose
    own are empty.
    """
    if len(sums) < 2:
        return None
    counted = sums[1:] if preferences else sums
    units = min(one.units for one in counted)
    if units < max(rule.min_units, MIN_UNITS):
        return None
    best = _best(len(sums), _comparing(sums, rule, preferences))
    if best is not None:
        return best
    if not rule.max_units or units < rule.max_units:
        return None
    # Whoever has nothing to show, such as a cost per success without one, is not who stays.
    shown = (number for number, one in enumerate(sums) if preferences or one.mean is not None)
    return Decision(next(shown, 0))


def losers(sums: Sequence[Sums], rule: Rule, *, preferences: bool = False) -> list[Loss]:
    """Who is surely worse than another one, of those with units enough; the first one never by preferences.

    Successive elimination: the shares of those that are left keep their proportions, so that no day with
    other traffic than the one before is mixed into a difference, as where shares follow the figures.
    Even-Dar, Mannor, Mansour: "Action Elimination and Stopping Conditions", JMLR 7 (2006).
    """
    if len(sums) < 2:
        return []
    compared = _comparing(sums, rule, preferences)
    found = []
    for loser, others in enumerate(sums):
        if preferences and not loser:
            continue  # what all are compared with
        surest: Loss | None = None
        for other, theirs in enumerate(sums):
            counted = others.units if preferences and not other else min(others.units, theirs.units)
            if other == loser or counted < max(rule.min_units, MIN_UNITS):
                continue
            by = compared(loser, other)
            if by is None or by.difference <= by.half_width:
                continue
            if surest is None or by.difference > surest.by.difference:
                surest = Loss(loser, other, by)
        if surest is not None:
            found.append(surest)
    return found


def _comparing(sums: Sequence[Sums], rule: Rule, preferences: bool) -> Compare:
    began_with = max(len(sums), rule.variants)
    alpha = (1 - rule.confidence) / (began_with * (began_with - 1) // 2)

    def compared(one: int, other: int) -> Interval | None:
        if not preferences:
            found = difference(sums[one], sums[other], alpha)
        elif not one:
            found = of_zero(sums[other], alpha)
        elif not other:
            found = of_zero(sums[one].opposite, alpha)
        else:
            found = difference(sums[one], sums[other], alpha)
        if found is None or rule.more_is_better:
            return found
        return Interval(-found.difference, found.half_width)

    return compared


def _best(count: int, compared: Compare) -> Decision | None:
    """Whoever is surely better than each of the others."""
    for candidate in range(count):
        nearest: tuple[Interval, int] | None = None
        for other in range(count):
            if other == candidate:
                continue
            found = compared(other, candidate)
            if found is None or found.difference <= found.half_width:
                break
            if nearest is None or found.difference < nearest[0].difference:
                nearest = found, other
        else:
            if nearest is not None:
                return Decision(candidate, nearest[0], nearest[1])
    return None


def rate_is_above(log_wealths: Sequence[float]) -> bool:
    """Of the bets against a rate's limit (`rate_bets`)."""
    return bool(log_wealths) and evidence_above(log_wealths) >= 1 / GUARD_ALPHA


def ratio_is_above(first: Sums, other: Sums, ratio: float) -> bool:
    """Whether a variant's figure is surely more than `ratio` times the first one's."""
    found = difference(first.scaled(ratio), other, 2 * GUARD_ALPHA)
    return found is not None and found.difference > found.half_width
