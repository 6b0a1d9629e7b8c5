"""A provider that lies about what it used (A17): negative, huge, missing and nonsensical counts.

In every dialect, whole and streamed: the call is answered, and its record holds possible counts, parts no
larger than their whole, no money below zero, and the flag that says that a count was mended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from headgate.rules.money import MAX_PICOUSD, MAX_TOKENS, PICO_PER_USD
from tests.abuse.target import VALID
from tests.integration.proxy.asking_across import CLIENTS, HELLO, PATHS, question
from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.translating_manifest import MODELS
from tests.support.fake_provider import Behaviour
from tests.support.saying import EVENTS, WHOLE, chat_usage, gemini_usage, messages_usage, responses_usage

# Model of each provider dialect → its honest usage, and where each of its counts stands.
HONEST: dict[str, dict[str, Any]] = {
    "gpt-plain": chat_usage(HELLO),
    "claude": messages_usage(HELLO),
    "pro": responses_usage(HELLO),
    "gemini": gemini_usage(HELLO),
}
# What only some of them say, so that a lie finds all counts there.
MORE: dict[str, dict[str, Any]] = {
    "gpt-plain": {
        "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 1, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 1},
    },
    "claude": {
        "cache_creation_input_tokens": 2,
        "cache_creation": {"ephemeral_1h_input_tokens": 1, "ephemeral_5m_input_tokens": 1},
    },
    "pro": {"input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 1, "audio_tokens": 1}},
    "gemini": {
        "toolUsePromptTokenCount": 1,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}],
    },
}
# No dialect leaves these out of an answer that said something.
NEVER_MISSING = {
    "gpt-plain": ("prompt_tokens", "completion_tokens"),
    "claude": ("input_tokens", "output_tokens"),
    "pro": ("input_tokens", "output_tokens"),
    "gemini": ("promptTokenCount",),
}
IMPOSSIBLE: tuple[Any, ...] = (-1, -(2**63), MAX_TOKENS + 1, 2**64, 10**30, 1e300, 1.5, "7", True, [7], {})


def replaced(usage: Any, value: Any) -> Any:
    """The same with this value in the place of every number."""
    if isinstance(usage, dict):
        return {name: replaced(inner, value) for name, inner in usage.items()}
    if isinstance(usage, list):
        return [replaced(inner, value) for inner in usage]
    return value if type(usage) is int else usage


def lies(model: str) -> Iterator[dict[str, Any]]:
    """Usage objects of which each must be flagged."""
    full = {**HONEST[model], **MORE[model]}
    for value in IMPOSSIBLE:
        yield replaced(full, value)
        for name in NEVER_MISSING[model]:
            yield {**full, name: value}
    # Each possible by itself; together more than anybody can use.
    yield replaced(full, MAX_TOKENS)
    # Parts larger than their whole.
    whole = dict.fromkeys((*NEVER_MISSING[model], "toolUsePromptTokenCount"), 0)
    yield {**replaced(full, 10**6), **whole}
    for name in NEVER_MISSING[model]:
        yield {**full, name: None}
        yield {key: inner for key, inner in full.items() if key != name}
    yield {"nothing": "of it"}


def lying(model: str, usage: dict[str, Any], *, stream: bool) -> Behaviour:
    dialect = MODELS[model][3]
    if not stream:
        return Behaviour(body=_with_usage(WHOLE[dialect](HELLO), usage), stream=False)
    lines = [
        event if isinstance(event, str) else json.dumps(_with_usage(event, usage))
        for event in EVENTS[dialect](HELLO)
    ]
    return Behaviour(body="".join(f"data: {line}\n\n" for line in lines), stream=True)


def _with_usage(document: Any, usage: dict[str, Any]) -> Any:
    """Every usage object in it is that one."""
    if isinstance(document, dict):
        return {
            name: usage if name in ("usage", "usageMetadata") else _with_usage(inner, usage)
            for name, inner in document.items()
        }
    return document


def problems_of(attempt: dict[str, Any]) -> list[str]:
    counts = {name: value for name, value in attempt.items() if name.endswith("_tokens")}
    found = [f"{name}: {value}" for name, value in counts.items() if not 0 <= value <= MAX_TOKENS]
    cached = counts.get("cache_read_tokens", 0) + counts.get("cache_write_tokens", 0)
    if cached > counts["input_tokens"] or counts.get("reasoning_tokens", 0) > counts["output_tokens"]:
        found.append(f"a part is larger than its whole: {counts}")
    if attempt["cost_usd"].startswith("-") or float(attempt["cost_usd"]) > MAX_PICOUSD / PICO_PER_USD:
        found.append(f"cost {attempt['cost_usd']}")
    return found if attempt["estimated"] else [*found, "not flagged"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", HONEST)
def test_impossible_and_missing_counts_are_clamped_and_flagged(
    gateway: Gateway, model: str, stream: bool
) -> None:
    wrong = []
    for number, usage in enumerate(lies(model)):
        client = CLIENTS[number % len(CLIENTS)]
        gateway.provider.script(MODELS[model][1], lying(model, usage, stream=stream))
        answer = gateway.post(question(client, model, stream=stream), PATHS[client], key=VALID)
        assert answer.status == 200, (usage, answer.body)
        receipt = gateway.get(f"/headgate/v1/receipts/{answer.request_id}", key=VALID).document()
        [attempt] = receipt["attempts"]
        wrong += [(client, usage, problem) for problem in problems_of(attempt)]
    assert wrong == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", HONEST)
def test_an_honest_count_is_not_flagged(gateway: Gateway, model: str, stream: bool) -> None:
    """Or else the flags above would prove nothing."""
    gateway.provider.script(MODELS[model][1], lying(model, HONEST[model], stream=stream))
    answer = gateway.post(question("chat", model, stream=stream), key=VALID)
    receipt = gateway.get(f"/headgate/v1/receipts/{answer.request_id}", key=VALID).document()
    [attempt] = receipt["attempts"]
    assert (attempt["input_tokens"], attempt["output_tokens"]) == (HELLO.input_tokens, HELLO.output_tokens)
    assert attempt["estimated"] is False
