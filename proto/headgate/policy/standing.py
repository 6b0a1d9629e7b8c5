"""How models stand, as proxies tell each other: out of estimates, into estimates, several views as one.

What was measured counts by its age, wherever it was measured; circuits are each proxy's own, and of several
views of one the worst is shown.
"""

from __future__ import annotations

from collections.abc import Iterable

from headgate.policy.candidate import CandidateKey
from headgate.policy.estimates import Estimates, Learned
from headgate.v1 import config_pb2

# Told at once; those measured last come first.
MAX_STANDINGS = 1_000
MAX_ROUTES = 50
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
    own = [(key, learned) for key, learned in estimates.all() if not learned.adopted and learned.measured_at]
    own.sort(key=lambda item: item[1].measured_at, reverse=True)
    told = {key: _standing(key, learned, now) for key, learned in own[:MAX_STANDINGS]}
    for route, key, learned in estimates.by_route():
        standing = told.get(key)
        if standing is not None and not learned.adopted and len(standing.lengths) <= MAX_ROUTES:
            standing.lengths.append(_length(route, learned))
    return told


def adopt(estimates: Estimates, standings: Iterable[config_pb2.Standing]) -> None:
    """Takes what is clearly newer than one's own."""
    now = estimates.clock()
    for standing in standings:
        if not standing.HasField("age_seconds"):
            continue
        key = key_of(standing)
        learned = estimates.entry(key)
        measured_at = now - standing.age_seconds
        if learned.measured_at and measured_at < learned.measured_at + NEWER_SECONDS:
            continue
        learned.first_token_seconds = standing.first_token_seconds
        learned.seconds_per_token = standing.seconds_per_token
        learned.slow_seconds = standing.slow_seconds
        learned.cached_share = standing.cached_share
        # A clock that began lately: a time before it is still a time.
        learned.measured_at = measured_at or -1.0
        learned.adopted = True
        for length in standing.lengths:
            known = estimates.entry(key, length.route)
            if length.answers >= known.answers:
                known.output_tokens, known.answers = length.output_tokens, length.answers
                known.adopted = True


def merged(views: Iterable[config_pb2.Standings]) -> config_pb2.Standings:
    """Of each model the newest figures, of each circuit the worst state, of each key the longest rest."""
    newest: dict[CandidateKey, config_pb2.Standing] = {}
    circuits: dict[CandidateKey, dict[str, config_pb2.Circuit]] = {}
    resting: dict[tuple[str, str, str], config_pb2.RestingKey] = {}
    for view in views:
        for standing in view.standings:
            key = key_of(standing)
            for circuit in standing.circuits:
                known = circuits.setdefault(key, {}).get(circuit.key)
                if known is None or _badness(circuit) < _badness(known):
                    circuits[key][circuit.key] = circuit
            before = newest.get(key)
            if before is None or _age(standing) < _age(before):
                newest[key] = standing
        for rest in view.resting_keys:
            place = rest.tenant, rest.provider, rest.key
            if place not in resting or rest.seconds > resting[place].seconds:
                resting[place] = rest
    together = config_pb2.Standings(resting_keys=resting.values())
    for key, standing in newest.items():
        copy = together.standings.add()
        copy.CopyFrom(standing)
        del copy.circuits[:]
        copy.circuits.extend(circuits.get(key, {}).values())
    return together


def aged(standings: config_pb2.Standings, seconds: float) -> config_pb2.Standings:
    """The same, `seconds` later."""
    later = config_pb2.Standings()
    later.CopyFrom(standings)
    for standing in later.standings:
        if standing.HasField("age_seconds"):
            standing.age_seconds += seconds
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


def _standing(key: CandidateKey, learned: Learned, now: float) -> config_pb2.Standing:
    tenant, provider, upstream_model = key
    return config_pb2.Standing(
        tenant=tenant,
        provider=provider,
        upstream_model=upstream_model,
        age_seconds=now - learned.measured_at,
        first_token_seconds=learned.first_token_seconds,
        seconds_per_token=learned.seconds_per_token,
        slow_seconds=learned.slow_seconds,
        cached_share=learned.cached_share,
        lengths=[_length("", learned)],
    )


def _length(route: str, learned: Learned) -> config_pb2.AnswerLength:
    return config_pb2.AnswerLength(route=route, output_tokens=learned.output_tokens, answers=learned.answers)


def _age(standing: config_pb2.Standing) -> float:
    return standing.age_seconds if standing.HasField("age_seconds") else float("inf")


def _badness(circuit: config_pb2.Circuit) -> tuple[int, float]:
    place = _WORST.index(circuit.state) if circuit.state in _WORST else len(_WORST)
    return place, -circuit.open_seconds
