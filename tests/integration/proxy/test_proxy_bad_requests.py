"""Requests that are no good before their body counts: keys, models, headers."""

from __future__ import annotations

import json

import pytest

from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.gateway_manifest import EXPIRED, NARROW, NOTHING, REVOKED
from tests.integration.proxy.raw_client import Answer, request_bytes

# Addresses of their own, so that the throttle for failed keys does not fall on other tests.
STRANGER = "127.0.0.7"
GUESSER = "127.0.0.8"


@pytest.fixture(scope="module")
def bad_keys(shared_gateway: Gateway) -> dict[str, str | None]:
    """By what is wrong with them. The expired one was valid for a second after the start."""
    shared_gateway.headgate.items("key", "revoke", "revoked")
    quickstart = shared_gateway.key
    return {
        "none": None,
        "unknown": "hg-AAAAAAAAAAAA-" + "A" * 43,
        "wrong secret": quickstart[:-1] + ("a" if quickstart[-1] != "a" else "b"),
        "public part alone": "-".join(quickstart.split("-")[:2]),
        "revoked": REVOKED,
        "expired": EXPIRED,
        "not ours": "sk-0123456789",
        "very long": "hg-" + "x" * 5000,
        "a hash": "0" * 64,
        "bytes": "hg-\xff\xfe",
        "sql": "' OR 1=1; --",
    }


def shape(answer: Answer) -> tuple[int, list[str], bytes]:
    """All that a stranger can see, apart from the request's id."""
    return answer.status, [name for name, _ in answer.headers], answer.body


def test_no_unknown_wrong_revoked_and_expired_keys_get_one_identical_answer(
    gateway: Gateway, bad_keys: dict[str, str | None]
) -> None:
    answers = {name: gateway.post(chat(), key=key, source=STRANGER) for name, key in bad_keys.items()}
    assert all(answer.status == 401 for answer in answers.values())
    assert all(answer.error()["code"] == "invalid_api_key" for answer in answers.values())
    assert len({repr(shape(answer)) for answer in answers.values()}) == 1
    assert gateway.provider.attempts() == []


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/chat", "/headgate/v1/receipts/" + "0" * 32])
def test_every_path_of_the_api_asks_for_a_key(gateway: Gateway, path: str) -> None:
    assert gateway.get(path, key=None).status == 401
    assert gateway.get(path, key=REVOKED).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {key}"},
        {"authorization": "bearer {key}"},
        {"Authorization": "BEARER {key}"},
        {"AUTHORIZATION": "Bearer   {key}  "},
        {"x-api-key": "{key}"},
        {"X-Api-Key": "{key}"},
    ],
)
def test_a_key_is_taken_from_either_header(gateway: Gateway, headers: dict[str, str]) -> None:
    filled = {name: value.format(key=gateway.key) for name, value in headers.items()}
    assert gateway.post(chat(), key=None, headers=filled).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "{key}"},
        {"authorization": "Basic {key}"},
        {"authorization": "Bearer {key} {key}"},
        {"authorization": "Bearer"},
        {"authorization": ""},
        {"x-api-key": " "},
        {"api-key": "{key}"},
        {"cookie": "authorization=Bearer {key}"},
        {"proxy-authorization": "Bearer {key}"},
    ],
)
def test_a_key_in_any_other_place_is_no_key(gateway: Gateway, headers: dict[str, str]) -> None:
    filled = {name: value.format(key=gateway.key) for name, value in headers.items()}
    answer = gateway.post(chat(), key=None, headers=filled, source=STRANGER)
    assert answer.status == 401
    assert gateway.provider.attempts() == []


def test_a_key_in_the_query_is_no_key(gateway: Gateway) -> None:
    path = f"/v1/chat/completions?api_key={gateway.key}&key={gateway.key}"
    assert gateway.post(chat(), path, key=None, source=STRANGER).status == 401


def test_guessing_is_throttled_by_address_and_valid_keys_pass_from_there(gateway: Gateway) -> None:
    statuses = []
    with gateway.connect(GUESSER) as client:
        for number in range(110):
            client.send(request_bytes(b"{}", f"hg-{number:012d}-guess"))
            answer = client.answer()
            statuses.append(answer.status)
            if answer.status == 429:
                break
    assert statuses == [401] * 100 + [429]
    assert answer.error()["code"] == "rate_limit_exceeded"
    assert int(answer.header("retry-after") or 0) > 0
    assert gateway.post(chat(), source=GUESSER).status == 200
    assert gateway.post(chat(), key="hg-unknown", source=STRANGER).status == 401


@pytest.mark.parametrize(
    ("key", "model", "status", "code"),
    [
        (NARROW, "chat", 200, None),
        (NARROW, "fake/beta-upstream", 200, None),
        (NARROW, "beta", 403, "model_not_allowed"),
        (NARROW, "fake/alpha-upstream", 403, "model_not_allowed"),
        (NARROW, "fake/undeclared", 403, "model_not_allowed"),
        (NARROW, "chain", 403, "model_not_allowed"),
        (NARROW, "nowhere", 404, "model_not_found"),
        (NOTHING, "chat", 403, "model_not_allowed"),
        (NOTHING, "alpha", 403, "model_not_allowed"),
        ("", "nowhere", 404, "model_not_found"),
        ("", "nobody/gpt-4o", 404, "model_not_found"),
        ("", "/", 404, "model_not_found"),
        ("", "fake/", 404, "model_not_found"),
        ("", " chat", 404, "model_not_found"),
        ("", "CHAT", 404, "model_not_found"),
        ("", "chat\n", 404, "model_not_found"),
        ("", "x" * 100_000, 404, "model_not_found"),
        (NARROW, "cheapest", 403, "model_not_allowed"),
        ("", "chat:race", 403, "model_not_allowed"),
    ],
)
def test_a_model_is_looked_up_exactly_and_only_for_who_may_call_it(
    gateway: Gateway, key: str, model: str, status: int, code: str | None
) -> None:
    answer = gateway.post(chat(model), key=key)
    assert answer.status == status
    if code is not None:
        error = answer.error()
        assert (error["code"], error["param"]) == (code, "model")
        assert answer.header("x-headgate-error") == code
        assert len(answer.body) < 1000
        assert gateway.provider.attempts() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-headgate-", "x"),
        ("x-headgate-unknown", "x"),
        ("X-Headgate-Taks", "x"),
        ("x-headgate-task", ""),
        ("x-headgate-task", "x" * 257),
        ("x-headgate-task", "\udcff\udcfe"),
        ("x-headgate-user", " "),
        ("x-headgate-user", "a\tb"),
        ("x-headgate-session", "\u2028"),
        ("x-headgate-timeout-ms", "0"),
        ("x-headgate-timeout-ms", "-5"),
        ("x-headgate-timeout-ms", "+5"),
        ("x-headgate-timeout-ms", "1.5"),
        ("x-headgate-timeout-ms", "1e3"),
        ("x-headgate-timeout-ms", "5s"),
        ("x-headgate-timeout-ms", "1_000"),
        ("x-headgate-timeout-ms", "²"),
        ("x-headgate-timeout-ms", "٣"),
        ("x-headgate-timeout-ms", "3600001"),
        ("x-headgate-timeout-ms", "9" * 5000),
        ("x-headgate-receipt", "true"),
        ("x-headgate-receipt", "INLINE"),
        ("x-headgate-metadata", "team=core"),
        ("x-headgate-metadata", "[]"),
        ("x-headgate-metadata", "null"),
        ("x-headgate-metadata", '{"a":{}}'),
        ("x-headgate-metadata", '{"a":[]}'),
        ("x-headgate-metadata", '{"a":null}'),
        ("x-headgate-metadata", '{"a":NaN}'),
        ("x-headgate-metadata", '{"a":"\\ud800"}'),
        ("x-headgate-metadata", "[" * 10_000),
        ("x-headgate-metadata", json.dumps({"a": "x" * 257})),
        ("x-headgate-metadata", json.dumps({"x" * 257: "a"})),
        ("x-headgate-metadata", json.dumps({str(number): 1 for number in range(17)})),
        ("x-headgate-cache", "off"),
        ("x-headgate-prompt", "terse"),
        ("x-headgate-max-cost-usd", "-1"),
        ("x-headgate-max-cost-usd", "1,50"),
        ("x-headgate-max-cost-usd", "NaN"),
    ],
    ids=lambda text: text[:30].encode("ascii", "backslashreplace").decode(),
)
def test_an_unknown_malformed_or_planned_header_is_a_400_that_names_it(
    gateway: Gateway, name: str, value: str
) -> None:
    # An empty value would leave the header out; a blank one is stripped by any parser.
    answer = gateway.post(chat(), headers={name: value or " "})
    assert answer.status == 400
    assert answer.error()["param"] == name.lower()
    assert gateway.provider.attempts() == []


def test_labels_in_headers_are_recorded(gateway: Gateway) -> None:
    headers = {
        "x-headgate-task": "summarise",
        "x-headgate-session": "s-1",
        "x-headgate-user": "Jürgen",
        "x-headgate-metadata": '{"team":"core","n":7,"on":true}',
    }
    answer = gateway.post(chat(user="somebody else"), headers=headers)
    assert answer.status == 200
    call = gateway.call(answer.request_id)
    assert (call.task, call.user) == ("summarise", "Jürgen")
    teams = gateway.headgate.usage("--by", "metadata.team")
    assert any(row["metadata.team"] == "core" for row in teams)
