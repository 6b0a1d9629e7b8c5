"""Nothing of a client's chooses what goes upstream but the body (A5, A9): neither headers nor fields.

At every door, for every dialect of provider: an exact list of header names, the provider's own key, its own
address and path; whoever is named in the request instead is never connected to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.abuse.scale import times
from tests.abuse.target import NATIVE, VALID, ways_in
from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.raw_client import Answer, request_bytes
from tests.support.fake_provider import ANY, Attempt, Behaviour, FakeProvider

CANARY = "canary"
BOUNDARY = "abuse-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
REFUSAL = Behaviour(status=400, body={"error": {"message": "no", "type": "invalid_request_error"}})

# Of whoever asks: credentials, who it says it is, what belongs to the connection, how other gateways are led.
HOSTILE: tuple[str, ...] = (
    *("x-goog-api-key", "api-key", "cookie", "cookie2", "proxy-authorization", "www-authenticate"),
    *(
        "x-amz-security-token",
        "x-amz-date",
        "x-ms-client-principal",
        "x-auth-token",
        "ocp-apim-subscription-key",
    ),
    *("openai-organization", "openai-project", "x-goog-user-project", "helicone-auth", "x-portkey-api-key"),
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-original-url"),
    *("x-rewrite-url", "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip", "forwarded", "via"),
    *("x-http-method-override", "x-method-override", "x-request-id", "x-client-request-id", "traceparent"),
    *("tracestate", "baggage", "user-agent", "origin", "referer", "from", "keep-alive", "proxy-connection"),
    *("upgrade-insecure-requests", "http2-settings", "te", "trailer", "warning", "pragma", "cache-control"),
    *("x-base-url", "x-api-base", "x-upstream", "x-target-url", "host-override", "x-host", "destination"),
    *("x-canary", "x-headgate-task", "x-headgate-user", "x-headgate-session", "x-stainless-lang", "dnt"),
)
CONNECTION = {"connection": "keep-alive, x-canary, authorization, content-type", "accept": "canary/*"}
COMMON = {"host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"}
OURS = COMMON | {"x-client-request-id"}
KEY_HEADERS = {"authorization", "x-api-key", "x-goog-api-key"}

# What other gateways and SDKs take out of a body.
FIELDS: tuple[str, ...] = (
    *("api_base", "base_url", "api_key", "api_version", "api_type", "azure_endpoint", "azure_ad_token"),
    *("headers", "extra_headers", "default_headers", "extra_query", "extra_body", "organization", "project"),
    *("proxy", "proxies", "http_proxy", "http_client", "transport", "custom_llm_provider", "deployment_id"),
    *(
        "litellm_params",
        "litellm_settings",
        "model_list",
        "user_config",
        "fallbacks",
        "router",
        "mock_response",
    ),
    *(
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_region_name",
        "vertex_project",
        "vertex_credentials",
    ),
    *("provider_url", "endpoint", "url", "upstream", "host", "authorization", "x-api-key", "webhook_url"),
)


@pytest.fixture
def elsewhere() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


def doors() -> list[tuple[str, bytes, str, str]]:
    """Path, body, content type and model of each way in, forms included."""
    found = [
        (path, json.dumps(document).encode(), "application/json", str(document["model"]))
        for path, document in ways_in()
    ]
    for path, model in (("/v1/audio/transcriptions", "whisper"), ("/v1/images/edits", "painter")):
        found.append((path, form({"model": model, "prompt": "hi"}), FORM, model))
    return found


def form(fields: dict[str, str]) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join([*parts, f"--{BOUNDARY}--\r\n"]).encode()


def check_head(gateway: Gateway, attempt: Attempt, model: str) -> None:
    names = [name for name, _ in attempt.headers]
    assert len(names) == len(set(names))
    own = set(names) & KEY_HEADERS
    assert len(own) == 1, names
    allowed = OURS | own | ({"anthropic-version", "anthropic-beta"} if own == {"x-api-key"} else set())
    assert set(names) <= allowed, set(names) - allowed
    assert (attempt.header(own.pop()) or "").removeprefix("Bearer ") == f"pk-{model}"
    assert attempt.header("host") == gateway.provider.url.removeprefix("http://")
    assert attempt.header("content-length") == str(len(attempt.body))
    assert attempt.header("user-agent") == "headgate"
    assert CANARY not in repr(attempt.headers)
    assert VALID not in repr(attempt)


def test_from_every_door_only_the_allowed_headers_go_upstream(gateway: Gateway) -> None:
    gateway.provider.always(ANY, REFUSAL)
    hostile = dict.fromkeys(HOSTILE, CANARY)
    ways = doors()
    for path, body, content_type, model in ways:
        given = {**hostile, **CONNECTION, "content-type": content_type, "x-api-key": CANARY}
        answer = gateway.post(body, path, key=VALID, headers=given)
        assert answer.status == 400, answer.body
        assert CANARY.encode() not in answer.body
        check_head(gateway, gateway.attempts(1)[0], model)
        gateway.provider.reset()
        gateway.provider.always(ANY, REFUSAL)


@pytest.mark.parametrize(
    "headers",
    [
        {"anthropic-version": "2023-06-01 canary"},
        {"anthropic-version": "canary"},
        {"anthropic-beta": "a\x0bb"},
        {"anthropic-beta": "a; x-canary"},
        {"anthropic-beta": "é"},
        {"anthropic-beta": "x" * 3_000},
    ],
    ids=repr,
)
def test_a_dialects_own_header_is_checked_before_it_travels(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    body = json.dumps({"model": "claude", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9})
    answer = gateway.post(body.encode(), "/v1/messages", key=VALID, headers=headers)
    assert answer.status == 400
    assert gateway.provider.attempts() == []


# What of a client's head a provider's own API gets: as it came.
NATIVE_HEADERS = {
    *("accept", "accept-language", "content-type", "range", "if-none-match", "if-match", "idempotency-key"),
    *("anthropic-version", "anthropic-beta", "openai-beta", "x-goog-upload-command"),
}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("model", ["gpt-plain", "claude"])
def test_to_a_providers_own_api_go_the_headers_of_the_list(gateway: Gateway, model: str, method: str) -> None:
    gateway.provider.always(ANY, Behaviour(body={"id": "x"}))
    given = {**dict.fromkeys(HOSTILE, CANARY), **CONNECTION, **dict.fromkeys(NATIVE_HEADERS, "listed")}
    body = b"" if method in ("GET", "DELETE") else b"{}"
    path = f"/providers/at-{model}/v1/files?a=b"
    assert gateway.request(method, path, body, key=NATIVE, headers=given).status == 200
    [attempt] = gateway.attempts(1)
    key_header = "x-api-key" if model == "claude" else "authorization"
    expected = NATIVE_HEADERS | {key_header, "host", "user-agent", "accept-encoding", "content-length"}
    assert {name for name, _ in attempt.headers} == expected | {"x-client-request-id"}
    assert (attempt.header(key_header) or "").removeprefix("Bearer ") == f"pk-{model}"
    assert (attempt.method, attempt.path) == (method, "/v1/files?a=b")
    assert CANARY not in repr(attempt.headers)
    assert NATIVE not in repr(attempt)


@pytest.mark.parametrize(
    "target",
    ["//evil.test/v1", "/v1/../../x", "/v1/%2e%2e/x", "/v1/a%2fb", "/v1/a%00", "/v1\\x", "/v1/x@evil.test:1"],
)
def test_a_providers_own_api_is_no_way_to_another_address(gateway: Gateway, target: str) -> None:
    gateway.provider.always(ANY, Behaviour(body={"id": "x"}))
    answer = gateway.post(b"{}", f"/providers/at-gpt-plain{target}", key=NATIVE)
    attempts = gateway.provider.wait_done(0)
    if answer.status == 200:  # a path with an odd name, at our provider
        assert [attempt.path for attempt in attempts] == [target]
    else:
        assert 400 <= answer.status < 500
        assert attempts == []


def places(document: dict[str, Any], injected: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields at the top, in objects that gateways look into, and in whatever the request has."""
    bags = ("metadata", "extra_body", "litellm_params", "options", "provider", "stream_options", "store")
    found = [{**document, **injected}, *({**document, bag: injected} for bag in bags)]
    message = {"role": "user", "content": [{"type": "text", "text": "hi", **injected}], **injected}
    if "messages" in document:
        found.append({**document, "messages": [message]})
        found.append({**document, "messages": [{"role": "system", "content": "x", **injected}, message]})
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, **injected}}
    found.append({**document, "tools": [{**tool, **injected}]})
    found.append({**document, "tools": [{"type": "mcp", "server_url": injected["url"], **injected}]})
    found.append({**document, "response_format": {"type": "json_object", **injected}})
    return found


def test_no_field_anywhere_in_a_body_changes_address_or_credential(
    gateway: Gateway, elsewhere: FakeProvider
) -> None:
    """A9. Whether the request is taken or refused, nobody else is asked, and with no other key."""
    values: list[Any] = [f"{elsewhere.base_url}#{CANARY}", {"authorization": f"Bearer {CANARY}"}]
    values += [[{"api_base": elsewhere.base_url}], {"url": elsewhere.url, "api_key": CANARY}][: times(1, 2)]
    asked = 0
    with gateway.connect() as client:
        for path, good in ways_in():
            for value in values:
                injected = dict.fromkeys(FIELDS, value)
                for document in places(good, injected):
                    gateway.provider.reset()
                    gateway.provider.always(ANY, REFUSAL)
                    client.send(request_bytes(json.dumps(document).encode(), VALID, path))
                    asked += taken(gateway, client.answer(), good["model"])
    assert asked > len(ways_in()) * len(values)
    assert elsewhere.counts()["connections_opened"] == 0


def taken(gateway: Gateway, answer: Answer, model: str) -> int:
    """1 if the request went upstream: as any other did, and with the model's own address and key."""
    assert answer.status == 400, answer.body
    attempts = gateway.provider.wait_done(0)
    assert len(attempts) <= 1
    for attempt in attempts:
        check_head(gateway, attempt, model)
    return len(attempts)


def test_no_field_of_a_form_or_a_query_does_either(gateway: Gateway, elsewhere: FakeProvider) -> None:
    for path, model in (("/v1/audio/transcriptions", "whisper"), ("/v1/images/edits", "painter")):
        for name in FIELDS:
            gateway.provider.reset()
            gateway.provider.always(ANY, REFUSAL)
            body = form({"model": model, "prompt": "hi", name: elsewhere.base_url})
            query = f"?{name}={elsewhere.base_url}&key={CANARY}"
            answer = gateway.post(body, path + query, key=VALID, headers={"content-type": FORM})
            assert taken(gateway, answer, model) == 1
            assert gateway.provider.attempts()[0].path == path
    assert elsewhere.counts()["connections_opened"] == 0
