"""What the OpenAI SDK raises: its own error classes, with the code, the message and the request's id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.integration.proxy.gateway import QUESTION, Gateway, outcome, reason
from tests.integration.proxy.gateway_manifest import NARROW
from tests.support.fake_provider import Behaviour, Cut, ErrorEvent
from tests.support.provider import presets

MESSAGES: Any = QUESTION


def sdk(gateway: Gateway, key: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=gateway.base_url, api_key=key, **{"max_retries": 0, "timeout": 15, **options}
    )


def code_of(error: openai.APIStatusError) -> Any:
    assert error.request_id, "the SDK shows the request id to people who ask for help"
    assert error.response.headers["x-headgate-error"]
    return error.code


def test_an_unknown_key_raises_an_authentication_error(gateway: Gateway) -> None:
    with (
        sdk(gateway, "hg-000000000000-nobody") as client,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        client.chat.completions.create(model="chat", messages=MESSAGES)
    assert code_of(raised.value) == "invalid_api_key"
    assert gateway.provider.attempts() == []


def test_a_model_outside_the_keys_allow_list_raises_permission_denied(gateway: Gateway) -> None:
    with sdk(gateway, NARROW) as client:
        with pytest.raises(openai.PermissionDeniedError) as raised:
            client.chat.completions.create(model="beta", messages=MESSAGES)
        assert client.chat.completions.create(model="chat", messages=MESSAGES).choices
    assert code_of(raised.value) == "model_not_allowed"
    gateway.attempts(1)


def test_an_unknown_model_raises_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="chatt", messages=MESSAGES)
    assert code_of(raised.value) == "model_not_found"
    assert raised.value.param == "model"


def test_a_wrong_type_raises_bad_request_and_names_the_field(client: openai.OpenAI) -> None:
    wrong: Any = "hello"
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="chat", messages=wrong)
    assert code_of(raised.value) == "invalid_request_error"
    assert raised.value.param == "messages"


def test_a_providers_400_raises_bad_request_with_the_providers_words(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    body = {"error": {"message": "temperature too hot", "type": "t", "code": "hot", "param": "temperature"}}
    gateway.provider.script("alpha-upstream", Behaviour(status=400, body=body))
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="chat", messages=MESSAGES)
    assert (raised.value.code, raised.value.param) == ("hot", "temperature")
    assert "temperature too hot" in raised.value.message
    gateway.attempts(1)


def test_a_rate_limited_provider_raises_rate_limit_error_and_is_not_asked_again(gateway: Gateway) -> None:
    gateway.provider.always("sdk-limited-model", presets.rate_limited("77"))
    # With the SDK's own retries: `x-should-retry: false` must stop them.
    with sdk(gateway, gateway.key, max_retries=2) as client, pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model="sdk-limited", messages=MESSAGES)
    assert code_of(raised.value) == "rate_limit_exceeded"
    assert raised.value.response.headers["retry-after"] == "77"
    gateway.attempts(1)


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [
        (presets.server_error(500), 502, "upstream_error"),
        (presets.server_error(503), 502, "upstream_error"),
        (presets.cut_before_headers(), 502, "upstream_error"),
        (presets.silence(), 504, "upstream_timeout"),
    ],
    ids=["500", "503", "reset", "silence"],
)
def test_a_failing_provider_raises_a_status_error_once(
    gateway: Gateway, behaviour: Behaviour, status: int, code: str
) -> None:
    gateway.provider.always("alpha-upstream", behaviour)
    with sdk(gateway, gateway.key, max_retries=2) as client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model="brief", messages=MESSAGES)
    assert raised.value.status_code == status
    assert isinstance(raised.value, openai.InternalServerError)
    assert code_of(raised.value) == code
    attempts = gateway.provider.wait_done(1)
    # A connection that had been idle is given a second chance, with the same id.
    assert len({attempt.client_request_id for attempt in attempts}) == 1


def test_a_client_timeout_is_the_clients_and_frees_the_provider(gateway: Gateway) -> None:
    gateway.provider.always("alpha-upstream", presets.silence())
    with sdk(gateway, gateway.key, timeout=0.4) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="steady", messages=MESSAGES)
    left = time.monotonic()
    [attempt] = gateway.attempts(1)
    assert attempt.client_left_at_seconds is not None
    assert attempt.client_left_at_seconds < left + 1
    row = gateway.row_of(attempt)
    assert outcome(row) == "cancelled"
    assert reason(row) == "client_left"
    assert row.estimated
    assert row.input_tokens > 0


def test_the_timeout_header_shortens_the_call(gateway: Gateway, client: openai.OpenAI) -> None:
    gateway.provider.always("alpha-upstream", presets.silence())
    begun = time.monotonic()
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(
            model="chat", messages=MESSAGES, extra_headers={"x-headgate-timeout-ms": "500"}
        )
    assert raised.value.status_code == 504
    assert 0.4 < time.monotonic() - begun < 2.5


def streamed(client: openai.OpenAI, **options: Any) -> list[Any]:
    """The chunks until the stream ends; raises what the SDK raises."""
    return list(client.chat.completions.create(model="hasty", messages=MESSAGES, stream=True, **options))


@pytest.mark.parametrize("form", ["openai", "groq", "openrouter", "openrouter_top"])
def test_an_error_in_a_stream_is_raised_in_whatever_form_a_provider_says_it(
    gateway: Gateway, client: openai.OpenAI, form: Any
) -> None:
    gateway.provider.script("alpha-upstream", Behaviour(error_event=ErrorEvent(form, after_events=4)))
    with pytest.raises(openai.APIError) as raised:
        streamed(client)
    assert not isinstance(raised.value, openai.APIStatusError)
    assert "overloaded" in raised.value.message
    row = gateway.row_of(gateway.attempts(1)[0])
    assert outcome(row) == "error"
    assert row.output_tokens == 3  # what came after the role
    assert row.estimated


@pytest.mark.parametrize("form", ["openai", "groq", "openrouter", "openrouter_top"])
def test_an_error_that_a_stream_begins_with_is_a_real_status(
    gateway: Gateway, client: openai.OpenAI, form: Any
) -> None:
    gateway.provider.script("alpha-upstream", Behaviour(error_event=ErrorEvent(form, after_events=1)))
    with pytest.raises(openai.APIStatusError) as raised:
        streamed(client)
    assert raised.value.status_code == 502


BREAKS: dict[str, Callable[[], Behaviour]] = {
    "reset": lambda: presets.cut_after_events(5),
    "close": lambda: presets.cut_after_events(5, "close"),
    "mid event": lambda: presets.cut_mid_event(5, "close"),
    "no terminal event": presets.no_terminal_event,
    "no terminal event, no length": lambda: presets.no_terminal_event(framing="close"),
    "stall": lambda: presets.stall_after_events(5),
    "length promised": lambda: presets.no_terminal_event(framing="content-length", content_length_extra=9),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_stream_that_breaks_is_raised_and_never_ends_cleanly(
    gateway: Gateway, client: openai.OpenAI, kind: str
) -> None:
    gateway.provider.script("alpha-upstream", BREAKS[kind]())
    raw = client.chat.completions.with_raw_response.create(model="hasty", messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIError) as raised:
        list(raw.parse())
    body: Any = raised.value.body
    assert body["code"] == ("upstream_timeout" if kind == "stall" else "upstream_error")
    assert body["attempts"][0]["model"] == "fake/alpha-upstream"
    row = gateway.row_of(gateway.attempts(1)[0])
    assert outcome(row) == ("timeout" if kind == "stall" else "error")
    assert row.estimated
    assert row.input_tokens > 0
    assert row.output_tokens > 0
    assert row.HasField("cost_usd")


def test_a_stream_that_breaks_after_its_finish_is_complete(gateway: Gateway, client: openai.OpenAI) -> None:
    gateway.provider.script("alpha-upstream", Behaviour(done=False, cut=Cut("end", how="close")))
    chunks = streamed(client)
    assert chunks[-1].choices[0].finish_reason == "stop"
    row = gateway.row_of(gateway.attempts(1)[0])
    assert outcome(row) == "ok"
    assert not row.estimated
    assert row.output_tokens == 16


def test_every_error_class_is_the_same_for_the_async_client(gateway: Gateway) -> None:
    async def ask(model: str, key: str) -> str:
        async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
            try:
                await client.chat.completions.create(model=model, messages=MESSAGES)
            except openai.APIStatusError as error:
                return type(error).__name__
        return "answered"

    gateway.provider.always("gamma-upstream", Behaviour(status=422))
    assert asyncio.run(ask("chat", "nobody")) == "AuthenticationError"
    assert asyncio.run(ask("beta", NARROW)) == "PermissionDeniedError"
    assert asyncio.run(ask("nowhere", gateway.key)) == "NotFoundError"
    assert asyncio.run(ask("gamma", gateway.key)) == "UnprocessableEntityError"
    assert asyncio.run(ask("dead", gateway.key)) == "InternalServerError"
