"""What the background may cost in a day: here and elsewhere, under way and done, until midnight in UTC."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headgate.v1 import config_pb2
from proxy.judging.budget import SECONDS_PER_DAY, Budget

PURSE = ("acme", "trial", "")
NOON = 20_000 * SECONDS_PER_DAY + SECONDS_PER_DAY / 2


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> Budget:
    return Budget(clock)


def told(picousd: int, day: int = 20_000, purse: tuple[str, str, str] = PURSE) -> config_pb2.Spending:
    tenant, experiment, variant = purse
    spent = config_pb2.Spent(tenant=tenant, experiment=experiment, variant=variant, picousd=picousd)
    return config_pb2.Spending(day=day, spent=[spent])


def spend(budget: Budget, cost: int, limit: int = 100) -> bool:
    taken = budget.take(PURSE, limit, cost)
    if taken:
        budget.settle(PURSE, cost, cost)
    return taken


def test_it_is_spent_up_to_the_limit_and_no_further(budget: Budget) -> None:
    assert [spend(budget, 30) for _ in range(5)] == [True, True, True, False, False]
    assert spend(budget, 10), "what still fits is spent"


def test_what_is_under_way_is_set_aside(budget: Budget) -> None:
    assert [budget.take(PURSE, 100, 40) for _ in range(3)] == [True, True, False]
    budget.settle(PURSE, 40, 0)
    assert budget.take(PURSE, 100, 40), "it came to nothing"


def test_it_may_go_over_by_what_one_costs_more_than_expected(budget: Budget) -> None:
    assert budget.take(PURSE, 100, 10)
    budget.settle(PURSE, 10, 150)
    assert not budget.take(PURSE, 100, 1)


def test_without_a_price_nothing_is_spent_that_has_a_limit(budget: Budget) -> None:
    assert not budget.take(PURSE, 100, None)
    assert budget.take(PURSE, None, None)


@pytest.mark.parametrize("expected", [None, 0, 7])
def test_several_under_way_at_once_all_come_to_their_end(budget: Budget, expected: int | None) -> None:
    """Also where nothing is set aside for them, or only for one."""
    for amount in (expected, None, 0):
        assert budget.take(PURSE, None, amount)
    for amount in (expected, None, 0):
        budget.settle(PURSE, amount, None)
    assert budget.take(PURSE, 100, 100)


def test_what_other_proxies_spent_counts_and_nothing_counts_twice(budget: Budget) -> None:
    assert spend(budget, 30)
    budget.adopt(told(30))  # that was this one
    assert spend(budget, 30)
    budget.adopt(told(90))
    assert not spend(budget, 11)
    assert spend(budget, 10)


def test_each_purse_has_its_own_limit(budget: Budget) -> None:
    budget.adopt(told(100, purse=("acme", "trial", "shadow")))
    assert spend(budget, 100)
    assert budget.take(("other", "trial", ""), 100, 100)
    assert not budget.take(("acme", "trial", "shadow"), 100, 1)


def test_a_new_day_begins_with_nothing_spent(budget: Budget, clock: Clock) -> None:
    assert spend(budget, 100)
    budget.adopt(told(100))
    clock.now = 20_001 * SECONDS_PER_DAY - 1
    assert not spend(budget, 1)
    clock.now += 1
    assert spend(budget, 100)
    assert not spend(budget, 1)


def test_what_is_told_of_another_day_does_not_count(budget: Budget, clock: Clock) -> None:
    budget.adopt(told(100, day=19_999))
    assert spend(budget, 50)
    clock.now += SECONDS_PER_DAY
    budget.adopt(told(100, day=20_000))
    assert spend(budget, 100)


def test_what_was_under_way_at_midnight_is_still_set_aside(budget: Budget, clock: Clock) -> None:
    assert budget.take(PURSE, 100, 60)
    clock.now += SECONDS_PER_DAY
    assert not budget.take(PURSE, 100, 60)
    budget.settle(PURSE, 60, 60)
    assert not budget.take(PURSE, 100, 60), "it is paid on the day on which it ended"
    assert budget.take(PURSE, 100, 40)


class SpentAtOnce(RuleBasedStateMachine):
    """However many are under way: what was spent and is expected never exceeds the limit."""

    LIMIT = 100

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget(Clock())
        self.under_way: list[int] = []
        self.spent = 0

    @rule(expected=st.integers(0, 60))
    def take(self, expected: int) -> None:
        fits = self.spent + sum(self.under_way) + expected <= self.LIMIT
        assert self.budget.take(PURSE, self.LIMIT, expected) == fits
        if fits:
            self.under_way.append(expected)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        expected = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        cost = data.draw(st.integers(0, expected))
        self.budget.settle(PURSE, expected, cost)
        self.spent += cost

    @invariant()
    def keeps_the_limit(self) -> None:
        assert self.spent + sum(self.under_way) <= self.LIMIT


TestSpentAtOnce = SpentAtOnce.TestCase
