"""Targets as the proxy compiles them, for tests of its pure parts."""

from __future__ import annotations

from headgate.rules.money import Price
from proxy.config.model import Provider, SandboxSettings, Target
from proxy.providers.kinds import KINDS
from proxy.upstream.reach import Reach

NO_SANDBOX = SandboxSettings(0.0, 0.0, 0.0, 503, 24)


def provider(kind: str = "openai", name: str = "") -> Provider:
    return Provider(
        name=name or kind,
        tenant="default",
        kind=KINDS[kind],
        base_url="https://provider.example/v1",
        region="",
        reach=Reach(),
        headers=(),
        keys=(),
        sandbox=NO_SANDBOX,
        disabled=False,
    )


def target(upstream_model: str = "m", kind: str = "openai", prices: tuple[Price, ...] = ()) -> Target:
    return Target(upstream_model, provider(kind), upstream_model, prices, "", 0, disabled=False)
