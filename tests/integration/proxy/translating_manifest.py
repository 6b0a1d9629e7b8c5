"""The manifest of the tests across dialects: one fake provider under a name for each dialect and manner.

Prices are powers and primes, so that a token in a wrong class shows in the money.
"""

from __future__ import annotations

from typing import Any

from tests.integration.proxy.gateway_manifest import sha256

NARROW = "hg-translNarro0-" + "n" * 43
# USD per million.
PRICE = {"input": "3", "output": "17", "cache_read": "0.31", "cache_write_5m": "3.7", "cache_write_1h": "6.1"}
ONCE = {"attempts": 1}
# Model name → (kind, upstream model, more of the provider, dialect in which it is called).
MODELS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "claude": ("anthropic", "claude-sonnet-4-5", {}, "messages"),
    "claude-new": ("anthropic", "claude-opus-4-8", {}, "messages"),
    "gemini": ("gemini", "gemini-3-flash-preview", {}, "gemini"),
    "gpt": ("openai", "gpt-5", {"dialects": ["chat"]}, "chat"),
    "gpt-plain": ("openai", "gpt-4.1", {"dialects": ["chat"]}, "chat"),
    "pro": ("openai", "gpt-5-pro", {}, "responses"),
    "oss": ("groq", "openai/gpt-oss-20b", {}, "chat"),
    "mistral": ("mistral", "mistral-large", {}, "chat"),
    "server": ("openai-compatible", "any-model", {}, "chat"),
    "limited-claude": ("anthropic", "claude-limited", {}, "messages"),
    "limited-gemini": ("gemini", "gemini-limited", {}, "gemini"),
    "rejected-gemini": ("gemini", "gemini-rejected", {}, "gemini"),
    "whisper": ("openai", "whisper-1", {}, "chat"),
    "painter": ("openai", "gpt-image-1", {}, "chat"),
    "tts": ("openai", "tts-1", {}, "chat"),
    "omni-moderation-latest": ("openai", "omni-moderation-2024-09-26", {}, "chat"),
    "vectors": ("gemini", "gemini-embedding-001", {}, "gemini"),
}
# Route → models in order of fallback.
CHAINS = {
    "claude-then-gpt": ("claude", "gpt-plain"),
    "gpt-then-gemini": ("gpt-plain", "gemini"),
    "gemini-then-claude": ("gemini", "claude"),
    "pro-then-claude": ("pro", "claude"),
    "claude-then-oss": ("claude", "oss"),
    "claude-then-pro": ("claude", "pro"),
    "limited-claude-then-gpt": ("limited-claude", "gpt-plain"),
}


def manifest(base_url: str) -> dict[str, Any]:
    """`base_url`: the fake provider's, with /v1."""
    root = base_url.removesuffix("/v1")
    providers = []
    for name, (kind, _, more, _) in MODELS.items():
        inner = {k: v for k, v in more.items() if k != "dialects"}
        url = root if kind in ("anthropic", "gemini") else base_url
        provider = {"name": f"at-{name}", "kind": kind, "keys": [f"pk-{name}"], "base_url": url, **inner}
        # Circuits would put what failed in one test behind the others in the next.
        providers.append({**provider, "private_network": True, "circuit_failures": 0})
    models = [
        {
            "name": name,
            "provider": f"at-{name}",
            "upstream_model": upstream,
            "price": PRICE,
            **{k: v for k, v in more.items() if k == "dialects"},
        }
        for name, (_, upstream, more, _) in MODELS.items()
    ]
    routes: list[dict[str, Any]] = [
        {"name": name, "policy": {"fallback": list(chain)}, "retry": ONCE} for name, chain in CHAINS.items()
    ]
    routes += [{"name": f"only-{name}", "policy": name, "retry": ONCE} for name in MODELS]
    routes.append(
        {"name": "claude-or-gemini", "policy": {"race": {"of": ["claude", "gemini"]}}, "retry": ONCE}
    )
    keys = [{"name": "narrow", "sha256": sha256(NARROW), "allow": ["only-gpt"]}]
    return {"providers": providers, "models": models, "routes": routes, "keys": keys}
