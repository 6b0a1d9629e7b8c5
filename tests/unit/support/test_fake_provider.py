"""The fake provider says what the OpenAI SDK expects, and its ledger says what it did."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing

import openai
import pytest

from tests.support.fake_provider import Behaviour, FakeProvider, Usage
from tests.support.provider import presets
from tests.support.provider.documents import embedding_of

KEY = "test-provider-key"
QUESTION: list[openai.types.chat.ChatCompletionMessageParam] = [
    {"role": "user", "content": "What is six by seven?"}
]


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: FakeProvider) -> FakeProvider:
    shared_provider.wait_done(0)  # an answer still under way would come into the next test's ledger
    shared_provider.reset()
    return shared_provider


@pytest.fixture
def client(provider: FakeProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=provider.base_url, api_key=KEY, max_retries=0, timeout=5.0) as client:
        yield client


def raw_connection(provider: FakeProvider, model: str, *, stream: bool = True) -> socket.socket:
    """A client whose leaving can be controlled to the packet; the request is sent."""
    body = json.dumps({"model": model, "stream": stream, "messages": QUESTION}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: fake\r\ncontent-length: {len(body)}\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", provider.port), timeout=5.0)
    connection.sendall(head.encode() + body)
    return connection


def test_a_whole_and_a_streamed_answer_say_the_same(client: openai.OpenAI, provider: FakeProvider) -> None:
    whole = client.chat.completions.create(model="m", messages=QUESTION)
    parts = list(
        client.chat.completions.create(
            model="m", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    assert text == whole.choices[0].message.content
    assert parts[-1].usage == whole.usage
    first, second = provider.wait_done(2)
    assert first.served == second.served
    assert (first.complete, second.complete, second.usage_sent) == (True, True, True)
    assert whole.usage is not None
    assert first.served.completion_tokens == whole.usage.completion_tokens


def test_an_insisted_tool_is_called_with_fitting_arguments(client: openai.OpenAI) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
        "required": ["city", "days"],
    }
    tool: openai.types.chat.ChatCompletionToolParam = {
        "type": "function",
        "function": {"name": "weather", "parameters": schema},
    }
    whole = client.chat.completions.create(model="m", messages=QUESTION, tools=[tool], tool_choice="required")
    call = (whole.choices[0].message.tool_calls or [])[0]
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"city": "text", "days": 2}
    stream = client.chat.completions.create(
        model="m", messages=QUESTION, tools=[tool], tool_choice="required", stream=True
    )
    deltas = [part.choices[0].delta.tool_calls for part in stream if part.choices]
    pieces = [delta[0].function.arguments or "" for delta in deltas if delta and delta[0].function]
    assert "".join(pieces) == call.function.arguments
    assert len(pieces) > 2


def test_n_schema_and_logprobs_are_honoured(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="m",
        messages=QUESTION,
        n=3,
        logprobs=True,
        top_logprobs=2,
        response_format={"type": "json_object"},
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert "".join(token.token for token in logprobs.content) == answer.choices[0].message.content
    assert len(logprobs.content[0].top_logprobs) == 2


def test_embeddings_are_the_same_in_both_encodings(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(model="e", input=["one", "two"], dimensions=8)
    floats = client.embeddings.create(model="e", input=["one", "two"], dimensions=8, encoding_format="float")
    assert packed.data[1].embedding == pytest.approx(floats.data[1].embedding)
    assert floats.data[0].embedding == pytest.approx(embedding_of("one", 8), abs=1e-6)


def test_models_are_those_that_were_scripted(client: openai.OpenAI, provider: FakeProvider) -> None:
    provider.always("gpt-x", Behaviour())
    assert [model.id for model in client.models.list()] == ["gpt-x"]


def test_the_queue_goes_before_the_standing_order(client: openai.OpenAI, provider: FakeProvider) -> None:
    provider.always("m", Behaviour(text="always"))
    provider.script("m", presets.rate_limited(retry_after="7"), Behaviour(text="once"))
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(model="m", messages=QUESTION)
    assert limited.value.response.headers["retry-after"] == "7"
    texts = [
        client.chat.completions.create(model="m", messages=QUESTION).choices[0].message.content for _ in "ab"
    ]
    assert texts == ["once", "always"]


def test_a_rejected_key_is_401_and_another_is_not(client: openai.OpenAI, provider: FakeProvider) -> None:
    provider.reject_keys(KEY)
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="m", messages=QUESTION)
    assert client.with_options(api_key="test-other-key").chat.completions.create(model="m", messages=QUESTION)


@pytest.mark.parametrize(("leave", "how"), [("close", "closed"), ("reset", "reset")])
def test_the_ledger_records_when_and_how_a_client_left(provider: FakeProvider, leave: str, how: str) -> None:
    provider.script("m", Behaviour(tokens_per_second=20, text="word " * 100))
    with closing(raw_connection(provider, "m")) as connection:
        while b"word" not in connection.recv(4096):
            pass
        if leave == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left_at_seconds = time.monotonic()
    (attempt,) = provider.wait_done(1)
    assert attempt.client_left_how == how
    assert attempt.client_left_at_seconds == pytest.approx(left_at_seconds, abs=0.5)
    assert not attempt.complete
    assert not attempt.usage_sent
    assert 1 <= attempt.served.completion_tokens < 100
    assert attempt.bytes_sent > 0


def test_a_client_that_leaves_a_silent_provider_is_noticed(provider: FakeProvider) -> None:
    provider.script("m", presets.silence())
    with closing(raw_connection(provider, "m")):
        provider.wait_received(1)
    (attempt,) = provider.wait_done(1)
    assert (attempt.status, attempt.client_left_how, attempt.bytes_sent) == (None, "closed", 0)


def test_a_request_that_never_came_completely_is_not_an_attempt(provider: FakeProvider) -> None:
    before = provider.counts()["incomplete_requests"]
    with closing(socket.create_connection(("127.0.0.1", provider.port))) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 100\r\n\r\n{")
    deadline = time.monotonic() + 5
    while provider.counts()["incomplete_requests"] == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert provider.counts()["incomplete_requests"] == before + 1
    assert provider.attempts() == []


def test_the_attempt_has_the_headers_as_they_came(client: openai.OpenAI, provider: FakeProvider) -> None:
    client.chat.completions.create(
        model="m", messages=QUESTION, extra_headers={"X-Client-Request-Id": "id-1"}
    )
    (attempt,) = provider.wait_done(1)
    assert attempt.client_request_id == "id-1"
    assert attempt.header("authorization") == f"Bearer {KEY}"
    assert attempt.document()["messages"] == QUESTION


def test_scripted_usage_is_what_is_said_and_what_is_recorded(
    client: openai.OpenAI, provider: FakeProvider
) -> None:
    usage = Usage(prompt_tokens=100, completion_tokens=50, cached_tokens=80, reasoning_tokens=30)
    provider.script("m", Behaviour(usage=usage))
    answer = client.chat.completions.create(model="m", messages=QUESTION)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 80
    assert provider.wait_done(1)[0].served == usage
