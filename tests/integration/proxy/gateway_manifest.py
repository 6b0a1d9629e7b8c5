"""The one manifest of these tests: every provider is the same fake provider, under names of its own.

A provider that a test puts to rest (429, 401) serves that test alone, because a key's cool-down outlives the
call. Prices are odd numbers, so that a wrong class or a wrong model shows in the money.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.support.fake_provider import Usage

PICO_PER_USD = 10**12


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, as text."""

    input: str
    output: str
    cache_read: str

    def picousd(self, usage: Usage) -> int:
        """By hand: plain input, cached input and output, each at its price; rounded half to even, once."""
        plain = usage.prompt_tokens - usage.cached_tokens
        per_million = (
            plain * Fraction(self.input)
            + usage.cached_tokens * Fraction(self.cache_read)
            + usage.completion_tokens * Fraction(self.output)
        )
        return round(per_million / 10**6 * PICO_PER_USD)


ALPHA = Price("0.15", "0.6", "0.075")
BETA = Price("1.1", "4.4", "0.275")
GAMMA = Price("0.0000013", "0.0000007", "0.0000001")  # below a pico-dollar a token: rounding shows
OTHER = Price("3", "15", "0.3")
PRICES = {"alpha": ALPHA, "beta": BETA, "gamma": GAMMA}

# Kinds of provider with manners of their own; provider and model are named after the kind.
KINDS = ("openai", "groq", "cerebras", "deepinfra", "mistral", "xai", "openrouter", "nvidia")
# Provider name → keys. Each of them also has a model and, for one try per target, a route `only-NAME`.
RESTING = {
    "limited": ("pk-limited",),
    "limited-long": ("pk-limited-long",),
    "limited-first": ("pk-limited-first",),
    "limited-mute": ("pk-limited-mute",),
    "limited-order": ("pk-limited-order",),
    "pair": ("pk-pair-a", "pk-pair-b"),
    "pair-rejected": ("pk-good", "pk-bad"),
    "rejected": ("pk-rejected",),
    "rejected-first": ("pk-rejected-first",),
    "unpaid": ("pk-unpaid",),
    "sdk-limited": ("pk-sdk-limited",),
}
PROVIDER_KEY = "pk-fake"

# Client keys whose secrets the tests choose (the control plane stores the hash alone).
NARROW = "hg-narrowNarrow-" + "n" * 43
NOTHING = "hg-nothingAllow-" + "o" * 43
REVOKED = "hg-revokedKey00-" + "r" * 43
EXPIRED = "hg-expiredKey00-" + "e" * 43
OTHER_TENANT = "hg-otherTenant0-" + "t" * 43
SECRETS = {"narrow": NARROW, "nothing": NOTHING, "revoked": REVOKED, "expired": EXPIRED}

HASTY = {"first_token": "500ms", "idle": "500ms", "total": "8s"}
ONCE = {"attempts": 1}


def manifest(base_url: str, dead_url: str) -> dict[str, Any]:
    """`base_url`: the fake provider's; `dead_url`: where nobody listens."""
    return {
        "tenants": [{"name": "other"}],
        "providers": _providers(base_url, dead_url),
        "models": _models(),
        "routes": _routes(),
        "keys": _keys(),
    }


def _providers(base_url: str, dead_url: str) -> list[dict[str, Any]]:
    # Circuits would put what failed in one test behind the others in the next.
    place = {"base_url": base_url, "private_network": True, "circuit_failures": 0}
    providers = [
        {
            "name": "fake",
            "kind": "openai-compatible",
            "keys": [PROVIDER_KEY],
            "headers": {"x-org": "42"},
            **place,
        },
        {"name": "keyless", "kind": "openai-compatible", **place},
        {"name": "dead", "kind": "openai-compatible", **place, "base_url": dead_url},
    ]
    providers += [{"name": kind, "kind": kind, "keys": [f"pk-{kind}"], **place} for kind in KINDS]
    for name, keys in RESTING.items():
        named = [{"name": f"k{index}", "value": key} for index, key in enumerate(keys)]
        providers.append({"name": name, "kind": "openai-compatible", "keys": named, **place})
    return providers


def _models() -> list[dict[str, Any]]:
    def price(of: Price) -> dict[str, str]:
        return {"input": of.input, "output": of.output, "cache_read": of.cache_read}

    models: list[dict[str, Any]] = [
        {"name": name, "provider": "fake", "upstream_model": f"{name}-upstream", "price": price(of)}
        for name, of in PRICES.items()
    ]
    # The upstream name cannot be a resource's name, and needs escapes nowhere.
    models.append({"name": "unpriced", "provider": "fake", "upstream_model": "Org/Unknown-Model_1:free"})
    models.append({"name": "keyless", "provider": "keyless", "price": price(OTHER)})
    models.append({"name": "dead", "provider": "dead", "price": price(OTHER)})
    models += [
        {"name": name, "provider": name, "upstream_model": f"{name}-model", "price": price(OTHER)}
        for name in (*KINDS, *RESTING)
    ]
    return models


def _routes() -> list[dict[str, Any]]:
    routes: list[dict[str, Any]] = [
        {"name": "chat", "policy": "alpha", "timeouts": {"total": "30s"}},
        {"name": "steady", "policy": "alpha", "retry": ONCE},
        {"name": "hasty", "policy": "alpha", "retry": ONCE, "timeouts": HASTY},
        {"name": "brief", "policy": "alpha", "retry": ONCE, "timeouts": {"total": "700ms"}},
        {"name": "brief-chain", "policy": _fallback("alpha", "beta"), "timeouts": {"total": "700ms"}},
        {"name": "chain", "policy": _fallback("alpha", "beta", "gamma"), "retry": ONCE, "timeouts": HASTY},
        {"name": "dead-first", "policy": _fallback("dead", "beta"), "retry": ONCE},
        {
            "name": "weighted",
            "policy": {
                "weighted": [
                    {"use": "alpha", "weight": 3},
                    {"use": "beta", "weight": 1},
                    {"use": "gamma", "weight": 0},
                ]
            },
        },
        {
            "name": "nested",
            "policy": {"fallback": [{"weighted": [{"use": "alpha"}, {"use": "beta"}]}, "gamma"]},
            "retry": ONCE,
        },
        {"name": "limited-then-beta", "policy": _fallback("limited-first", "beta"), "timeouts": HASTY},
        {"name": "limited-then-down", "policy": _fallback("limited-order", "beta"), "retry": ONCE},
        {"name": "rejected-then-beta", "policy": _fallback("rejected-first", "beta"), "retry": ONCE},
    ]
    return routes + [
        {"name": f"only-{name}", "policy": name, "retry": ONCE} for name in ("limited", "dead", "rejected")
    ]


def _fallback(*models: str) -> dict[str, list[str]]:
    return {"fallback": list(models)}


def _keys() -> list[dict[str, Any]]:
    allow: dict[str, dict[str, Any]] = {
        "narrow": {"allow": ["chat", "fake/beta-*"]},
        "nothing": {"allow": []},
        "revoked": {"allow": ["*"]},
        "expired": {"allow": ["*"], "expires": "1s"},
    }
    keys = [{"name": name, "sha256": sha256(secret), **allow[name]} for name, secret in SECRETS.items()]
    return [
        *keys,
        {"name": "stranger", "tenant": "other", "allow": ["*"], "sha256": sha256(OTHER_TENANT)},
    ]


def sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
