"""Who is asked at all, through the public door: cases, residency, deadlines; the receipt says why not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.raw_client import Answer
from tests.support.fake_provider import Behaviour, FakeProvider
from tests.support.processes import start_headgate
from tests.support.provider.presets import server_error

NAMES = ("plain", "coder", "eye", "home", "abroad", "slow", "sleepy")
REGIONS = {"home": "eu", "abroad": "us"}
IMAGE = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
CASES = {
    "cases": [
        {"when": "request.has_images", "use": "eye"},
        {"when": "request.task == 'code' || request.metadata.team == 'core'", "use": "coder"},
        {"when": "request.input_tokens > 500 && !request.stream", "use": "slow"},
        {"when": "request.key == 'quickstart' && request.region == 'local'", "use": "plain"},
        {"use": "abroad"},
    ]
}


def manifest(base_url: str) -> dict[str, Any]:
    providers = [
        {
            "name": name,
            "tenant": "*",
            "kind": "openai-compatible",
            "keys": [f"pk-{name}"],
            "base_url": base_url,
            "private_network": True,
            "circuit_failures": 0,
            **({"region": REGIONS[name]} if name in REGIONS else {}),
        }
        for name in NAMES
    ]
    models: list[dict[str, Any]] = [
        {"name": name, "tenant": "*", "provider": name, "price": {"input": 1, "output": 1}} for name in NAMES
    ]
    models[0]["capabilities"] = ["tools"]
    routes = [
        {"name": "cases", "policy": CASES, "retry": {"attempts": 1}},
        {"name": "only-some", "policy": {"cases": [{"when": "request.task == 'code'", "use": "coder"}]}},
        {"name": "anywhere", "tenant": "*", "policy": {"fallback": ["abroad", "plain", "home"]}},
        {"name": "blind", "policy": {"cheapest": {"of": ["plain", "eye"], "min_quality": 0.5}}},
        {
            "name": "late",
            "policy": {"fallback": ["plain", "sleepy"]},
            "retry": {"attempts": 1},
            "timeouts": {"total": "1500ms"},
        },
        {"name": "just-sleepy", "policy": "sleepy"},
    ]
    return {
        "tenants": [{"name": "acme", "residency": ["eu", "ch"]}],
        "providers": providers,
        "models": models,
        "routes": routes,
    }


@pytest.fixture(scope="module")
def routing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("who")
    with FakeProvider() as provider, start_headgate(folder, manifest(provider.base_url)) as headgate:
        gateway = Gateway(headgate, provider)
        yield gateway
        gateway.close()


@pytest.fixture
def script(routing: Gateway) -> FakeProvider:
    routing.provider.wait_done(0)
    routing.provider.reset()
    return routing.provider


@pytest.fixture(scope="module")
def resident(routing: Gateway) -> str:
    """A key of the tenant whose calls stay in the EU and Switzerland; it may call everything."""
    done = routing.headgate.cli(
        "key", "create", "at-home", "--tenant", "acme", "--allow", "*", "--allow", "*/*", "-o", "json"
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["items"][0]["secret"])


def model(answer: Answer) -> str | None:
    assert answer.status == 200, answer.body
    return answer.header("x-headgate-model")


def excluded(routing: Gateway, answer: Answer) -> dict[str, str]:
    receipt = routing.receipt(answer.request_id)
    return {item["model"]: item["reason"] for item in receipt["excluded"]}


# Cases.


@pytest.mark.parametrize(
    ("document", "headers", "answered_by"),
    [
        (chat("cases"), {}, "plain"),
        (chat("cases"), {"x-headgate-task": "code"}, "coder"),
        (chat("cases"), {"x-headgate-metadata": '{"team": "core"}'}, "coder"),
        ({"model": "cases", "messages": [{"role": "user", "content": IMAGE}]}, {}, "eye"),
        ({"model": "cases", "messages": [{"role": "user", "content": "word " * 500}]}, {}, "slow"),
    ],
    ids=["else", "task", "metadata", "image", "long"],
)
def test_the_first_case_that_holds_answers(
    routing: Gateway,
    script: FakeProvider,
    document: dict[str, Any],
    headers: dict[str, str],
    answered_by: str,
) -> None:
    answer = routing.post(document, headers=headers)
    assert model(answer) == f"{answered_by}/{answered_by}"


def test_a_case_is_the_clients_dialect_whatever_it_is(routing: Gateway, script: FakeProvider) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    content = [{"type": "image", "source": source}]
    document = {"model": "cases", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
    assert model(routing.post(document, "/v1/messages")) == "eye/eye"


def test_where_no_case_holds_nobody_answers_and_the_client_is_told(
    routing: Gateway, script: FakeProvider
) -> None:
    answer = routing.post(chat("only-some"))
    assert answer.status == 400
    assert answer.error()["code"] == "no_capable_model"
    assert not script.attempts()


# Residency.


@pytest.mark.parametrize("stream", [False, True])
def test_a_tenants_calls_stay_in_its_regions_also_by_a_shared_route(
    routing: Gateway, script: FakeProvider, resident: str, stream: bool
) -> None:
    answer = routing.post(chat("anywhere", stream=stream), key=resident)
    assert model(answer) == "home/home"
    assert [attempt.model for attempt in routing.attempts(1)] == ["home"]
    # The same route, called by a tenant that says nothing about regions.
    assert model(routing.post(chat("anywhere"))) == "abroad/abroad"


@pytest.mark.parametrize("name", ["abroad", "plain", "abroad/abroad", "abroad/undeclared", "cheapest:race"])
def test_a_call_that_would_leave_the_regions_leaves_nothing(
    routing: Gateway, script: FakeProvider, resident: str, name: str
) -> None:
    answer = routing.post(chat(name), key=resident)
    assert answer.status in (400, 403, 404)
    assert not script.attempts()
    if name == "abroad":
        assert answer.error()["excluded"] == [{"model": "abroad", "reason": "residency"}]
        assert "abroad (residency)" in answer.error()["message"]


def test_when_the_last_provider_in_the_region_fails_nobody_else_is_asked(
    routing: Gateway, script: FakeProvider, resident: str
) -> None:
    script.always("home", server_error())
    assert routing.post(chat("anywhere"), key=resident).status == 502
    assert {attempt.model for attempt in script.attempts()} == {"home"}


def test_native_calls_stay_in_the_regions_too(routing: Gateway, script: FakeProvider, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    passthrough = ["abroad GET /v1/*", "home GET /v1/*"]
    file.write_text(json.dumps({"keys": [{"name": "n", "tenant": "acme", "passthrough": passthrough}]}))
    secrets = tmp_path / "secrets.json"
    done = routing.headgate.cli("apply", "-f", str(file), "--secrets-out", str(secrets))
    assert done.returncode == 0, done.stderr
    key = str(json.loads(secrets.read_text())["items"][0]["secret"])
    answer = routing.get("/providers/abroad/v1/models", key=key)
    assert answer.status == 403
    assert "outside the regions" in answer.error()["message"]
    assert routing.get("/providers/home/v1/models", key=key).status != 403


def test_a_tenants_regions_change_without_a_restart(
    routing: Gateway, script: FakeProvider, resident: str, tmp_path: Path
) -> None:
    file = tmp_path / "tenant.json"
    for regions, expected in ((["us"], "abroad/abroad"), (["eu"], "home/home")):
        file.write_text(json.dumps({"tenants": [{"name": "acme", "residency": regions}]}))
        done = routing.headgate.cli("apply", "-f", str(file))
        assert done.returncode == 0, done.stderr
        assert model(routing.post(chat("anywhere"), key=resident)) == expected


# Saying why.


def test_the_receipt_says_who_was_left_out_and_why(
    routing: Gateway, script: FakeProvider, resident: str
) -> None:
    by_region = routing.post(chat("anywhere"), key=resident)
    answer = routing.get(f"/headgate/v1/receipts/{by_region.request_id}", key=resident)
    found = {item["model"]: item["reason"] for item in answer.document()["excluded"]}
    assert found == {"abroad": "residency", "plain": "residency"}


def test_when_everyone_is_left_out_the_error_names_each_with_its_reason(
    routing: Gateway, script: FakeProvider
) -> None:
    answer = routing.post({"model": "blind", "messages": [{"role": "user", "content": IMAGE}]})
    assert answer.status == 400
    assert answer.error()["code"] == "no_capable_model"
    found = {item["model"]: item["reason"] for item in answer.error()["excluded"]}
    assert found == {"plain": "no_vision", "eye": "no_evidence_yet"}
    assert "plain (no_vision), eye (no_evidence_yet)" in answer.error()["message"]


def test_nothing_is_started_that_cannot_be_there_in_time(routing: Gateway, script: FakeProvider) -> None:
    script.always("sleepy", Behaviour(headers_delay_seconds=1.2))
    assert routing.post(chat("just-sleepy")).status == 200  # now it is known to take 1.2 s
    script.always("plain", server_error(headers_delay_seconds=0.6))
    begin = time.monotonic()
    answer = routing.post(chat("late"))
    assert answer.status == 502
    assert time.monotonic() - begin < 1.2, "it did not wait for the deadline either"
    assert [attempt.model for attempt in script.attempts()] == ["sleepy", "plain"]
    assert excluded(routing, answer) == {"sleepy": "too_slow_for_deadline"}
