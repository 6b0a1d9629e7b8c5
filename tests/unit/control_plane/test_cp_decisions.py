"""When an experiment is over: what wins, what never does, and that rules are kept."""

from __future__ import annotations

import random

import pytest

from control_plane.experiments.decisions import Rule, decide, losers, rate_is_above
from control_plane.experiments.statistics import MIN_UNITS, Sums, difference, rate_bets


def sums(values: list[float]) -> Sums:
    """Of units with one observation each."""
    squares = sum(value * value for value in values)
    return Sums(len(values), len(values), sum(values), len(values), squares, sum(values))


def drawn(mean: float, count: int, seed: int) -> Sums:
    chance = random.Random(seed)
    return sums([min(1.0, max(0.0, chance.gauss(mean, 0.2))) for _ in range(count)])


def test_the_better_one_wins_wherever_it_stands_and_less_may_be_better() -> None:
    low, high = drawn(0.4, 400, 1), drawn(0.6, 400, 2)
    for order, best in (([low, high], 1), ([high, low], 0)):
        found = decide(order, Rule())
        assert found is not None
        assert (found.winner, found.by is not None) == (best, True)
        other = decide(order, Rule(more_is_better=False))
        assert other is not None
        assert other.winner == 1 - best


def test_nothing_is_decided_of_too_few_units() -> None:
    few = drawn(0.1, MIN_UNITS - 1, 1), drawn(0.9, MIN_UNITS - 1, 2)
    assert decide(few, Rule()) is None
    enough = drawn(0.1, 100, 1), drawn(0.9, 100, 2)
    assert decide(enough, Rule()) is not None
    assert decide(enough, Rule(min_units=101)) is None


def test_without_a_difference_the_first_one_stays_at_the_end() -> None:
    alike = drawn(0.5, 200, 1), drawn(0.5, 200, 1)
    assert decide(alike, Rule()) is None
    found = decide(alike, Rule(max_units=200))
    assert found is not None
    assert (found.winner, found.by) == (0, None)


def test_a_judge_that_only_ties_decides_nothing() -> None:
    ties = sums([0.0] * 500)
    assert decide([Sums(), ties], Rule(), preferences=True) is None


@pytest.mark.parametrize(("liked", "winner"), [(0.5, 1), (-0.5, 0)])
def test_preferences_are_beside_the_first_one(liked: float, winner: int) -> None:
    chance = random.Random(3)
    told = sums([1.0 if chance.random() < (1 + liked) / 2 else -1.0 for _ in range(300)])
    found = decide([Sums(), told], Rule(), preferences=True)
    assert found is not None
    assert found.winner == winner


def test_the_winner_is_better_than_each_of_the_others() -> None:
    one, two, three = drawn(0.4, 300, 1), drawn(0.6, 300, 2), drawn(0.6, 300, 2)
    assert decide([one, two, three], Rule()) is None
    found = decide([one, two, drawn(0.8, 300, 4)], Rule())
    assert found is not None
    assert (found.winner, found.next_best) == (2, 1)


def test_who_is_surely_worse_than_another_is_a_loser_and_who_is_near_the_best_is_not() -> None:
    low, one, two = drawn(0.4, 300, 1), drawn(0.6, 300, 2), drawn(0.62, 300, 3)
    assert decide([one, low, two], Rule()) is None, "two are still alike"
    (lost,) = losers([one, low, two], Rule())
    assert (lost.loser, lost.to) == (1, 2)
    assert lost.by.difference > lost.by.half_width
    up_side_down = losers([one, low, two], Rule(more_is_better=False))
    assert [(lost.loser, lost.to) for lost in up_side_down] == [(0, 1), (2, 1)]


def test_nobody_loses_of_too_few_units_however_many_the_others_have() -> None:
    few, many, better = drawn(0.1, MIN_UNITS - 1, 1), drawn(0.4, 300, 2), drawn(0.6, 300, 3)
    assert [lost.loser for lost in losers([few, many, better], Rule())] == [1]
    assert [lost.loser for lost in losers([few, many, better], Rule(min_units=301))] == []


def test_by_preferences_the_first_one_never_loses_for_all_are_compared_with_it() -> None:
    liked, disliked = sums([1.0, 0.0, 1.0] * 100), sums([-1.0, 0.0, -1.0] * 100)
    found = losers([Sums(), liked, disliked], Rule(), preferences=True)
    assert [(lost.loser, lost.to) for lost in found] == [(2, 1)]
    assert [lost.loser for lost in losers([Sums(), disliked], Rule(), preferences=True)] == [1]
    assert losers([Sums(), liked], Rule(), preferences=True) == []


def test_the_chance_of_being_wrong_stays_shared_among_all_that_it_began_with() -> None:
    pair = [drawn(0.5, 200, 1), drawn(0.6, 200, 2)]
    assert decide(pair, Rule()) is not None
    assert decide(pair, Rule(variants=8)) is None
    assert losers(pair, Rule())
    assert not losers(pair, Rule(variants=8))


def test_few_units_that_happen_to_be_alike_are_no_certainty() -> None:
    """At 9 : 1: no error in 50 units beside 3 % in 450 is no difference."""
    many = sums([1.0 if number % 33 == 0 else 0.0 for number in range(450)])
    found = difference(many, sums([0.0] * 50), 0.05)
    assert found is not None
    assert not found.excludes_zero


def test_a_rate_above_its_limit_is_told_soon_and_one_below_it_never() -> None:
    from math import log

    def wealths(errors: list[float], limit: float = 0.05) -> list[float]:
        return [sum(log(1 + stake * (error - limit)) for error in errors) for stake in rate_bets(limit)]

    assert rate_is_above(wealths([1.0, 0.0, 0.0, 0.0, 0.0] * 20))
    assert not rate_is_above(wealths([0.0] * 1_000))
    assert not rate_is_above(wealths([1.0, *[0.0] * 24] * 100))
    assert not rate_is_above([])
