"""Whether a model at a provider can be expected to answer, per provider key: a circuit breaker.

Closed: calls pass. Open, after errors and timeouts in a row or of half the calls: other targets are tried
first. Half-open: one call is let through to see. It only orders: where nobody else is left, an open circuit
is tried all the same. Rate limits rest a key (attempts.py) and say nothing about the model.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headgate.policy.candidate import CandidateKey

if TYPE_CHECKING:
    from proxy.config.model import ProviderKey, Target

# Of the calls lately, if there were some.
SHARE_TO_OPEN = 0.5
CALLS_TO_JUDGE = 10
# Weight of the newest call in the share.
SHARE_WEIGHT = 0.1
# How long an open circuit stays so: doubled with each failed probe, with jitter on half of it.
FIRST_OPEN_SECONDS = 1.0
MAX_OPEN_SECONDS = 20.0
# A probe that never came back does not keep the circuit half-open for ever.
PROBE_SECONDS = 30.0
MAX_CIRCUITS = 10_000
MAX_TOLD = 1_000

CircuitKey = tuple[CandidateKey, str]


@dataclass(slots=True)
class Circuit:
    failures_in_a_row: int = 0
    failing_share: float = 0.0
    calls: int = 0
    # Clock until which it is open; 0: closed.
    open_until: float = 0.0
    open_seconds: float = 0.0
    probed_at: float = 0.0
    # Opened by another worker: not to be told as one's own.
    adopted: bool = False

    def state(self, now: float) -> str:
        if not self.open_until:
            return "closed"
        return "open" if now < self.open_until else "half_open"


class Health:
    """`clock`: monotonic seconds; `random`: a number in [0, 1) for the jitter."""

    def __init__(self, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._clock = clock
        self._random = random
        self._circuits: dict[CircuitKey, Circuit] = {}

    def passes(self, target: Target) -> bool:
        """Whether some key's circuit lets a call through. Says yes to one probe at a time."""
        if not self._circuits:
            return True
        now = self._clock()
        names = [key.name for key in target.provider.keys] or [""]
        base = target.identity
        for name in names:
            circuit = self._circuits.get((base, name))
            if circuit is None or not circuit.open_until:
                return True
            if now >= circuit.open_until and now - circuit.probed_at > PROBE_SECONDS:
                return True
        return False

    def passes_key(self, target: Target, key: ProviderKey) -> bool:
        circuit = self._circuits.get((target.identity, key.name))
        return circuit is None or circuit.state(self._clock()) != "open"

    def tried(self, target: Target, key: ProviderKey | None) -> None:
        """A call goes out; if the circuit is half-open, it is the probe."""
        circuit = self._circuits.get((target.identity, key.name if key is not None else ""))
        if circuit is not None and circuit.open_until:
            now = self._clock()
            if now >= circuit.open_until:
                circuit.probed_at = now

    def stopped(self, target: Target, key: ProviderKey | None) -> None:
        """Another one won the race: that says nothing of this one, and the next call may be the probe."""
        circuit = self._circuits.get((target.identity, key.name if key is not None else ""))
        if circuit is not None:
            circuit.probed_at = 0.0

    def began(self, target: Target, key: ProviderKey | None) -> None:
        """A stream's first event: others may call again, but only its end tells whether it was a success.
        Until then what failed in a row, and how long the circuit was open last, stays."""
        circuit = self._circuits.get((target.identity, key.name if key is not None else ""))
        if circuit is not None:
            circuit.open_until = circuit.probed_at = 0.0

    def succeeded(self, target: Target, key: ProviderKey | None) -> None:
        circuit = self._circuits.get((target.identity, key.name if key is not None else ""))
        if circuit is None:
            return
        circuit.failures_in_a_row = 0
        circuit.calls += 1
        circuit.failing_share *= 1 - SHARE_WEIGHT
        circuit.open_until = circuit.open_seconds = circuit.probed_at = 0.0
        circuit.adopted = False

    def failed(self, target: Target, key: ProviderKey | None) -> None:
        """An error or a timeout of the model's own making."""
        limit = target.provider.circuit_failures
        if not limit:
            return
        identity = (target.identity, key.name if key is not None else "")
        circuit = self._circuits.get(identity)
        if circuit is None:
            if len(self._circuits) >= MAX_CIRCUITS:
                self._circuits.clear()
            circuit = self._circuits[identity] = Circuit()
        circuit.failures_in_a_row += 1
        circuit.calls += 1
        circuit.failing_share += SHARE_WEIGHT * (1 - circuit.failing_share)
        now = self._clock()
        if now < circuit.open_until:
            return  # one that was under way when it opened: only a probe says that it should stay so
        flapping = circuit.calls >= CALLS_TO_JUDGE and circuit.failing_share >= SHARE_TO_OPEN
        if circuit.open_until or circuit.failures_in_a_row >= limit or flapping:
            seconds = min(circuit.open_seconds * 2 or FIRST_OPEN_SECONDS, MAX_OPEN_SECONDS)
            circuit.open_seconds = seconds
            circuit.open_until = now + seconds * (0.5 + 0.5 * self._random())
            circuit.probed_at = 0.0
            circuit.adopted = False

    def told(self) -> Iterator[tuple[CandidateKey, str, str, float]]:
        """(model, key, state, seconds until a probe) of what failed here, and was not opened by others."""
        now = self._clock()
        for (model, key), circuit in itertools.islice(self._circuits.items(), MAX_TOLD):
            if not circuit.adopted:
                yield model, key, circuit.state(now), max(0.0, circuit.open_until - now)

    def adopt(self, model: CandidateKey, key: str, seconds: float) -> None:
        """Another worker of this proxy has opened it; what is open here stays as it is."""
        circuit = self._circuits.get((model, key))
        if circuit is None:
            if len(self._circuits) >= MAX_CIRCUITS:
                return
            circuit = self._circuits[(model, key)] = Circuit()
        if not circuit.open_until:
            circuit.open_until, circuit.open_seconds = self._clock() + seconds, seconds
            circuit.adopted = True

    def state(self, target: Target) -> str:
        """Of all its keys; "degraded" where they differ."""
        now = self._clock()
        base = target.identity
        names = [key.name for key in target.provider.keys] or [""]
        states = {c.state(now) for name in names if (c := self._circuits.get((base, name))) is not None}
        if len(states) == 1 and sum((base, name) in self._circuits for name in names) == len(names):
            return states.pop()
        return "closed" if not states else "degraded" if states != {"closed"} else "closed"
