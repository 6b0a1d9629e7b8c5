"""Intervals that hold at every look: false alarms are rare however often one peeks, differences are found."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from control_plane.experiments.statistics import (
    MIN_UNITS,
    SHARE_ALARM,
    Interval,
    Sums,
    difference,
    share_p_value,
    units_to_decide,
    width,
)

ALPHA = 0.05


class Growing:
    """Sums of units that come one by one."""

    def __init__(self) -> None:
        self.units = 0
        self.n = self.y = self.nn = self.yy = self.ny = 0.0

    def add(self, y: float, n: float = 1.0) -> Sums:
        self.units += 1
        self.n += n
        self.y += y
        self.nn += n * n
        self.yy += y * y
        self.ny += n * y
        return Sums(self.units, self.n, self.y, self.nn, self.yy, self.ny)


Draw = Callable[[], float]


def decided_at(draw_a: Draw, draw_b: Draw, units: int) -> tuple[int, float] | None:
    """(units of each arm, difference) at the first look that excludes zero; there is one after every unit."""
    a, b = Growing(), Growing()
    for count in range(1, units + 1):
        found = difference(a.add(draw_a()), b.add(draw_b()), ALPHA)
        if found is not None and found.excludes_zero:
            return count, found.difference
    return None


def test_two_equal_variants_are_rarely_told_apart_however_often_one_looks() -> None:
    rng = random.Random(1)
    runs = 1_000
    alarms = sum(
        decided_at(lambda: rng.gauss(0.6, 0.25), lambda: rng.gauss(0.6, 0.25), 600) is not None
        for _ in range(runs)
    )
    assert alarms <= runs * ALPHA


@pytest.mark.parametrize(("effect", "units"), [(0.1, 800), (0.2, 300)])
def test_a_real_difference_is_found_and_in_the_right_direction(effect: float, units: int) -> None:
    rng = random.Random(2)
    for _ in range(30):
        found = decided_at(lambda: rng.gauss(0.5, 0.25), lambda: rng.gauss(0.5 + effect, 0.25), units)
        assert found is not None
        assert found[1] > 0


def test_calls_of_one_unit_are_one_observation() -> None:
    """Units with many calls that are all alike say no more than units with one call each."""
    rng = random.Random(3)
    many, one = Growing(), Growing()
    for _ in range(500):
        value = rng.gauss(1, 0.5)
        sums_many, sums_one = many.add(100 * value, 100), one.add(value)
    assert sums_many.mean == pytest.approx(sums_one.mean)
    assert sums_many.variance == pytest.approx(sums_one.variance)


def test_nothing_is_said_of_a_few_units() -> None:
    few, many = Growing(), Growing()
    for _ in range(MIN_UNITS - 1):
        sums_few = few.add(0.0)
    for _ in range(1_000):
        sums_many = many.add(1.0)
    assert difference(sums_few, sums_many, ALPHA) is None
    assert difference(Sums(), sums_many, ALPHA) is None


def test_the_interval_narrows_with_units_and_widens_with_confidence() -> None:
    widths = [width(units, ALPHA) for units in (100, 1_000, 10_000, 100_000)]
    assert widths == sorted(widths, reverse=True)
    assert width(1_000, 0.01) > width(1_000, 0.05)
    # The price of looking at any time: wider than a test at one fixed moment, by less than two.
    assert 1.96 < width(1_000, 0.05) * math.sqrt(1_000) < 2 * 1.96


def test_when_a_difference_will_be_decided_is_told_from_what_it_is_now() -> None:
    assert units_to_decide(Interval(0.1, 0.2), 500) == 2_000
    assert units_to_decide(Interval(0.3, 0.2), 500) == 500, "it is"
    assert units_to_decide(Interval(0.0, 0.2), 500) is None


def test_a_split_by_the_weights_is_no_alarm_at_any_time() -> None:
    rng = random.Random(4)
    alarms = 0
    for _ in range(50):
        counts = [0, 0]
        for _ in range(2_000):
            counts[rng.random() < 0.3] += 1
            if share_p_value(counts, [7, 3]) < SHARE_ALARM:
                alarms += 1
                break
    assert alarms <= 1


def test_a_split_that_is_off_is_an_alarm() -> None:
    assert share_p_value([5_000, 4_500], [1, 1]) < SHARE_ALARM
    assert share_p_value([500, 480], [1, 1]) > 0.1
    assert share_p_value([0, 3], [1, 0]) == 0.0, "a variant without weight has units"
    assert share_p_value([0, 0], [1, 1]) == 1.0
