"""The fastest: estimates that follow real calls, a leader that does not flap, a recovery that is noticed."""

from __future__ import annotations

import itertools
import random

import pytest

from headgate.policy.choosing import STALE_SECONDS, TRY_SECONDS, Fastest
from headgate.policy.estimates import (
    CALLS_TO_KNOW,
    MAX_STEP,
    WAITING_RATIO,
    WAITING_STREAMS,
    Estimates,
)
from headgate.policy.nodes import Fixed, targets_of
from headgate.rules.money import Tokens
from proxy.config.model import Target
from proxy.dialects.asked import Asked
from tests.unit.proxy.asking import Clock, chat, facts
from tests.unit.proxy.targets import target

A, B = target("a"), target("b")
STREAM, WHOLE = chat(stream=True), chat()


class World:
    """Models with a speed of their own, called through a `fastest` node. No sleeping: the clock is moved."""

    def __init__(self, seed: int = 1) -> None:
        self.clock = Clock()
        self.estimates = Estimates(self.clock)
        self.random = random.Random(seed)
        self.seconds = {"a": 0.2, "b": 0.3}
        # The next call takes so many times as long.
        self.once: dict[str, float] = {}
        self.node = Fastest([Fixed((A,)), Fixed((B,))])

    def call(self, between_seconds: float = 0.1) -> str:
        asked = facts(STREAM, random=self.random.random, estimates=self.estimates)
        chosen = targets_of(self.node.plan(asked))[0]
        slow = self.once.pop(chosen.model, 1.0)
        self.answer(chosen, self.seconds[chosen.model] * slow * self.random.uniform(0.9, 1.1))
        self.clock.now += between_seconds
        return chosen.model

    def order(self) -> list[str]:
        asked = facts(STREAM, random=lambda: 0.9, estimates=self.estimates)
        return [one.model for one in targets_of(self.node.plan(asked))]

    def answer(self, chosen: Target, seconds: float) -> None:
        tokens = Tokens(10, output=20)
        self.estimates.answered("r", chosen, tokens, first_token_seconds=seconds, seconds=seconds * 2)


def test_everyone_is_measured_twice_and_then_the_fastest_gets_the_calls() -> None:
    world = World()
    calls = [world.call(between_seconds=TRY_SECONDS) for _ in range(4)]
    assert sorted(calls) == ["a", "a", "b", "b"]
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
        world.call(between_seconds=0.03)
    assert [world.call() for _ in range(100)].count("a") >= 95


@pytest.mark.parametrize("seed", range(10))
def test_a_slow_first_call_is_not_held_against_a_model(seed: int) -> None:
    world = World(seed)
    world.once["a"] = 10.0
    for _ in range(4):
        world.call(between_seconds=TRY_SECONDS)
    assert [world.call() for _ in range(30)].count("a") >= 28


@pytest.mark.parametrize("hanging", [A, B])
def test_one_that_never_answers_does_not_get_all_calls(hanging: Target) -> None:
    world = World()
    chosen = []
    for _ in range(300):
        asked = facts(STREAM, random=world.random.random, estimates=world.estimates)
        chosen.append(targets_of(world.node.plan(asked))[0])
        if chosen[-1] is not hanging:
            world.answer(chosen[-1], 0.2)
        world.clock.now += 0.03
    assert chosen[:60].count(hanging) <= 40, "until the other is known"
    assert chosen[60:].count(hanging) <= 10


@pytest.mark.parametrize("seed", range(10))
def test_one_outlier_does_not_move_the_traffic(seed: int) -> None:
    world = World(seed)
    for _ in range(50):
        world.call()
    world.once["a"] = 50.0
    assert [world.call() for _ in range(100)].count("a") >= 95


def test_two_that_are_equally_fast_do_not_flap() -> None:
    world = World()
    world.seconds = {"a": 0.2, "b": 0.2}
    for _ in range(20):
        world.call()
    calls = [world.call(between_seconds=0.01) for _ in range(200)]
    changes = sum(one != other for one, other in itertools.pairwise(calls))
    assert changes <= 12, "but for the few calls that explore"


def test_whole_answers_say_nothing_of_streams() -> None:
    """A whole answer takes as long as its last token: one average of both would be ruled by chance."""
    world = World()
    estimates = world.estimates

    def order(asked: Asked) -> str:
        return targets_of(world.node.plan(facts(asked, random=lambda: 0.9, estimates=estimates)))[0].model

    for one, first, whole in ((A, 0.1, 9.0), (B, 0.5, 2.0)) * CALLS_TO_KNOW:
        tokens = Tokens(1, output=100)
        estimates.answered("r", one, tokens, first_token_seconds=first, seconds=9.0)
        estimates.answered("r", one, tokens, first_token_seconds=None, seconds=whole)
    assert (order(STREAM), order(WHOLE)) == ("a", "b")
    slow = (estimates.slow_seconds(A, True), estimates.slow_seconds(A, False))
    assert slow == pytest.approx((0.1, 9.0), rel=0.1)


@pytest.mark.parametrize("seed", range(10))
def test_a_mix_of_streams_and_whole_answers_goes_to_the_faster(seed: int) -> None:
    world = World(seed)
    chosen = []
    for _ in range(600):
        stream = world.random.random() < 0.5
        asked = facts(STREAM if stream else WHOLE, random=world.random.random, estimates=world.estimates)
        target = targets_of(world.node.plan(asked))[0]
        first = world.seconds[target.model] * world.random.uniform(0.9, 1.1)
        tokens = Tokens(10, output=200)
        world.estimates.answered(
            "r", target, tokens, first_token_seconds=first if stream else None, seconds=first * 10
        )
        world.clock.now += 0.1
        chosen.append(target.model)
    assert chosen[100:].count("a") >= 475


def test_one_outlier_moves_nobody_s_estimate_beyond_a_step() -> None:
    world = World()
    for _ in range(20):
        world.answer(A, 0.2)
    world.answer(A, 1_000.0)
    found = world.estimates.seconds(facts(STREAM, estimates=world.estimates), A, "first_token")
    assert found is not None
    assert found <= 0.2 * MAX_STEP


def test_what_was_measured_long_ago_says_nothing() -> None:
    world = World()
    for _ in range(CALLS_TO_KNOW):
        world.answer(A, 0.2)
    assert world.estimates.seconds(facts(STREAM, estimates=world.estimates), A, "first_token") == 0.2
    world.clock.now += 3_600
    assert world.estimates.seconds(facts(STREAM, estimates=world.estimates), A, "first_token") is None


def test_exploring_is_rare_and_only_of_what_is_stale() -> None:
    world = World()
    for _ in range(10):
        world.call(between_seconds=0.0)
    unlucky = facts(STREAM, random=lambda: 0.0, estimates=world.estimates)
    assert targets_of(world.node.plan(unlucky))[0] is A, "measured a moment ago"
    world.clock.now += STALE_SECONDS + 1
    world.answer(A, 0.2)
    assert targets_of(world.node.plan(unlucky))[0] is B
    assert targets_of(world.node.plan(facts(STREAM, random=lambda: 0.5, estimates=world.estimates)))[0] is A


def test_the_measure_is_the_one_that_was_asked_for() -> None:
    estimates = Estimates(Clock())
    # a: quick to begin, slow to go on; b: the other way round.
    for one, first, whole in ((A, 0.1, 10.0), (B, 0.5, 1.0)) * CALLS_TO_KNOW:
        estimates.answered("r", one, Tokens(1, output=100), first_token_seconds=first, seconds=whole)
    order = {
        by: targets_of(
            Fastest([Fixed((A,)), Fixed((B,))], by=by).plan(
                facts(STREAM, random=lambda: 0.9, estimates=estimates)
            )
        )[0]
        for by in ("first_token", "throughput", "total")
    }
    assert order == {"first_token": A, "throughput": B, "total": B}


def test_a_leader_that_hangs_is_left_before_it_has_answered_anything() -> None:
    world = World()
    for _ in range(20):
        world.call()
    assert world.call() == "a"
    waiting = world.estimates.waiting(A)
    for number in range(WAITING_STREAMS):
        assert world.order()[0] == "a", "a few that wait a little are nothing"
        waiting[bytes([number])] = world.clock.now
    world.clock.now += 0.2 * WAITING_RATIO * 1.2
    assert world.order()[0] == "b"
    waiting.clear()
    assert world.order()[0] == "a", "they got their tokens, or its circuit decides"


def test_a_few_stragglers_among_many_streams_are_no_sign() -> None:
    world = World()
    for _ in range(20):
        world.call()
    waiting = world.estimates.waiting(A)
    for number in range(10):
        waiting[bytes([number])] = world.clock.now
    world.clock.now += 5.0
    for number in range(10, 40):
        waiting[bytes([number])] = world.clock.now
    assert world.order()[0] == "a"


def test_a_model_that_was_measured_long_ago_is_explored_and_not_tried_anew() -> None:
    world = World()
    for _ in range(CALLS_TO_KNOW):
        world.answer(A, 0.2)
        world.answer(B, 0.3)
    world.clock.now += 3_600
    assert [world.order()[0] for _ in range(10)] == ["a"] * 10


def test_a_whole_answer_takes_what_streams_say_of_its_beginning_and_its_tokens() -> None:
    """Many one-word answers would make every token look as slow as a beginning."""
    world = World()
    whole = facts(WHOLE, estimates=world.estimates)
    word, long = Tokens(10, output=2), Tokens(10, output=100)
    for _ in range(CALLS_TO_KNOW):
        world.estimates.answered("word", A, word, first_token_seconds=None, seconds=0.5)
        world.estimates.answered("r", A, long, first_token_seconds=0.4, seconds=1.4)
    expected = world.estimates.output_tokens(whole, A) * 0.01 + 0.4
    assert world.estimates.seconds(whole, A, "total") == pytest.approx(expected)
    world.clock.now += 600
    world.estimates.answered("r", A, long, first_token_seconds=None, seconds=9.0)
    slow = world.estimates.seconds(whole, A, "total")
    assert slow is not None
    assert slow > expected * 2
