"""What proxies tell each other: the newest figures win, one's own are never replaced by older ones."""

from __future__ import annotations

import math

import pytest

from headgate.policy.estimates import CALLS_TO_KNOW, Estimates
from headgate.policy.standing import (
    MAX_CIRCUITS,
    MAX_NAME_LENGTH,
    MAX_STANDINGS,
    NEWER_SECONDS,
    adopt,
    aged,
    measured,
    merged,
    sound,
)
from headgate.rules.money import Tokens
from headgate.v1 import config_pb2
from tests.unit.proxy.asking import Clock, chat, facts
from tests.unit.proxy.targets import target

A = target("a")


def learned(clock: Clock, seconds: float, route: str = "r", output: int = 20) -> Estimates:
    estimates = Estimates(clock)
    for _ in range(CALLS_TO_KNOW):
        estimates.answered(
            route, A, Tokens(10, output=output), first_token_seconds=seconds, seconds=seconds * 2
        )
    return estimates


def told(estimates: Estimates) -> config_pb2.Standings:
    return config_pb2.Standings(standings=measured(estimates).values())


def first_token(estimates: Estimates) -> float | None:
    return estimates.seconds(facts(chat(stream=True), estimates=estimates), A, "first_token")


def test_who_never_called_a_model_takes_what_others_measured() -> None:
    clock = Clock()
    other = Estimates(clock)
    adopt(other, told(learned(clock, 0.5, output=40)).standings)
    assert first_token(other) == 0.5
    assert other.output_tokens(facts(estimates=other), A) == pytest.approx(0.2 * 40 + 0.8 * 300)


def test_ones_own_figures_stay_unless_others_are_clearly_newer() -> None:
    clock = Clock()
    own = learned(clock, 0.1)
    adopt(own, told(learned(clock, 9.0)).standings)
    assert first_token(own) == 0.1
    clock.now += NEWER_SECONDS
    adopt(own, told(learned(clock, 9.0)).standings)
    assert first_token(own) == 9.0


def test_what_was_adopted_is_not_told_as_ones_own_until_it_is_measured_again() -> None:
    clock = Clock()
    other = Estimates(clock)
    adopt(other, told(learned(clock, 0.5)).standings)
    assert measured(other) == {}
    other.answered("r", A, Tokens(10, output=20), first_token_seconds=0.5, seconds=1)
    assert len(measured(other)) == 1


def test_of_several_views_the_newest_figures_and_the_worst_states_count() -> None:
    one, two = (config_pb2.Standing(tenant="t", provider="p", upstream_model="m") for _ in range(2))
    one.speeds.add(age_seconds=9, first_token_seconds=1)
    one.speeds.add(streamed=True, age_seconds=4, first_token_seconds=7)
    two.speeds.add(age_seconds=2, first_token_seconds=3)
    one.circuits.add(key="a", state=config_pb2.CIRCUIT_STATE_OPEN, open_seconds=4)
    two.circuits.add(key="a", state=config_pb2.CIRCUIT_STATE_CLOSED)
    rest = [config_pb2.RestingKey(provider="p", key="a", seconds=seconds) for seconds in (3, 8)]
    both = merged(
        config_pb2.Standings(standings=[standing], resting_keys=[resting])
        for standing, resting in zip((one, two), rest, strict=True)
    )
    (together,) = both.standings
    assert {speed.streamed: speed.first_token_seconds for speed in together.speeds} == {False: 3, True: 7}
    assert [circuit.state for circuit in together.circuits] == [config_pb2.CIRCUIT_STATE_OPEN]
    assert [resting.seconds for resting in both.resting_keys] == [8]


def test_later_figures_are_older_circuits_half_open_and_keys_rested() -> None:
    standing = config_pb2.Standing(provider="p", upstream_model="m")
    standing.speeds.add(age_seconds=1)
    standing.circuits.add(key="a", state=config_pb2.CIRCUIT_STATE_OPEN, open_seconds=2)
    resting = [config_pb2.RestingKey(key=name, seconds=seconds) for name, seconds in (("x", 2), ("y", 9))]
    later = aged(config_pb2.Standings(standings=[standing], resting_keys=resting), 3)
    assert later.standings[0].speeds[0].age_seconds == 4
    assert later.standings[0].circuits[0].state == config_pb2.CIRCUIT_STATE_HALF_OPEN
    assert [(rest.key, rest.seconds) for rest in later.resting_keys] == [("y", 6)]


def test_a_model_that_was_never_measured_says_nothing_of_speed() -> None:
    estimates = Estimates(Clock())
    adopt(estimates, [config_pb2.Standing(tenant="default", provider="openai", upstream_model="a")])
    assert first_token(estimates) is None


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf, -1.0, 1e300])
def test_figures_that_cannot_be_mislead_nobody(nonsense: float) -> None:
    told_me = config_pb2.Standings()
    tenant, provider, model = A.provider.tenant, A.provider.name, A.upstream_model
    one = told_me.standings.add(tenant=tenant, provider=provider, upstream_model=model, cached_share=nonsense)
    one.speeds.add(streamed=True, first_token_seconds=nonsense, measurements=9)
    one.speeds.add(age_seconds=nonsense, measurements=9)
    one.lengths.add(output_tokens=nonsense, answers=1_000)
    one.circuits.add(key="k", state=config_pb2.CIRCUIT_STATE_OPEN, open_seconds=nonsense)
    told_me.resting_keys.add(tenant=tenant, provider=provider, key="k", seconds=nonsense)
    kept = sound(told_me)
    assert not kept.resting_keys
    assert not kept.standings[0].circuits
    estimates = Estimates(Clock())
    adopt(estimates, kept.standings)
    assert first_token(estimates) is None
    assert estimates.output_tokens(facts(estimates=estimates), A) == 300
    assert estimates.cost_picousd(facts(estimates=estimates), A) is None, "unpriced, and no error"


def test_neither_many_nor_long_names_nor_control_characters_are_taken() -> None:
    many = config_pb2.Standings()
    for number in range(MAX_STANDINGS + 50):
        one = many.standings.add(tenant="t", provider=f"p{number}", upstream_model="m")
        for circuit in range(MAX_CIRCUITS + 1 if not number else 0):
            one.circuits.add(key=f"k{circuit}")
    kept = sound(many)
    assert len(kept.standings) == MAX_STANDINGS
    assert len(kept.standings[0].circuits) == MAX_CIRCUITS
    assert len(merged([kept, sound(config_pb2.Standings(standings=many.standings[50:]))]).standings) == 1_000
    odd = config_pb2.Standings()
    for name in ("x" * (MAX_NAME_LENGTH + 1), "a\x1b[2J", "a\nb"):
        odd.standings.add(tenant="t", provider=name, upstream_model="m")
        odd.resting_keys.add(tenant="t", provider="p", key=name, seconds=1)
    assert sound(odd) == config_pb2.Standings()


def test_what_is_sound_stays_as_it_is() -> None:
    reported = told(learned(Clock(), 0.5))
    reported.standings[0].circuits.add(key="k", state=config_pb2.CIRCUIT_STATE_OPEN, open_seconds=3)
    reported.resting_keys.add(tenant="t", provider="p", key="k", seconds=1, reason="rate_limited")
    assert sound(reported) == reported
