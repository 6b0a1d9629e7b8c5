"""The fastest: estimates that follow real calls, a leader that does not flap, a recovery that is noticed."""

from __future__ import annotations

import itertools
import random

import pytest

from headgate.policy.choosing import STALE_SECONDS, Fastest
from headgate.policy.estimates import MAX_STEP, Estimates
from headgate.policy.nodes import Fixed, targets_of
from headgate.rules.money import Tokens
from proxy.config.model import Target
from tests.unit.proxy.asking import Clock, facts
from tests.unit.proxy.targets import target

A, B = target("a"), target("b")


class World:
    """Models with a speed of their own, called through a `fastest` node. No sleeping: the clock is moved."""

    def __init__(self, seed: int = 1) -> None:
        self.clock = Clock()
        self.estimates = Estimates(self.clock)
        self.random = random.Random(seed)
        self.seconds = {"a": 0.2, "b": 0.3}
        self.node = Fastest([Fixed((A,)), Fixed((B,))])

    def call(self, between_seconds: float = 0.1) -> str:
        asked = facts(random=self.random.random, estimates=self.estimates)
        chosen = targets_of(self.node.plan(asked))[0]
        self.answer(chosen, self.seconds[chosen.model] * self.random.uniform(0.9, 1.1))
        self.clock.now += between_seconds
        return chosen.model

    def answer(self, chosen: Target, seconds: float) -> None:
        tokens = Tokens(10, output=20)
        self.estimates.answered("r", chosen, tokens, first_token_seconds=seconds, seconds=seconds * 2)


def test_everyone_is_measured_once_and_then_the_fastest_gets_the_calls() -> None:
    world = World()
    assert {world.call(), world.call()} == {"a", "b"}
    assert [world.call() for _ in range(30)].count("a") >= 29


@pytest.mark.parametrize("seed", range(10))
def test_when_a_model_slows_five_times_the_traffic_moves_within_thirty_calls(seed: int) -> None:
    world = World(seed)
    for _ in range(50):
        world.call()
    world.seconds["a"] = 1.0
    for _ in range(30):
        world.call()
    assert [world.call() for _ in range(100)].count("b") >= 95


@pytest.mark.parametrize("seed", range(10))
def test_a_recovered_model_is_noticed_and_gets_its_traffic_back(seed: int) -> None:
    world = World(seed)
    world.seconds["a"] = 1.0
    for _ in range(50):
        world.call()
    world.seconds["a"] = 0.1
    for _ in range(1_500):
        world.call(between_seconds=0.5)
    assert [world.call() for _ in range(100)].count("a") >= 95


def test_two_that_are_equally_fast_do_not_flap() -> None:
    world = World()
    world.seconds = {"a": 0.2, "b": 0.2}
    for _ in range(20):
        world.call()
    calls = [world.call(between_seconds=0.01) for _ in range(200)]
    changes = sum(one != other for one, other in itertools.pairwise(calls))
    assert changes <= 12, "but for the few calls that explore"


def test_one_outlier_moves_nobody_s_estimate_beyond_a_step() -> None:
    world = World()
    for _ in range(20):
        world.answer(A, 0.2)
    world.answer(A, 1_000.0)
    found = world.estimates.seconds(facts(estimates=world.estimates), A, "first_token")
    assert found is not None
    assert found <= 0.2 * MAX_STEP


def test_what_was_measured_long_ago_says_nothing() -> None:
    world = World()
    world.answer(A, 0.2)
    world.clock.now += 3_600
    assert world.estimates.seconds(facts(estimates=world.estimates), A, "first_token") is None


def test_exploring_is_rare_and_only_of_what_is_stale() -> None:
    world = World()
    for _ in range(10):
        world.call(between_seconds=0.0)
    unlucky = facts(random=lambda: 0.0, estimates=world.estimates)
    assert targets_of(world.node.plan(unlucky))[0] is A, "measured a moment ago"
    world.clock.now += STALE_SECONDS + 1
    world.answer(A, 0.2)
    assert targets_of(world.node.plan(unlucky))[0] is B
    assert targets_of(world.node.plan(facts(random=lambda: 0.5, estimates=world.estimates)))[0] is A


def test_the_measure_is_the_one_that_was_asked_for() -> None:
    estimates = Estimates(Clock())
    # a: quick to begin, slow to go on; b: the other way round.
    for one, first, whole in ((A, 0.1, 10.0), (B, 0.5, 1.0)):
        estimates.answered("r", one, Tokens(1, output=100), first_token_seconds=first, seconds=whole)
    order = {
        by: targets_of(
            Fastest([Fixed((A,)), Fixed((B,))], by=by).plan(facts(random=lambda: 0.9, estimates=estimates))
        )[0]
        for by in ("first_token", "throughput", "total")
    }
    assert order == {"first_token": A, "throughput": B, "total": B}
