"""Streams that the client leaves: the provider's socket is closed at once, what it produced is recorded."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import openai
import pytest

from tests.integration.proxy.asking_across import HELLO, PATHS, PROVIDERS, question, says, script
from tests.integration.proxy.gateway import QUESTION, Gateway, chat, outcome, reason
from tests.integration.proxy.raw_client import request_bytes
from tests.integration.proxy.translating_manifest import MODELS
from tests.support.fake_provider import Attempt, Behaviour, Cut
from tests.support.saying import stream_of

MESSAGES: Any = QUESTION
# Some ten seconds of stream; nobody waits for its end.
LONG = Behaviour(text="word " * 400, tokens_per_second=40)


def check_abandoned(gateway: Gateway, left_at_seconds: float, client_saw: int) -> Attempt:
    [attempt] = gateway.attempts(1)
    assert attempt.client_left_at_seconds is not None
    assert attempt.client_left_at_seconds - left_at_seconds < 1.0
    assert not attempt.complete
    row = gateway.row_of(attempt)
    assert outcome(row) == "cancelled"
    assert reason(row) == "client_left"
    assert row.estimated
    assert row.input_tokens > 0
    # All that the client saw, and no more than the provider sent.
    assert client_saw <= row.output_tokens <= attempt.served.completion_tokens
    assert row.HasField("cost_usd")
    assert float(row.cost_usd) > 0
    return attempt


def test_a_stream_that_the_sdk_closes_early_is_stopped_and_recorded(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    gateway.provider.script("alpha-upstream", LONG)
    stream = client.chat.completions.create(model="chat", messages=MESSAGES, stream=True)
    seen = 0
    for chunk in stream:
        seen += bool(chunk.choices[0].delta.content)
        if seen == 6:
            break
    stream.close()
    check_abandoned(gateway, time.monotonic(), client_saw=6)


def test_a_stream_that_was_about_to_end_is_recorded_to_the_token(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    gateway.provider.script("alpha-upstream", Behaviour(text="word " * 12, tokens_per_second=50))
    with client.chat.completions.create(model="chat", messages=MESSAGES, stream=True) as stream:
        next(iter(stream))
    [attempt] = gateway.attempts(1)
    assert attempt.complete, "its provider was listened to for a moment more"
    row = gateway.row_of(attempt)
    assert (outcome(row), reason(row), row.estimated) == ("cancelled", "client_left", False)
    assert row.output_tokens == attempt.served.completion_tokens
    assert row.input_tokens == attempt.served.prompt_tokens


@pytest.mark.parametrize("client", ["chat", "messages"])
@pytest.mark.parametrize("model", PROVIDERS)
def test_it_is_in_every_dialect_also_where_a_first_count_came_at_the_start(
    translating: Gateway, model: str, client: str
) -> None:
    last_word = "\U0001f680".encode()
    body = stream_of(MODELS[model][3], HELLO)
    held = body.index(b"\n\n", body.index(last_word)) + 2
    script(translating, model, says(model, cut=Cut("body_bytes", held, "stall", stall_seconds=0.15)))
    document = json.dumps(question(client, model, stream=True)).encode()
    with translating.connect() as raw:
        raw.send(request_bytes(document, translating.key, PATHS[client]))
        raw.wait_for(last_word)
    [attempt] = translating.provider.wait_done(1)
    assert attempt.complete, "its provider was listened to for a moment more"
    row = translating.row_of(attempt)
    assert (outcome(row), reason(row), row.estimated) == ("cancelled", "client_left", False)
    assert (row.input_tokens, row.output_tokens) == (HELLO.input_tokens, HELLO.output_tokens)


def test_leaving_the_with_block_of_a_stream_stops_it(gateway: Gateway, client: openai.OpenAI) -> None:
    gateway.provider.script("alpha-upstream", LONG)
    with client.chat.completions.create(model="chat", messages=MESSAGES, stream=True) as stream:
        next(iter(stream))
    check_abandoned(gateway, time.monotonic(), client_saw=0)


def test_a_cancelled_task_of_the_async_client_stops_its_stream(gateway: Gateway) -> None:
    gateway.provider.script("alpha-upstream", LONG)
    seen = 0

    async def read(client: openai.AsyncOpenAI) -> None:
        nonlocal seen
        stream = await client.chat.completions.create(model="chat", messages=MESSAGES, stream=True)
        async for chunk in stream:
            seen += bool(chunk.choices[0].delta.content)

    async def leave() -> float:
        async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key) as client:
            task = asyncio.create_task(read(client))
            while seen < 5:
                await asyncio.sleep(0.01)
            task.cancel()
            left_at = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
        return left_at

    check_abandoned(gateway, asyncio.run(leave()), client_saw=5)


def test_leaving_before_the_first_token_stops_the_provider(gateway: Gateway) -> None:
    gateway.provider.script("alpha-upstream", Behaviour(first_event_delay_seconds=20))
    with gateway.connect() as raw:
        raw.send(request_bytes(b'{"model":"chat","stream":true,"messages":[]}', gateway.key))
        gateway.provider.wait_received(1)
        time.sleep(0.1)
    left_at = time.monotonic()
    [attempt] = gateway.attempts(1)
    assert attempt.client_left_at_seconds is not None
    assert attempt.client_left_at_seconds - left_at < 1.0
    assert outcome(gateway.row_of(attempt)) == "cancelled"


def test_leaving_a_whole_answer_stops_the_provider(gateway: Gateway) -> None:
    gateway.provider.script("alpha-upstream", Behaviour(headers_delay_seconds=20))
    with gateway.connect() as raw:
        raw.send(request_bytes(b'{"model":"chat","messages":[]}', gateway.key))
        gateway.provider.wait_received(1)
    left_at = time.monotonic()
    [attempt] = gateway.attempts(1)
    assert attempt.client_left_at_seconds is not None
    assert attempt.client_left_at_seconds - left_at < 1.0
    assert outcome(gateway.row_of(attempt)) == "cancelled"


def test_leaving_between_two_tries_makes_no_second_attempt(gateway: Gateway) -> None:
    gateway.provider.always("alpha-upstream", Behaviour(status=503, headers={"retry-after": "2"}))
    with gateway.connect() as raw:
        raw.send(request_bytes(b'{"model":"chat","messages":[]}', gateway.key))
        gateway.provider.wait_done(1)
    time.sleep(2.5)
    [attempt] = gateway.attempts(1)
    assert outcome(gateway.row_of(attempt)) == "error"


def test_a_reader_that_stops_reading_stops_its_provider_too(gateway: Gateway) -> None:
    """Backpressure: the proxy does not collect what its client does not take."""
    gateway.provider.script("alpha-upstream", Behaviour(text="word " * 2000, pad_bytes=64 * 1024))
    with gateway.connect() as raw:
        raw.send(request_bytes(b'{"model":"chat","stream":true,"messages":[]}', gateway.key))
        raw.read_some()
        time.sleep(0.7)
        assert gateway.provider.counts()["attempts"] == 1
        [waiting] = gateway.provider.attempts()
        assert waiting.finished_at_seconds is None  # 128 MiB would have been through long ago
    [attempt] = gateway.attempts(1)
    assert attempt.bytes_sent < 32 * 2**20
    assert outcome(gateway.row_of(attempt)) == "cancelled"


def test_fifty_streams_abandoned_at_once_leave_fifty_rows_and_no_connection(gateway: Gateway) -> None:
    gateway.provider.always("alpha-upstream", LONG)
    before = gateway.provider.counts()["open_connections"]
    clients = [gateway.connect() for _ in range(50)]
    for raw in clients:
        raw.send(request_bytes(b'{"model":"chat","stream":true,"messages":[]}', gateway.key))
    for raw in clients:
        raw.read_some()
    for raw in clients:
        raw.close()
    attempts = gateway.attempts(50)
    assert all(attempt.client_left_at_seconds is not None for attempt in attempts)
    deadline = time.monotonic() + 5
    while gateway.provider.counts()["open_connections"] > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gateway.provider.counts()["open_connections"] <= before
    ids = {attempt.client_request_id for attempt in attempts}
    deadline = time.monotonic() + 10
    rows: dict[str, Any] = {}
    while len(rows) < 50 and time.monotonic() < deadline:
        for call in gateway.calls(limit=60):
            for row in gateway.call_now(call.request_id).attempt_list:
                if row.id.replace("-", "") in ids:
                    rows[row.id] = row
    assert len(rows) == 50
    assert {outcome(row) for row in rows.values()} == {"cancelled"}
    assert all(row.input_tokens and row.output_tokens for row in rows.values())
    assert gateway.post(chat()).status == 200
