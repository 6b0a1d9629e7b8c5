"""What native calls are recorded with: each use once, whatever the answer's size and form."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from headgate.rules.money import Tokens, cost_picousd, usd_text
from proxy.config.resolve import catalogue_price
from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.native_manifest import CHAT_ONLY, NATIVE
from tests.support.fake_provider import Behaviour, FakeProvider

USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
# At 0.15 and 0.60 USD per million tokens.
COST_USD = "0.00045"


def cost_now(service_tier: str) -> str:
    """Of USAGE, by the catalogue, which has a price of its own for `priority` from some date on."""
    prices, _ = catalogue_price("openai", "", "gpt-4o-mini")
    cost = cost_picousd(prices, Tokens(input=1000, output=500), time.time_ns() // 1_000_000, service_tier)
    assert cost is not None
    return usd_text(cost)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_usage_that_is_told_again_at_every_look_is_not_billed_again(
    native: Gateway, oai: FakeProvider, method: str
) -> None:
    oai.always("*", Behaviour(body={"id": "b1", "model": "gpt-4o-mini", "usage": USAGE}))
    made = native.request("POST", "/providers/oai/v1/batches", b"{}", key=NATIVE)
    looks = [
        native.request(method, "/providers/oai/v1/batches/b1", key=NATIVE, headers={"content-length": ""})
        for _ in range(3)
    ]
    [row] = native.call(made.request_id).attempt_list
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (1000, 500, COST_USD)
    for look in looks:
        assert look.document()["usage"] == USAGE
        [row] = native.call(look.request_id).attempt_list
        assert (row.input_tokens, row.output_tokens, row.cost_usd) == (0, 0, "0")


# Each of these is longer than what a proxy keeps of an answer; what it used stands at its end.


def chat_stream() -> list[dict[str, Any]]:
    """OpenAI's chunks with `include_usage`: each says that it has none, but for the last."""
    said = [{"delta": {"content": "word " * 20}}]
    event = {"model": "gpt-4o-mini", "service_tier": "priority", "usage": None, "choices": said}
    return [event] * 4000 + [{**event, "choices": [], "usage": USAGE}]


def gemini_stream() -> list[dict[str, Any]]:
    """Its counts come with every chunk and grow."""
    said = [{"content": {"parts": [{"text": "word " * 40}]}}]
    counts = [count // 6 for count in range(6, 3006)]  # 1 to 500
    told = [{"promptTokenCount": 1000, "candidatesTokenCount": count} for count in counts]
    return [{"candidates": said, "usageMetadata": usage} for usage in told]


def responses_stream() -> list[dict[str, Any]]:
    """The instructions are repeated in each event about the response."""
    answer = {"model": "gpt-4o-mini", "instructions": "be brief " * 30_000, "service_tier": "auto"}
    usage = {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500}
    return [
        {"type": "response.created", "response": {**answer, "usage": None}},
        {"type": "response.in_progress", "response": {**answer, "usage": None}},
        {"type": "response.completed", "response": {**answer, "service_tier": "default", "usage": usage}},
    ]


def one_long_event() -> list[dict[str, Any]]:
    """A picture inside the last event: the usage is in one line with it."""
    created, _, last = responses_stream()
    picture = {"output": [{"type": "image_generation_call", "result": "A" * 2**20}]}
    return [created, {**last, "response": {**picture, **last["response"]}}]


@pytest.mark.parametrize("made", [chat_stream, gemini_stream, responses_stream, one_long_event])
def test_a_long_stream_is_recorded_with_the_usage_at_its_end(
    native: Gateway, oai: FakeProvider, made: Any
) -> None:
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in made()).encode()
    assert len(body) > 2**19
    oai.always("*", Behaviour(body=body, stream=True))
    answer = native.request("POST", "/providers/oai/v1/chat/completions", b'{"stream": true}', key=NATIVE)
    assert answer.body == body
    [row] = native.call(answer.request_id).attempt_list
    assert (row.input_tokens, row.output_tokens) == (1000, 500)


def test_a_large_whole_answer_is_recorded_with_its_usage(native: Gateway, oai: FakeProvider) -> None:
    data = [{"embedding": "A" * 2**20}]
    oai.always("*", Behaviour(body={"data": data, "model": "gpt-4o-mini", "usage": USAGE}))
    answer = native.request("POST", "/providers/oai/v1/chat/completions", b"{}", key=NATIVE)
    [row] = native.call(answer.request_id).attempt_list
    assert (row.input_tokens, row.output_tokens) == (1000, 500)


# What a tier costs.


@pytest.mark.parametrize("tier", ["default", "priority"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_native_answer_is_priced_at_the_tier_that_it_names(
    native: Gateway, oai: FakeProvider, stream: bool, tier: str
) -> None:
    told = {"model": "gpt-4o-mini", "service_tier": tier, "choices": [], "usage": USAGE}
    body = json.dumps(told).encode()
    oai.always("*", Behaviour(body=b"data: %b\n\n" % body if stream else told, stream=stream))
    answer = native.request("POST", "/providers/oai/v1/chat/completions", b"{}", key=NATIVE)
    [row] = native.call(answer.request_id).attempt_list
    assert row.cost_usd == cost_now(tier)


@pytest.mark.parametrize("tier", ["default", "priority"])
def test_a_large_answer_is_priced_at_the_tier_that_it_names(
    native: Gateway, oai: FakeProvider, tier: str
) -> None:
    """Larger than what is parsed whole."""
    said = [{"message": {"role": "assistant", "content": "word " * 100_000}, "finish_reason": "stop"}]
    told = {"model": "gpt-4o-mini", "choices": said, "usage": USAGE, "service_tier": tier}
    oai.always("*", Behaviour(body=told))
    answer = native.post(chat("mini"), key=CHAT_ONLY)
    assert answer.document() == told
    [row] = native.call(answer.request_id).attempt_list
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (1000, 500, cost_now(tier))
