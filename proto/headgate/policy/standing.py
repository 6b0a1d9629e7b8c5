"""How models stand, as proxies tell each other: out of estimates, into estimates, several views as one.

What was measured counts by its age, wherever it was measured; circuits are each proxy's own, and of several
views of one the worst is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from headgate.policy.candidate import CandidateKey
from headgate.policy.estimates import Estimates
from headgate.v1 import config_pb2

# Told at once; those measured last come first.
MAX_STANDINGS = 1_000
MAX_ROUTES = 50
# Names and figures beyond these are nonsense, from whomever they come.
MAX_NAME_LENGTH = 256
MAX_CIRCUITS = 100
MAX_SECONDS = 86_400.0
MAX_OUTPUT_TOKENS = 10_000_000.0
# What somebody else measured is taken if it is newer by this much.
NEWER_SECONDS = 5.0
_WORST = (
    config_pb2.CIRCUIT_STATE_OPEN,
    config_pb2.CIRCUIT_STATE_HALF_OPEN,
    config_pb2.CIRCUIT_STATE_CLOSED,
)


def key_of(standing: config_pb2.Standing) -> CandidateKey:
    return standing.tenant, standing.provider, standing.upstream_model


def measured(estimates: Estimates) -> dict[CandidateKey, config_pb2.Standing]:
    """What was measured here, without what was adopted."""
    now = estimates.clock()
    own = [(key, streamed, speed) for key, streamed, speed in estimates.speeds() if not speed.adopted]
    own.sort(key=lambda item: item[2].measured_at, reverse=True)
    told: dict[CandidateKey, config_pb2.Standing] = {}
    for key, streamed, speed in own:
        standing = told.get(key)
        if standing is None:
            if len(told) >= MAX_STANDINGS:
                continue
            tenant, provider, upstream_model = key
            standing = told[key] = config_pb2.Standing(
                tenant=tenant, provider=provider, upstream_model=upstream_model
            )
        standing.speeds.add(
            streamed=streamed,
            age_seconds=now - speed.measured_at,
            first_token_seconds=speed.first_token_seconds,
            seconds_per_token=speed.seconds_per_token,
            slow_seconds=speed.slow_seconds,
            measurements=speed.measurements,
        )
    for route, key, learned in estimates.learned():
        standing = told.get(key)
        if standing is None or learned.adopted or len(standing.lengths) > MAX_ROUTES:
            continue
        if not route:
            standing.cached_share = learned.cached_share
        standing.lengths.add(route=route, output_tokens=learned.output_tokens, answers=learned.answers)
    return told


def adopt(estimates: Estimates, standings: Iterable[config_pb2.Standing]) -> None:
    """Takes what is clearly newer than one's own."""
    now = estimates.clock()
    for standing in standings:
        key = key_of(standing)
        for told in standing.speeds:
            speed = estimates.speed_of(key, told.streamed)
            measured_at = now - told.age_seconds
            if speed.measurements and measured_at < speed.measured_at + NEWER_SECONDS:
                continue
            speed.first_token_seconds = told.first_token_seconds
            speed.seconds_per_token = told.seconds_per_token
            speed.slow_seconds = told.slow_seconds
            speed.measurements = max(1, told.measurements)
            # A clock that began lately: a time before it is still a time, and 0 is none.
            speed.measured_at = measured_at or -1.0
            speed.adopted = True
        for length in standing.lengths:
            learned = estimates.learned_of(key, length.route)
            if length.answers > learned.answers:
                learned.output_tokens, learned.answers = length.output_tokens, length.answers
                learned.adopted = True
                if not length.route:
                    learned.cached_share = standing.cached_share


def sound(told: config_pb2.Standings) -> config_pb2.Standings:
    """What can be true of what a proxy said: one must not be able to mislead the arithmetic of all."""
    kept = config_pb2.Standings()
    for one in told.standings[:MAX_STANDINGS]:
        if not _are_names(one.tenant, one.provider, one.upstream_model):
            continue
        standing = kept.standings.add(
            tenant=one.tenant,
            provider=one.provider,
            upstream_model=one.upstream_model,
            cached_share=one.cached_share if _within(1.0, one.cached_share) else 0.0,
            circuits=[
                circuit
                for circuit in one.circuits[:MAX_CIRCUITS]
                if _within(MAX_SECONDS, circuit.open_seconds) and _are_names(circuit.key)
            ],
            lengths=[
                length
                for length in one.lengths[: MAX_ROUTES + 1]
                if _within(MAX_OUTPUT_TOKENS, length.output_tokens) and _are_names(length.route)
            ],
        )
        standing.speeds.extend(
            speed
            for speed in one.speeds[:2]  # of streams, and of whole answers
            if _within(
                MAX_SECONDS,
                speed.age_seconds,
                speed.first_token_seconds,
                speed.seconds_per_token,
                speed.slow_seconds,
            )
        )
    kept.resting_keys.extend(
        rest
        for rest in told.resting_keys[:MAX_STANDINGS]
        if _within(MAX_SECONDS, rest.seconds)
        and _are_names(rest.tenant, rest.provider, rest.key, rest.reason)
    )
    return kept


def _are_names(*names: str) -> bool:
    return all(len(name) <= MAX_NAME_LENGTH and name.isprintable() for name in names)


def _within(most: float, *figures: float) -> bool:
    """False for what is no number, too."""
    return all(0.0 <= figure <= most for figure in figures)


def merged(views: Iterable[config_pb2.Standings]) -> config_pb2.Standings:
    """Of each model the newest figures, of each circuit the worst state, of each key the longest rest."""
    newest: dict[CandidateKey, config_pb2.Standing] = {}
    speeds: dict[CandidateKey, dict[bool, config_pb2.Speed]] = {}
    circuits: dict[CandidateKey, dict[str, config_pb2.Circuit]] = {}
    resting: dict[tuple[str, str, str], config_pb2.RestingKey] = {}
    for view in views:
        for standing in view.standings:
            key = key_of(standing)
            for circuit in standing.circuits:
                known = circuits.setdefault(key, {}).get(circuit.key)
                if known is None or _badness(circuit) < _badness(known):
                    circuits[key][circuit.key] = circuit
            for speed in standing.speeds:
                before = speeds.setdefault(key, {}).get(speed.streamed)
                if before is None or speed.age_seconds < before.age_seconds:
                    speeds[key][speed.streamed] = speed
            if key not in newest or _age(standing) < _age(newest[key]):
                newest[key] = standing
        for rest in view.resting_keys:
            place = rest.tenant, rest.provider, rest.key
            if place not in resting or rest.seconds > resting[place].seconds:
                resting[place] = rest
    together = config_pb2.Standings(resting_keys=resting.values())
    for key, standing in sorted(newest.items(), key=lambda item: _age(item[1]))[:MAX_STANDINGS]:
        tenant, provider, upstream_model = key
        together.standings.add(
            tenant=tenant,
            provider=provider,
            upstream_model=upstream_model,
            circuits=circuits.get(key, {}).values(),
            speeds=speeds.get(key, {}).values(),
            cached_share=standing.cached_share,
            lengths=standing.lengths,
        )
    return together


def aged(standings: config_pb2.Standings, seconds: float) -> config_pb2.Standings:
    """The same, `seconds` later."""
    later = config_pb2.Standings()
    later.CopyFrom(standings)
    for standing in later.standings:
        for speed in standing.speeds:
            speed.age_seconds += seconds
        for circuit in standing.circuits:
            circuit.open_seconds = max(0.0, circuit.open_seconds - seconds)
            if circuit.state == config_pb2.CIRCUIT_STATE_OPEN and not circuit.open_seconds:
                circuit.state = config_pb2.CIRCUIT_STATE_HALF_OPEN
    still = [rest for rest in later.resting_keys if rest.seconds > seconds]
    for rest in still:
        rest.seconds -= seconds
    del later.resting_keys[:]
    later.resting_keys.extend(still)
    return later


def _age(standing: config_pb2.Standing) -> float:
    return min((speed.age_seconds for speed in standing.speeds), default=math.inf)


def _badness(circuit: config_pb2.Circuit) -> tuple[int, float]:
    place = _WORST.index(circuit.state) if circuit.state in _WORST else len(_WORST)
    return place, -circuit.open_seconds
