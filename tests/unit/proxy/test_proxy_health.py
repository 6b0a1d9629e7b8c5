"""Circuits: opened by failures, half-open after a while, closed by a success; keys apart from each other."""

from __future__ import annotations

from dataclasses import replace

from headgate.rules.credentials import Secret
from proxy.config.model import FAILURES_TO_OPEN, ProviderKey
from proxy.policy.health import MAX_OPEN_SECONDS, PROBE_SECONDS, Health
from tests.unit.proxy.asking import Clock
from tests.unit.proxy.targets import target

A, B = target("a"), target("b")
ONE, TWO = ProviderKey("one", Secret("x")), ProviderKey("two", Secret("y"))
PAIR = replace(A, provider=replace(A.provider, keys=(ONE, TWO)))


def opened(clock: Clock) -> Health:
    health = Health(clock, lambda: 1.0)
    for _ in range(FAILURES_TO_OPEN):
        health.failed(A, None)
    return health


def test_a_few_failures_in_a_row_open_it_and_others_are_not_touched() -> None:
    health = Health(Clock(), lambda: 1.0)
    for _ in range(FAILURES_TO_OPEN - 1):
        health.failed(A, None)
        assert health.passes(A)
    health.failed(A, None)
    assert not health.passes(A)
    assert health.passes(B)
    assert (health.state(A), health.state(B)) == ("open", "closed")


def test_a_success_in_between_keeps_it_closed() -> None:
    health = Health(Clock(), lambda: 1.0)
    for _ in range(2):
        for _ in range(FAILURES_TO_OPEN - 1):
            health.failed(A, None)
        health.succeeded(A, None)
    assert health.passes(A)


def test_it_lets_one_probe_through_after_a_while() -> None:
    clock = Clock()
    health = opened(clock)
    clock.now += 1.01
    assert health.passes(A)
    health.tried(A, None)
    assert not health.passes(A), "one at a time"
    health.succeeded(A, None)
    assert health.passes(A)
    assert health.state(A) == "closed"


def test_a_stream_that_begins_lets_others_call_and_forgets_no_failure_until_it_ends_well() -> None:
    clock = Clock()
    health = opened(clock)
    clock.now += 1.01
    health.tried(A, None)
    health.began(A, None)
    assert health.passes(A)
    health.failed(A, None)
    assert not health.passes(A), "it broke off: one more in the row"
    clock.now += 1.5
    assert not health.passes(A), "the wait is doubled as after any failed probe"
    clock.now += 1
    health.began(A, None)
    health.succeeded(A, None)
    health.failed(A, None)
    assert health.passes(A)


def test_a_failed_probe_doubles_the_wait_up_to_a_limit() -> None:
    clock = Clock()
    health = opened(clock)
    waits = []
    for _ in range(8):
        begin = clock.now
        while not health.passes(A):
            clock.now += 0.1
        waits.append(clock.now - begin)
        health.tried(A, None)
        health.failed(A, None)
    assert waits[0] < waits[1] < waits[2] < waits[3]
    assert max(waits) <= MAX_OPEN_SECONDS + 0.2


def test_a_probe_that_never_comes_back_does_not_block_the_next() -> None:
    clock = Clock()
    health = opened(clock)
    clock.now += 1.01
    health.tried(A, None)
    clock.now += PROBE_SECONDS + 1
    assert health.passes(A)


def test_calls_that_were_under_way_when_it_opened_do_not_keep_it_open() -> None:
    clock = Clock()
    health = opened(clock)
    clock.now += 0.5
    for _ in range(50):
        health.failed(A, None)
    clock.now += 0.51
    assert health.passes(A), "a second after it opened"


def test_a_call_that_had_no_other_way_while_it_was_open_is_no_probe() -> None:
    clock = Clock()
    health = opened(clock)
    health.tried(A, None)
    clock.now += 1.01
    assert health.passes(A)


def test_a_probe_that_lost_a_race_lets_the_next_one_through() -> None:
    clock = Clock()
    health = opened(clock)
    clock.now += 1.01
    health.tried(A, None)
    assert not health.passes(A)
    health.stopped(A, None)
    assert health.passes(A)
    assert health.state(A) == "half_open"


def test_half_of_the_calls_failing_opens_it_too() -> None:
    health = Health(Clock(), lambda: 1.0)
    for _ in range(40):
        health.failed(A, None)
        health.failed(A, None)
        if not health.passes(A):
            return
        health.succeeded(A, None)
    raise AssertionError("two failures of three calls, and it never opened")


def test_a_failing_key_does_not_take_the_other_with_it() -> None:
    health = Health(Clock(), lambda: 1.0)
    for _ in range(FAILURES_TO_OPEN):
        health.failed(PAIR, ONE)
    assert health.passes(PAIR)
    assert not health.passes_key(PAIR, ONE)
    assert health.passes_key(PAIR, TWO)
    assert health.state(PAIR) == "degraded"


def test_a_provider_without_circuits_is_always_tried_in_its_turn() -> None:
    health = Health(Clock(), lambda: 1.0)
    without = replace(A, provider=replace(A.provider, circuit_failures=0))
    for _ in range(100):
        health.failed(without, None)
    assert health.passes(without)
    patient = replace(A, provider=replace(A.provider, circuit_failures=5))
    for _ in range(4):
        health.failed(patient, None)
    assert health.passes(patient)
    health.failed(patient, None)
    assert not health.passes(patient)
