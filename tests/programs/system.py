"""One `headgate up` with a scripted upstream of every dialect behind it, and what its usage rows must say.

The models' names are what programs ask for; those upstream differ from them, so that a name that was not
exchanged, or not exchanged back, shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.programs.run import Target
from tests.programs.upstream.anthropic import Anthropic
from tests.programs.upstream.chat import Chat
from tests.programs.upstream.gemini import Gemini
from tests.programs.upstream.responses import Responses
from tests.programs.upstream.script import Usage
from tests.programs.upstream.server import Upstream
from tests.support.processes import Headgate, start_headgate

DIALECTS = (Anthropic(), Chat(), Responses(), Gemini())
ROWS_TIMEOUT_SECONDS = 15.0
PRICE = {"input": "1.25", "output": "10", "cache_read": "0.125"}

# Model → its provider, its upstream model and the dialect that is spoken there. The names upstream are real:
# the generation of a model decides what it may be sent.
MODELS = {
    "by-sonnet": ("anthropic", "claude-sonnet-4-5", "anthropic"),
    "by-opus": ("anthropic", "claude-opus-4-8", "anthropic"),
    "by-chat": ("openai-chat", "gpt-5-mini", "chat"),
    "by-compatible": ("compatible", "Org/Scripted-Model", "chat"),
    "by-responses": ("openai-responses", "gpt-5-codex", "responses"),
    "by-gemini": ("gemini", "gemini-2.5-flash", "gemini"),
    "by-gemini-3": ("gemini", "gemini-3-pro-preview", "gemini"),
}
# Codex knows a model by the beginning of its name: there is a route `gpt-5.5-NAME` to each model.
KNOWN = "gpt-5.5-"
# Not every provider tells cached input or thought apart.
UNCOUNTED = {"anthropic": {"reasoning_tokens"}}


@dataclass(frozen=True, slots=True)
class System:
    headgate: Headgate
    upstreams: Mapping[str, Upstream]
    seen: set[str] = field(default_factory=set)

    def upstream_of(self, model: str) -> Upstream:
        return self.upstreams[MODELS[model][2]]

    def target(self, model: str) -> Target:
        return Target(self.headgate.http, self.headgate.api_key, model)

    def remember(self) -> None:
        """Rows that are there now belong to other tests."""
        self.seen.update(row["request_id"] for row in self.headgate.calls())

    def new_calls(self, count: int) -> list[dict[str, Any]]:
        """The calls since `remember`, the oldest first, once there are `count` of them and all are over."""
        deadline = time.monotonic() + ROWS_TIMEOUT_SECONDS
        while True:
            rows = [row for row in self.headgate.calls() if row["request_id"] not in self.seen]
            if len(rows) >= count and all(row["status"] for row in rows):
                return [self.headgate.call(row["request_id"]) for row in reversed(rows)]
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(rows)} rows, not {count}: {rows}")
            time.sleep(0.1)


@contextmanager
def running(folder: Path) -> Iterator[System]:
    with ExitStack() as stack:
        upstreams = {dialect.name: stack.enter_context(Upstream(dialect)) for dialect in DIALECTS}
        headgate = stack.enter_context(start_headgate(folder, manifest(upstreams)))
        yield System(headgate, upstreams)


def manifest(upstreams: Mapping[str, Upstream]) -> dict[str, Any]:
    def provider(name: str, kind: str, dialect: str) -> dict[str, Any]:
        place = {"base_url": upstreams[dialect].base_url, "private_network": True}
        return {"name": name, "kind": kind, "keys": [f"pk-{name}"], **place}

    models: list[dict[str, Any]] = [
        {"name": name, "provider": place, "upstream_model": upstream, "price": PRICE}
        for name, (place, upstream, _) in MODELS.items()
    ]
    for model in models:
        if model["provider"].startswith("openai-"):
            model["dialects"] = [MODELS[model["name"]][2]]
    return {
        "providers": [
            provider("anthropic", "anthropic", "anthropic"),
            provider("openai-chat", "openai", "chat"),
            provider("openai-responses", "openai", "responses"),
            provider("compatible", "openai-compatible", "chat"),
            provider("gemini", "gemini", "gemini"),
        ],
        "models": models,
        "routes": [{"name": KNOWN + name, "policy": name} for name in MODELS],
    }


def cost_usd(usage: Usage) -> Fraction:
    """By hand: plain input, cached input and output, each at its price."""
    counts = {"input": usage.input - usage.cached, "cache_read": usage.cached, "output": usage.output}
    return sum((Fraction(PRICE[name]) * count / 10**6 for name, count in counts.items()), Fraction(0))


def expected_tokens(model: str, usage: Usage) -> dict[str, int]:
    counts = {
        "input_tokens": usage.input,
        "cache_read_tokens": usage.cached,
        "output_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
    }
    return {name: count for name, count in counts.items() if name not in UNCOUNTED.get(MODELS[model][2], ())}
