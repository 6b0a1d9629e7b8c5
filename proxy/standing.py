"""What this worker has learned and how its circuits stand, for its proxy, its region and whoever asks why.

Workers of a proxy share all of it; proxies of a region share what was measured, and judge health themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from headgate.policy import standing
from headgate.policy.estimates import Estimates
from headgate.v1 import config_pb2
from proxy.config.model import ProviderKey, Snapshot
from proxy.policy.health import Health

_STATES = {
    "open": config_pb2.CIRCUIT_STATE_OPEN,
    "half_open": config_pb2.CIRCUIT_STATE_HALF_OPEN,
    "closed": config_pb2.CIRCUIT_STATE_CLOSED,
}


class Standing:
    def __init__(self, estimates: Estimates, health: Health, snapshot: Callable[[], Snapshot | None]) -> None:
        self._estimates = estimates
        self._health = health
        self._snapshot = snapshot

    def told(self) -> config_pb2.Standings:
        """What was learned here, and not from others."""
        found = standing.measured(self._estimates)
        for model, key, state, seconds in self._health.told():
            one = found.get(model)
            if one is None:
                tenant, provider, upstream_model = model
                one = found[model] = config_pb2.Standing(
                    tenant=tenant, provider=provider, upstream_model=upstream_model
                )
            one.circuits.add(key=key, state=_STATES[state], open_seconds=seconds)
        now = time.monotonic()
        resting = [
            config_pb2.RestingKey(
                tenant=tenant, provider=name, key=key.name, seconds=key.cooling_until - now, reason=key.reason
            )
            for (tenant, name, _), key in self._keys().items()
            if key.cooling_until > now
        ]
        return config_pb2.Standings(standings=found.values(), resting_keys=resting)

    def adopt_measured(self, message: config_pb2.Standings) -> None:
        """From other proxies of the region."""
        standing.adopt(self._estimates, message.standings)

    def adopt(self, message: config_pb2.Standings) -> None:
        """From other workers of this proxy."""
        self.adopt_measured(message)
        for one in message.standings:
            for circuit in one.circuits:
                if circuit.state == config_pb2.CIRCUIT_STATE_OPEN and circuit.open_seconds > 0:
                    self._health.adopt(standing.key_of(one), circuit.key, circuit.open_seconds)
        keys = self._keys() if message.resting_keys else {}
        now = time.monotonic()
        for rest in message.resting_keys:
            key = keys.get((rest.tenant, rest.provider, rest.key))
            if key is not None and key.cooling_until < now:
                key.cooling_until, key.reason = now + rest.seconds, rest.reason

    def _keys(self) -> dict[tuple[str, str, str], ProviderKey]:
        snapshot = self._snapshot()
        if snapshot is None:
            return {}
        return {
            (provider.tenant, provider.name, key.name): key
            for providers in snapshot.providers.values()
            for provider in providers.values()
            for key in provider.keys
        }
