"""The system under measurement: one `headgate up`, two fake providers as processes, and the manifest.

Every model has a provider resource (and a key) of its own, so that circuits and keys of one case do not
touch another. `dead-refused` lives at the provider that is killed; all others at the one that stays.
Scripted delays are drawn from a seeded generator: a run can be repeated.
"""

from __future__ import annotations

import random
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.fake_provider import Behaviour
from tests.support.processes import ProviderProcess, start_fake_provider, start_headgate
from tests.support.sockets import free_port

MORTAL = "dead-refused"
FIRST_TOKEN_SECONDS = 0.5
CONNECT_SECONDS = 1.0
# Delays of a standing order are repeated after so many calls.
DELAYS = 499
OUTAGES = ("failing", "refused", "silent", "blip")
PAIRS = ("brisk", "leisurely", "cold", "outlier", "twin")


def manifest(staying_url: str, dying_url: str) -> dict[str, Any]:
    names = ["left", "right"]
    names += [f"{pair}-{side}" for pair in PAIRS for side in ("a", "b")]
    names += [f"{role}-{outage}" for outage in OUTAGES for role in ("dead", "alive")]
    routes: list[dict[str, Any]] = [{"name": "race", "policy": {"race": {"of": ["left", "right"]}}}]
    for pair in PAIRS:
        routes.append({"name": pair, "policy": {"fastest": {"of": [f"{pair}-a", f"{pair}-b"]}}})
    for outage in OUTAGES:
        timeouts = {"first_token": f"{int(FIRST_TOKEN_SECONDS * 1000)}ms", "connect": f"{CONNECT_SECONDS:g}s"}
        policy = {"fallback": [f"dead-{outage}", f"alive-{outage}"]}
        routes.append({"name": f"outage-{outage}", "policy": policy, "timeouts": timeouts})
    return {
        "providers": [
            {
                "name": name,
                "kind": "openai-compatible",
                "base_url": dying_url if name == MORTAL else staying_url,
                "private_network": True,
                "keys": [f"pk-{name}"],
            }
            for name in names
        ],
        "models": [
            {"name": name, "provider": name, "upstream_model": name, "price": {"input": 1, "output": 2}}
            for name in names
        ],
        "routes": routes,
    }


class World:
    """A context manager; `staying` and `dying` are the providers."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self._folder = folder
        self._dying_port = free_port()
        self.staying = start_fake_provider(folder, "staying", free_port())
        self.dying = self._start_dying()
        try:
            document = manifest(self.staying.base_url, self.dying.base_url)
            self.headgate = start_headgate(folder, document)
        except BaseException:
            self._stop_providers()
            raise

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.headgate.stop()
        self._stop_providers()

    def kill_provider(self) -> None:
        """Open connections are reset, new ones refused."""
        self.dying.process.end_now()

    def revive_provider(self) -> None:
        """Once this returns, it listens again, with nothing scripted."""
        self.dying = self._start_dying()

    def takes(self, model: str, seconds: float, jitter: float = 0.0) -> None:
        """From now on that model answers after `seconds`, give or take the share `jitter`."""
        spread = [self.random.uniform(1 - jitter, 1 + jitter) for _ in range(DELAYS if jitter else 1)]
        orders = [Behaviour(headers_delay_seconds=seconds * factor) for factor in spread]
        self.provider_of(model).always(model, *orders)

    def provider_of(self, model: str) -> ProviderProcess:
        return self.dying if model == MORTAL else self.staying

    def _start_dying(self) -> ProviderProcess:
        return start_fake_provider(self._folder, "dying", self._dying_port)

    def _stop_providers(self) -> None:
        self.staying.stop()
        self.dying.stop()
