"""Chats of the official OpenAI SDK, pointed at the proxy by base_url and key alone."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.gateway_manifest import ALPHA, KINDS
from tests.support.fake_provider import Behaviour, Cuts, FakeProvider, Usage
from tests.support.provider import presets

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is six by seven?"}]
TEXT = "The answer of alpha-upstream is forty-two, naïvely — ☕ 🐟."
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256))).decode()
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


def text_of(chunks: Iterable[ChatCompletionChunk], choice: int = 0) -> str:
    return "".join(
        part.delta.content or "" for chunk in chunks for part in chunk.choices if part.index == choice
    )


def test_a_client_with_nothing_but_base_url_and_key_gets_an_answer(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=gateway.base_url, api_key=gateway.key) as plain:
        answer = plain.chat.completions.create(model="chat", messages=QUESTION)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"


def test_the_environment_variables_of_the_sdk_are_enough(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", gateway.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", gateway.key)
    with openai.OpenAI() as plain:
        assert plain.chat.completions.create(model="chat", messages=QUESTION).choices[0].message.content


def test_a_whole_answer_carries_usage_and_the_headers_of_the_call(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=QUESTION)
    usage = raw.parse().usage
    assert usage is not None
    [attempt] = gateway.attempts(1)
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        attempt.served.prompt_tokens,
        attempt.served.completion_tokens,
    )
    assert raw.headers["x-headgate-route"] == "chat"
    assert raw.headers["x-headgate-model"] == "fake/alpha-upstream"
    assert raw.headers["x-headgate-attempts"] == "1"
    assert raw.headers["x-headgate-cache"] == "off"
    assert float(raw.headers["x-headgate-overhead-ms"]) >= 0
    # By hand: USD per million tokens.
    picousd = ALPHA.picousd(attempt.served)
    assert picousd == 9 * 150_000 + 16 * 600_000
    assert raw.headers["x-headgate-cost-usd"] == "0.00001095"
    assert gateway.call(raw.headers["x-request-id"]).cost_usd == "0.00001095"


def test_a_streamed_answer_says_the_same_as_a_whole_one(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="chat", messages=QUESTION, stream=True))
    assert text_of(chunks) == TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_usage_that_was_not_asked_for_is_recorded_and_kept_from_the_client(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=QUESTION, stream=True)
    chunks = list(raw.parse())
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    [attempt] = gateway.attempts(1)
    assert attempt.document()["stream_options"] == {"include_usage": True}
    [row] = gateway.call(raw.headers["x-request-id"]).attempt_list
    assert (row.input_tokens, row.output_tokens) == (9, 16)
    assert not row.estimated
    assert row.HasField("first_token_ms")


def test_usage_that_was_asked_for_comes_in_one_last_chunk_without_choices(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="chat", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    assert text_of(chunks) == TEXT
    *others, last = chunks
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (9, 16)
    assert all(chunk.usage is None for chunk in others)


def test_other_stream_options_of_the_client_survive_ours(gateway: Gateway, client: openai.OpenAI) -> None:
    list(
        client.chat.completions.create(
            model="chat",
            messages=QUESTION,
            stream=True,
            stream_options={"include_usage": False, "include_obfuscation": False},
        )
    )
    [attempt] = gateway.attempts(1)
    assert attempt.document()["stream_options"] == {"include_usage": True, "include_obfuscation": False}


def test_the_stream_helper_of_the_sdk_assembles_the_answer(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="chat", messages=QUESTION) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert final.choices[0].message.content == TEXT
    assert {"chunk", "content.delta", "content.done"} <= kinds


def test_a_tool_call_comes_whole(gateway: Gateway, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="chat", messages=QUESTION, tools=[WEATHER], tool_choice="required"
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    assert set(json.loads(call.function.arguments)) == {"city", "days"}
    assert gateway.attempts(1)[0].document()["tools"] == [WEATHER]


def test_parallel_tool_calls_come_streamed_each_under_its_own_index(
    provider: FakeProvider, client: openai.OpenAI
) -> None:
    provider.script("alpha-upstream", Behaviour(call_tools=3))
    chunks = client.chat.completions.create(model="chat", messages=QUESTION, tools=[WEATHER], stream=True)
    arguments: dict[int, str] = {}
    ids: set[str] = set()
    finish = None
    for chunk in chunks:
        finish = chunk.choices[0].finish_reason or finish
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
            ids |= {call.id} if call.id else set()
    assert finish == "tool_calls"
    assert sorted(arguments) == [0, 1, 2]
    assert len(ids) == 3
    assert all(set(json.loads(text)) == {"city", "days"} for text in arguments.values())


def test_a_tool_result_travels_back_to_the_provider(gateway: Gateway, client: openai.OpenAI) -> None:
    first = client.chat.completions.create(
        model="chat", messages=QUESTION, tools=[WEATHER], tool_choice="required"
    )
    [call] = first.choices[0].message.tool_calls or []
    messages: list[Any] = [
        *QUESTION,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "Sunny — 21°"},
    ]
    answer = client.chat.completions.create(model="chat", messages=messages, tools=[WEATHER])
    assert answer.choices[0].message.content == TEXT
    assert gateway.attempts(2)[1].document()["messages"] == messages


class City(BaseModel):
    name: str
    population: int
    rivers: list[str]


def test_a_json_schema_is_kept_whole_and_streamed(gateway: Gateway, client: openai.OpenAI) -> None:
    wanted: Any = {
        "type": "json_schema",
        "json_schema": {"name": "city", "strict": True, "schema": City.model_json_schema()},
    }
    whole = client.chat.completions.create(model="chat", messages=QUESTION, response_format=wanted)
    City.model_validate_json(whole.choices[0].message.content or "")
    chunks = client.chat.completions.create(
        model="chat", messages=QUESTION, response_format=wanted, stream=True
    )
    City.model_validate_json(text_of(chunks))
    assert all(attempt.document()["response_format"] == wanted for attempt in gateway.attempts(2))


def test_parse_gives_an_object_of_the_class_asked_for(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model="chat", messages=QUESTION, response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City)


def test_a_refusal_is_passed_on(provider: FakeProvider, client: openai.OpenAI) -> None:
    provider.always("alpha-upstream", Behaviour(refusal="I would rather not."))
    whole = client.chat.completions.create(model="chat", messages=QUESTION)
    assert whole.choices[0].message.refusal == "I would rather not."
    chunks = list(client.chat.completions.create(model="chat", messages=QUESTION, stream=True))
    assert "".join(c.choices[0].delta.refusal or "" for c in chunks if c.choices) == "I would rather not."


@pytest.mark.parametrize("url", ["https://example.com/cat.png", f"data:image/png;base64,{PIXEL}"])
def test_images_reach_the_provider_as_they_were_given(
    gateway: Gateway, client: openai.OpenAI, url: str
) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is on it?"},
                {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
            ],
        }
    ]
    answer = client.chat.completions.create(model="chat", messages=messages)
    assert answer.choices[0].message.content == TEXT
    assert gateway.attempts(1)[0].document()["messages"] == messages


def test_a_large_image_goes_through_although_it_is_checked_early(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    url = "data:image/png;base64," + PIXEL * 12_000  # some 4 MiB
    messages: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    client.chat.completions.create(model="chat", messages=messages)
    [attempt] = gateway.attempts(1)
    assert attempt.document()["messages"][0]["content"][0]["image_url"]["url"] == url


def test_several_choices_come_whole_and_streamed(gateway: Gateway, client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="chat", messages=QUESTION, n=3)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    chunks = list(client.chat.completions.create(model="chat", messages=QUESTION, n=3, stream=True))
    for index, choice in enumerate(whole.choices):
        assert text_of(chunks, index) == choice.message.content
    first, second = gateway.attempts(2)
    assert first.served == second.served
    assert first.served.completion_tokens > 40


def test_logprobs_come_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="chat", messages=QUESTION, logprobs=True, top_logprobs=2)
    probabilities = whole.choices[0].logprobs
    assert probabilities is not None
    assert probabilities.content is not None
    assert "".join(token.token for token in probabilities.content) == TEXT
    assert len(probabilities.content[0].top_logprobs) == 2
    chunks = client.chat.completions.create(
        model="chat", messages=QUESTION, logprobs=True, top_logprobs=2, stream=True
    )
    tokens = [
        token.token
        for chunk in chunks
        for choice in chunk.choices
        if choice.logprobs is not None
        for token in choice.logprobs.content or []
    ]
    assert "".join(tokens) == TEXT


def test_a_length_limit_is_honoured_and_named(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="chat", messages=QUESTION, max_completion_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


def test_reasoning_text_passes_and_its_tokens_are_recorded(
    gateway: Gateway, provider: FakeProvider, client: openai.OpenAI
) -> None:
    provider.script(
        "alpha-upstream", Behaviour(reasoning_text="Six sevens.", reasoning_field="reasoning_content")
    )
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=QUESTION, stream=True)
    thoughts = [
        getattr(chunk.choices[0].delta, "reasoning_content", "") or ""
        for chunk in raw.parse()
        if chunk.choices
    ]
    assert "".join(thoughts) == "Six sevens."
    [attempt] = gateway.attempts(1)
    row = gateway.call(raw.headers["x-request-id"])
    assert row.reasoning_tokens == attempt.served.reasoning_tokens == 3
    assert row.output_tokens == attempt.served.completion_tokens


def test_cached_input_is_recorded_and_paid_at_its_own_price_whole_and_streamed(
    gateway: Gateway, provider: FakeProvider, client: openai.OpenAI
) -> None:
    used = Usage(prompt_tokens=1000, completion_tokens=10, cached_tokens=800)
    provider.always("alpha-upstream", Behaviour(usage=used))
    for stream in (False, True):
        raw = client.chat.completions.with_raw_response.create(model="chat", messages=QUESTION, stream=stream)
        if stream:
            list(raw.parse())
        row = gateway.call(raw.headers["x-request-id"])
        assert (row.input_tokens, row.cache_read_tokens, row.output_tokens) == (1000, 800, 10)
        # 200 × 0.15 + 800 × 0.075 + 10 × 0.6 = 96 USD per million
        assert row.cost_usd == "0.000096"


def test_characters_of_several_bytes_survive_a_network_that_cuts_them(
    provider: FakeProvider, client: openai.OpenAI
) -> None:
    text = "naïve ☕ 🐟 " * 20
    provider.always("alpha-upstream", Behaviour(text=text, cuts=Cuts((7,), repeat=True)))
    chunks = client.chat.completions.create(model="chat", messages=QUESTION, stream=True)
    assert text_of(chunks) == text
    whole = client.chat.completions.create(model="chat", messages=QUESTION)
    assert whole.choices[0].message.content == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asked", [True, False], ids=["usage asked", "usage not asked"])
def test_every_kind_of_provider_streams_and_is_counted_in_its_own_manner(
    gateway: Gateway, provider: FakeProvider, client: openai.OpenAI, kind: str, asked: bool
) -> None:
    manner = getattr(presets, kind)
    provider.script(f"{kind}-model", manner(reasoning_text="Well now."))
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    raw = client.chat.completions.with_raw_response.create(
        model=kind, messages=QUESTION, stream=True, max_completion_tokens=50, **options
    )
    chunks = list(raw.parse())
    assert text_of(chunks).startswith("The answer of")
    [attempt] = gateway.attempts(1)
    [row] = gateway.call(raw.headers["x-request-id"]).attempt_list
    assert not row.estimated
    assert (row.input_tokens, row.output_tokens, row.reasoning_tokens) == (
        attempt.served.prompt_tokens,
        attempt.served.completion_tokens,
        attempt.served.reasoning_tokens,
    )
    sent = attempt.document()
    assert ("stream_options" in sent) == (kind != "mistral")
    expected_limit = "max_tokens" if kind in ("deepinfra", "mistral", "nvidia") else "max_completion_tokens"
    assert sent[expected_limit] == 50
    assert ("max_tokens" in sent) != ("max_completion_tokens" in sent)


async def _async_chat(gateway: Gateway) -> tuple[str, str]:
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as client:
        whole = await client.chat.completions.create(model="chat", messages=QUESTION)
        stream = await client.chat.completions.create(model="chat", messages=QUESTION, stream=True)
        chunks = [chunk async for chunk in stream]
        return whole.choices[0].message.content or "", text_of(chunks)


def test_the_async_client_gets_the_same_whole_and_streamed(gateway: Gateway) -> None:
    assert asyncio.run(_async_chat(gateway)) == (TEXT, TEXT)


def test_fifty_calls_at_once_get_each_their_own_answer(gateway: Gateway) -> None:
    async def ask(client: openai.AsyncOpenAI, number: int) -> str:
        answer = await client.chat.completions.create(
            model="chat",
            messages=[{"role": "user", "content": f"number {number}"}],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"const": f"answer {number}"}},
            },
        )
        return answer.choices[0].message.content or ""

    async def ask_all() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=gateway.base_url, api_key=gateway.key, max_retries=0, timeout=20
        ) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(50)))

    assert asyncio.run(ask_all()) == [json.dumps(f"answer {number}") for number in range(50)]
    gateway.attempts(50)
