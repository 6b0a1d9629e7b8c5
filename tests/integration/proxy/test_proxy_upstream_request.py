"""What a provider is sent: an exact list of headers, the tenant's own key, and nothing of the client's."""

from __future__ import annotations

import json

import pytest

from tests.integration.proxy.gateway import Gateway, chat, same_id
from tests.integration.proxy.gateway_manifest import PROVIDER_KEY
from tests.support.provider import presets

# Every header, in order, with its value; None: checked by itself.
ALLOWED = {
    "host": None,
    "user-agent": "headgate",
    "accept": "application/json",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "authorization": f"Bearer {PROVIDER_KEY}",
    "x-org": "42",
    "content-length": None,
    "x-client-request-id": None,
}
HOSTILE = {
    "x-api-key": "hg-canary",
    "api-key": "canary",
    "cookie": "session=canary",
    "proxy-authorization": "Basic canary",
    "openai-organization": "canary",
    "openai-project": "canary",
    "openai-beta": "canary",
    "x-forwarded-for": "10.0.0.1, canary",
    "x-forwarded-host": "canary",
    "forwarded": "for=canary",
    "x-real-ip": "canary",
    "via": "canary",
    "x-client-request-id": "canary",
    "x-request-id": "canary",
    "idempotency-key": "canary",
    "traceparent": "00-canary",
    "user-agent": "canary",
    "accept": "canary/*",
    "accept-language": "canary",
    "origin": "http://canary",
    "referer": "http://canary",
    "te": "trailers, canary",
    "trailer": "x-canary",
    "connection": "keep-alive, x-canary",
    "x-canary": "canary",
    "x-org": "canary",
    "x-base-url": "http://canary",
    "x-headgate-task": "canary",
    "x-headgate-session": "canary",
    "x-headgate-user": "canary",
    "x-headgate-metadata": '{"canary":"canary"}',
    "x-stainless-lang": "canary",
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
def test_exactly_the_allowed_headers_go_upstream(gateway: Gateway, path: str, stream: bool) -> None:
    document = {"model": "chat", "stream": stream, "messages": [], "prompt": "x", "input": "x"}
    headers = {**HOSTILE, "host": "evil.example:81", "authorization": f"Bearer {gateway.key}"}
    answer = gateway.post(document, path, key=None, headers=headers)
    assert answer.status == 200
    [attempt] = gateway.attempts(1)
    assert [name for name, _ in attempt.headers] == list(ALLOWED)
    for name, value in attempt.headers:
        assert ALLOWED[name] in (None, value)
        assert "canary" not in value
    assert attempt.header("host") == gateway.provider.url.removeprefix("http://")
    assert attempt.header("content-length") == str(len(attempt.body))
    assert attempt.method == "POST"
    assert attempt.path == path
    assert gateway.key not in repr(attempt)


def test_every_attempt_carries_its_own_id_which_is_that_of_its_row(gateway: Gateway) -> None:
    gateway.provider.script("alpha-upstream", presets.server_error(500), presets.server_error(500))
    answer = gateway.post(chat("chain"))
    rows = gateway.call(answer.request_id).attempt_list
    attempts = gateway.attempts(2)
    assert len({attempt.client_request_id for attempt in attempts}) == 2
    for attempt, row in zip(attempts, rows, strict=True):
        assert same_id(row.id, attempt.client_request_id)
        assert row.upstream_request_id == f"req_fake_{attempt.number}"
    assert answer.request_id not in [attempt.client_request_id for attempt in attempts]


@pytest.mark.parametrize(
    "model",
    [
        "fake/a\r\nx-evil: 1",
        "fake/a\nx-evil: 1",
        "fake/a\0b",
        "fake/ünï☕",
        'fake/"quoted"\\',
        "fake/a HTTP/1.1\r\n\r\nGET / HTTP/1.1",
        "fake/../../v1/models",
        "fake/a?b=c#d",
        "fake/" + "x" * 200,
    ],
)
def test_a_models_name_is_data_wherever_it_goes(gateway: Gateway, model: str) -> None:
    answer = gateway.post(chat(model))
    assert answer.status == 200
    [attempt] = gateway.attempts(1)
    assert attempt.document()["model"] == model.removeprefix("fake/")
    assert [name for name, _ in attempt.headers] == list(ALLOWED)
    assert attempt.path == "/v1/chat/completions"
    assert answer.header("x-evil") is None
    assert gateway.call(answer.request_id).attempt_list[0].upstream_model


def test_no_label_of_a_request_becomes_a_header_of_its_answer(gateway: Gateway) -> None:
    answer = gateway.post(chat("nowhere\r\nx-evil: 1", user="a\r\nx-evil: 1"))
    assert answer.status == 404
    assert answer.header("x-evil") is None
    assert "\r\n" in json.loads(answer.body)["error"]["message"].encode().decode("unicode_escape")


def test_an_answers_headers_are_exactly_these(gateway: Gateway) -> None:
    common = {
        "content-type",
        "x-headgate-route",
        "x-headgate-model",
        "x-request-id",
        "x-headgate-attempts",
        "x-headgate-cache",
        "x-headgate-overhead-ms",
    }
    whole = gateway.post(chat())
    assert {name for name, _ in whole.headers} == common | {"x-headgate-cost-usd", "content-length"}
    streamed = gateway.post(chat(stream=True))
    assert {name for name, _ in streamed.headers} == common | {"cache-control", "transfer-encoding"}
