"""Errors and receipts across dialects: what a provider of one says, the SDK of another must understand.

Status, type, code, param and the time to wait survive; inside a stream an error is an event on which the SDK
raises.
"""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from tests.integration.proxy.asking_across import (
    CLIENTS,
    PATHS,
    PROVIDERS,
    ask,
    cost,
    error_of,
    question,
    says,
    script,
    text_of,
)
from tests.integration.proxy.asking_across import (
    HELLO as SAID,
)
from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.raw_client import request_bytes
from tests.integration.proxy.sdk_talk import anthropic_client, openai_client, talk
from tests.integration.proxy.translating_manifest import MODELS, NARROW
from tests.support.fake_provider import Behaviour, Cut
from tests.support.saying import stream_of

EVERY_CLIENT = pytest.mark.parametrize("client", CLIENTS)
HELLO = {"role": "user", "content": "hi"}


def refusal(gateway: Gateway, client: str, model: str, *, key: str | None = "", **fields: Any) -> Any:
    document = json.dumps(question(client, model, **fields)).encode()
    return gateway.request("POST", PATHS[client], document, key=key)


# Of our own.


@pytest.mark.parametrize(
    ("key", "model", "status", "code", "anthropic_type"),
    [
        ("hg-nobodyNobody-" + "x" * 43, "gpt", 401, "invalid_api_key", "authentication_error"),
        (None, "gpt", 401, "invalid_api_key", "authentication_error"),
        (NARROW, "claude", 403, "model_not_allowed", "permission_error"),
        ("", "nothing-like-it", 404, "model_not_found", "not_found_error"),
    ],
)
@EVERY_CLIENT
def test_our_own_refusals_have_both_forms(
    translating: Gateway,
    client: str,
    key: str | None,
    model: str,
    status: int,
    code: str,
    anthropic_type: str,
) -> None:
    answer = refusal(translating, client, model, key=key)
    assert answer.status == status
    assert answer.header("x-headgate-error") == code
    error = error_of(client, answer)
    assert error["code"] == code
    if client == "messages":
        assert error["type"] == anthropic_type
    elif status in (403, 404):
        assert error["param"] == "model"


@pytest.mark.parametrize("stream", [False, True])
def test_a_race_refuses_a_wrong_field_as_any_target_does(translating: Gateway, stream: bool) -> None:
    alone, raced = (
        ask(translating, "chat", model, stop=5, stream=stream)
        for model in ("only-claude", "claude-or-gemini")
    )
    assert raced.status == alone.status == 400
    assert raced.error() == alone.error()
    assert raced.error()["param"] == "stop"
    assert translating.provider.attempts() == []


@EVERY_CLIENT
def test_a_body_beyond_the_limit_is_a_413_in_both_forms(translating: Gateway, client: str) -> None:
    with translating.connect() as connection:
        head = request_bytes(b"", translating.key, PATHS[client], headers={"content-length": str(40 * 2**20)})
        connection.send(head)
        answer = connection.answer()
    assert answer.status == 413
    assert answer.document()["error"]["code"] == "request_too_large"
    if client == "messages":
        assert answer.document()["error"]["type"] == "request_too_large"


@pytest.mark.parametrize(
    ("client", "fields", "param"),
    [
        ("chat", {"messages": [{"role": "critic", "content": "x"}]}, "messages[0].role"),
        ("chat", {"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        (
            "messages",
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        ("messages", {"max_tokens": None}, "max_tokens"),
        ("responses", {"input": [{"type": "function_call", "name": "x"}]}, "input[0].call_id"),
        ("responses", {"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
    ],
)
def test_a_wrong_field_is_a_400_that_names_its_path(
    translating: Gateway, client: str, fields: dict[str, Any], param: str
) -> None:
    answer = ask(translating, client, "gemini", **fields)
    assert answer.status == 400
    error = error_of(client, answer)
    assert error["param"] == param
    assert param in error["message"]
    translating.attempts(0)


# Of a provider.

BUSY = {"error": {"message": "Slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"}
GEMINI_BUSY = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "message": "Slow down",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "QUOTA"}, RETRY_INFO],
    }
}


@EVERY_CLIENT
@pytest.mark.parametrize(
    ("model", "behaviour", "seconds"),
    [
        (
            "limited-claude",
            Behaviour(
                status=429,
                headers={"retry-after": "11"},
                body={"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}},
            ),
            "11",
        ),
        ("limited-gemini", Behaviour(status=429, body=GEMINI_BUSY), "18"),
        ("limited-gemini", Behaviour(status=429, body=[GEMINI_BUSY]), "18"),
    ],
)
def test_a_rate_limit_keeps_its_status_and_its_time_to_wait(
    translating: Gateway, client: str, model: str, behaviour: Behaviour, seconds: str
) -> None:
    """The key rests afterwards, for longer than a call sits out: the next test's call does not reach it."""
    translating.provider.always("*", behaviour)
    answer = ask(translating, client, f"only-{model}")
    assert answer.status == 429
    assert int(answer.header("retry-after") or 0) in range(1, int(seconds) + 1)
    assert answer.header("x-should-retry") == "false"
    assert error_of(client, answer)["type"] == "rate_limit_error"


def test_the_sdks_raise_their_own_rate_limit_error(translating: Gateway) -> None:
    translating.provider.always("*", Behaviour(status=429, headers={"retry-after": "11"}, body=BUSY))
    with anthropic_client(translating) as client, pytest.raises(anthropic.RateLimitError) as by_anthropic:
        client.messages.create(model="only-limited-claude", max_tokens=9, messages=[HELLO])  # type: ignore[list-item]
    assert by_anthropic.value.response.headers["retry-after"]
    with openai_client(translating) as other, pytest.raises(openai.RateLimitError) as by_openai:
        other.responses.create(model="only-limited-gemini", input="hi")
    assert by_openai.value.response.headers["retry-after"]


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
FAILED = {"error": {"code": 500, "status": "INTERNAL", "message": "Overloaded"}}
DOWN = {"error": {"message": "Overloaded", "type": "server_error", "code": None, "param": None}}


@EVERY_CLIENT
@pytest.mark.parametrize(
    ("model", "status", "body"),
    [("claude", 529, OVERLOADED), ("gemini", 500, FAILED), ("gpt-plain", 503, DOWN), ("pro", 500, DOWN)],
)
def test_a_failed_provider_is_a_502_that_lists_the_attempts(
    translating: Gateway, client: str, model: str, status: int, body: dict[str, Any]
) -> None:
    script(translating, model, Behaviour(status=status, body=body))
    answer = ask(translating, client, f"only-{model}")
    assert answer.status == 502
    error = error_of(client, answer)
    assert (error["code"], error["attempts"][0]["status"]) == ("upstream_error", status)
    assert "Overloaded" in error["message"]
    if client == "messages":
        assert error["type"] == "api_error"


@EVERY_CLIENT
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_provider_key_is_never_the_clients_401(
    translating: Gateway, client: str, status: int
) -> None:
    body = {"error": {"code": status, "status": "PERMISSION_DENIED", "message": "pk-rejected-gemini"}}
    translating.provider.always("*", Behaviour(status=status, body=body))
    answer = ask(translating, client, "only-rejected-gemini")
    assert answer.status == 502
    assert error_of(client, answer)["code"] == "provider_key_rejected"
    assert b"pk-" not in answer.body


@EVERY_CLIENT
@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("claude", {"type": "error", "error": {"type": "not_found_error", "message": "model: x"}}),
        ("gemini", {"error": {"code": 404, "status": "NOT_FOUND", "message": "model: x"}}),
        (
            "gpt-plain",
            {"error": {"message": "model: x", "type": "invalid_request_error", "code": "model_not_found"}},
        ),
    ],
)
def test_a_model_that_the_provider_does_not_know_is_a_404(
    translating: Gateway, client: str, model: str, body: dict[str, Any]
) -> None:
    script(translating, model, Behaviour(status=404, body=body))
    answer = ask(translating, client, f"only-{model}")
    assert answer.status == 404
    error = error_of(client, answer)
    assert error["message"] == "model: x"
    if client == "messages":
        assert error["type"] == "not_found_error"


@EVERY_CLIENT
@pytest.mark.parametrize("model", PROVIDERS)
def test_an_error_too_deep_to_be_repeated_keeps_its_status(
    translating: Gateway, client: str, model: str
) -> None:
    deep = '{"a":' * 300 + "1" + "}" * 300
    body = f'{{"error": {{"message": "bad", "type": "invalid_request_error", "more": {deep}}}}}'
    script(translating, model, Behaviour(status=400, body=body.encode()))
    answer = ask(translating, client, f"only-{model}")
    assert answer.status == 400
    assert error_of(client, answer)["message"] == "bad"


def test_param_and_code_of_a_providers_400_survive(translating: Gateway) -> None:
    body = {
        "error": {
            "message": "Too long",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    }
    script(translating, "gpt-plain", Behaviour(status=400, body=body))
    error = error_of("messages", ask(translating, "messages", "only-gpt-plain"))
    assert (error["type"], error["code"], error["param"]) == (
        "invalid_request_error",
        "context_length_exceeded",
        "messages",
    )


# Inside streams.


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("model", PROVIDERS)
def test_the_sdks_raise_on_a_stream_that_breaks_off(translating: Gateway, client: str, model: str) -> None:
    body = stream_of(MODELS[model][3], SAID)
    cut = body.index(b"\n\n", body.index(b"Hel")) + 2
    script(translating, model, Behaviour(body=body, stream=True, cut=Cut("body_bytes", cut)))
    expected = (openai.APIError, anthropic.APIError)
    with (
        talk(translating, client, f"only-{model}", metadata={"user_id": "u"}) as conversation,
        pytest.raises(expected) as raised,
    ):
        conversation.ask(stream=True)
    assert "at-" + model in str(raised.value)


@EVERY_CLIENT
@pytest.mark.parametrize("model", PROVIDERS)
def test_a_provider_that_does_not_stream_is_heard_as_events_all_the_same(
    translating: Gateway, client: str, model: str
) -> None:
    if client == MODELS[model][3]:
        return  # passes as it came
    script(translating, model, says(model, stream=False))
    answer = ask(translating, client, model, stream=True)
    assert (answer.header("content-type") or "").startswith("text/event-stream")
    assert text_of(client, answer) == "Hello 🚀"
    [row] = translating.call(answer.request_id).attempt_list
    assert (row.input_tokens, row.output_tokens, row.estimated) == (30, 20, False)


@EVERY_CLIENT
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>busy</html>", b"data: {}\n\n", b"data: x\n\n"])
def test_a_200_that_is_no_answer_falls_back(
    translating: Gateway, client: str, stream: bool, body: bytes
) -> None:
    script(translating, "gpt-plain", Behaviour(body=body, stream=stream))
    script(translating, "gemini", says("gemini", stream=stream))
    if client == "chat" and body == b"{}" and not stream:
        return  # passes as it came: it is JSON, and says of nothing that it failed
    answer = ask(translating, client, "gpt-then-gemini", stream=stream)
    assert text_of(client, answer) == "Hello 🚀"
    assert answer.header("x-headgate-attempts") == "2"


# Receipts.


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@EVERY_CLIENT
@pytest.mark.parametrize("model", PROVIDERS)
def test_an_inline_receipt_is_in_every_dialects_answer(
    translating: Gateway, client: str, model: str, stream: bool
) -> None:
    script(translating, model, says(model, stream=stream))
    answer = ask(translating, client, model, headers={"x-headgate-receipt": "inline"}, stream=stream)
    assert answer.status == 200
    if stream:
        found = [event["headgate"] for event in answer.events() if "headgate" in event]
        assert len(found) == 1
        (receipt,) = found
        kinds = [event["type"] for event in answer.events() if event != "[DONE]" and "type" in event]
        last = {"chat": [], "messages": ["message_stop"], "responses": ["response.completed"]}[client]
        assert kinds[-1:] == last
        if client == "chat":
            assert answer.events()[-1] == "[DONE]"
    else:
        receipt = answer.document()["headgate"]
    assert receipt["request_id"] == answer.request_id
    assert (receipt["input_tokens"], receipt["output_tokens"], receipt["outcome"]) == (30, 20, "ok")
    assert float(receipt["cost_usd"]) == pytest.approx(
        float(cost(plain=20, cache_read=10, output=20)), abs=1e-12
    )
    assert receipt == translating.receipt(answer.request_id)
    assert receipt["attempts"][0]["upstream_model"] == MODELS[model][1]


@EVERY_CLIENT
def test_the_headers_of_an_answer_are_the_same_in_every_dialect(translating: Gateway, client: str) -> None:
    script(translating, "gemini", says("gemini", stream=False))
    answer = ask(translating, client, "gemini")
    assert answer.header("x-headgate-model") == "at-gemini/gemini-3-flash-preview"
    assert answer.header("x-headgate-attempts") == "1"
    assert answer.header("content-type") == "application/json"
    assert answer.header("request-id") == (answer.request_id if client == "messages" else None)
    [row] = translating.call(answer.request_id).attempt_list
    assert row.upstream_request_id.startswith("req_fake_")
