"""`route explain`, health in `get providers` and /metrics: what is said agrees with what calls do."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway, chat
from tests.support.fake_provider import Behaviour, FakeProvider
from tests.support.processes import start_headgate
from tests.support.provider.presets import rate_limited, server_error

NAMES = ("cheap", "dear", "good", "broken", "resting", "slow")
PRICES = {"dear": {"input": 100, "output": 100}, "cheap": {"input": 0.1, "output": 0.1}}
IMAGE = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
SECONDS = 30.0
SUM = "request.task == 'sum'"
USER = "request.user == 'u-7'"


def manifest(base_url: str) -> dict[str, Any]:
    providers = [
        {
            "name": name,
            "tenant": "*",
            "kind": "openai-compatible",
            "keys": [f"pk-{name}"],
            "base_url": base_url,
            "private_network": True,
            "region": "eu",
        }
        for name in NAMES
    ]
    models: list[dict[str, Any]] = [
        {
            "name": name,
            "tenant": "*",
            "provider": name,
            "price": PRICES.get(name, {"input": 1, "output": 1}),
            "quality": {"default": 0.9 if name == "good" else 0.5},
        }
        for name in NAMES
    ]
    models[0]["capabilities"] = ["tools"]
    providers.append({**providers[0], "name": "far", "region": "us", "serve_regions": ["mars"]})
    models.append({"name": "far", "tenant": "*", "provider": "far", "price": {"input": 1, "output": 1}})
    return {
        "tenants": [{"name": "acme", "residency": ["ch"]}],
        "providers": providers,
        "models": models,
        "routes": [
            {
                "name": "cheapest-of",
                "policy": {"cheapest": {"of": ["dear", "cheap", "good", "far"]}},
                "client_strategies": ["fastest"],
            },
            {"name": "floor", "policy": {"cheapest": {"of": ["dear", "cheap", "good"], "min_quality": 0.8}}},
            {"name": "split", "policy": {"weighted": [{"use": "dear"}, {"use": "good", "weight": 3}]}},
            {"name": "splits", "policy": {"weighted": [{"use": "dear"}, {"use": {"route": "split"}}]}},
            {"name": "tasks", "policy": {"cases": [{"when": SUM, "use": "good"}, {"use": "dear"}]}},
            {"name": "users", "policy": {"cases": [{"when": USER, "use": "good"}, {"use": "dear"}]}},
            {"name": "failing", "policy": {"fallback": ["broken", "good"]}, "retry": {"attempts": 1}},
            {"name": "limited", "policy": {"fallback": ["resting", "good"]}, "retry": {"attempts": 1}},
            {"name": "shared", "tenant": "*", "policy": {"fallback": ["good", "dear"]}},
            {"name": "quick", "policy": {"fastest": {"of": ["slow", "dear"]}}},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("explain")
    with FakeProvider() as provider, start_headgate(folder, manifest(provider.base_url)) as headgate:
        gateway = Gateway(headgate, provider)
        yield gateway
        gateway.close()


def explain(gateway: Gateway, *arguments: str) -> dict[str, Any]:
    done = gateway.headgate.cli("route", "explain", *arguments)
    assert done.returncode == 0, done.stderr
    (item,) = json.loads(done.stdout)["items"]
    found: dict[str, Any] = item
    return found


def reasons(explained: dict[str, Any]) -> dict[str, str | None]:
    return {candidate["model"]: candidate["reason"] for candidate in explained["candidates"]}


def order(explained: dict[str, Any]) -> list[str]:
    return [candidate["model"] for candidate in explained["candidates"] if candidate["eligible"]]


def eventually(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.3)
    return found


def test_it_tells_the_order_the_prices_and_who_is_left_out(gateway: Gateway) -> None:
    found = explain(gateway, "cheapest-of", "--input-tokens", "1000")
    assert found["chosen"] == "cheap"
    assert order(found) == ["cheap", "good", "dear"]
    assert reasons(found)["far"] == "region_not_served"
    costs = {one["model"]: one["expected_cost_usd"] for one in found["candidates"]}
    # 1,000 tokens in and 300 (the prior) out, at 0.1 USD a million.
    assert float(costs["cheap"]) == pytest.approx(1_300 * 0.1 / 1e6)
    assert found["candidates"][0]["share"] == 1.0
    assert gateway.provider.attempts() == [], "nobody was called"


def test_what_it_chooses_is_what_a_call_gets(gateway: Gateway, tmp_path: Path) -> None:
    body = chat("cheapest-of", max_tokens=5)
    body["messages"] = [{"role": "user", "content": IMAGE}]
    file = tmp_path / "request.json"
    file.write_text(json.dumps(body))
    found = explain(gateway, "cheapest-of", "--request", str(file))
    assert found["chosen"] == "good"
    assert reasons(found)["cheap"] == "no_vision"
    assert gateway.post(body).header("x-headgate-model") == "good/good"


@pytest.mark.parametrize("said", [{"user": "u-7"}, {"metadata": {"user_id": "u-7"}}])
def test_whose_a_request_is_is_read_from_its_body(
    gateway: Gateway, tmp_path: Path, said: dict[str, Any]
) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(chat("users", **said)))
    assert explain(gateway, "users", "--request", str(file))["chosen"] == "good"
    assert explain(gateway, "users", "--request", str(file), "--user", "other")["chosen"] == "dear"


def test_floors_cases_and_chances_are_told(gateway: Gateway) -> None:
    assert reasons(explain(gateway, "floor")) == {
        "good": None,
        "dear": "quality_too_low",
        "cheap": "quality_too_low",
    }
    assert explain(gateway, "tasks", "--task", "sum")["chosen"] == "good"
    assert reasons(explain(gateway, "tasks"))["good"] == "not_chosen"
    split = explain(gateway, "split")
    assert {one["model"]: one["share"] for one in split["candidates"]} == {"good": 0.75, "dear": 0.25}
    splits = explain(gateway, "splits")  # one chance after the other, not the same one again
    assert {one["model"]: one["share"] for one in splits["candidates"]} == {
        "good": pytest.approx(0.375, abs=0.1),
        "dear": pytest.approx(0.625, abs=0.1),
    }
    dear = explain(gateway, "cheapest-of", "--max-cost-usd", "0.001")
    assert reasons(dear)["dear"] == "over_max_cost"


def test_another_tenants_regions_are_kept(gateway: Gateway) -> None:
    found = explain(gateway, "shared", "--tenant", "acme")
    assert found["chosen"] is None
    assert reasons(found) == {"good": "residency", "dear": "residency"}


def test_suffixes_keys_and_names_are_those_of_clients(gateway: Gateway) -> None:
    assert explain(gateway, "cheapest-of:fastest")["route"] == "cheapest-of:fastest"
    assert explain(gateway, "good/good")["chosen"] == "good"
    assert explain(gateway, "cheapest", "--key", "quickstart")["chosen"] == "cheap"
    for arguments, code, said in (
        (["nowhere"], 3, "there is no route or model 'nowhere'"),
        (["floor:race"], 4, "`client_strategies` of 'floor' do not name 'race'"),
        (["floor", "--key", "nobody"], 3, "there is no key 'nobody'"),
        (["floor", "--metadata", "x"], 2, "is not K=V"),
        (["floor", "--request", "nowhere.json"], 3, "there is no file"),
    ):
        done = gateway.headgate.cli("route", "explain", *arguments)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_an_open_circuit_shows_everywhere_and_closes_again(gateway: Gateway) -> None:
    gateway.provider.always("broken", server_error())

    def opened() -> dict[str, Any] | None:
        for _ in range(3):
            assert gateway.post(chat("failing")).status == 200
        found = explain(gateway, "failing")
        return found if reasons(found)["broken"] == "circuit_open" else None

    found = eventually(opened)
    assert order(found) == ["good", "broken"]
    assert found["candidates"][1]["health"] == "open"
    done = gateway.headgate.cli("get", "provider", "broken", "--tenant", "*")
    (health,) = json.loads(done.stdout)["items"][0]["state"]["health"]
    assert (health["model"], health["region"]) == ("broken", "local")
    assert health["state"] in ("open", "half_open")
    with urllib.request.urlopen(f"{gateway.headgate.ops}/metrics") as answer:
        text = answer.read().decode()
    assert "headgate_circuit_state{key=" in text
    assert 'model="broken",provider="broken",tenant="*"}' in text
    gateway.provider.always("broken", Behaviour())

    def closed() -> bool:
        gateway.post(chat("failing"))
        return bool(explain(gateway, "failing")["candidates"][0]["health"] == "closed")

    eventually(closed)


def test_a_resting_key_shows_with_its_reason(gateway: Gateway) -> None:
    gateway.provider.always("resting", rate_limited("60"))
    assert gateway.post(chat("limited")).header("x-headgate-model") == "good/good"
    found = eventually(lambda: (e := explain(gateway, "limited"))["chosen"] == "good" and e)
    assert reasons(found)["resting"] == "keys_resting"
    done = gateway.headgate.cli("get", "provider", "resting", "--tenant", "*")
    (health,) = json.loads(done.stdout)["items"][0]["state"]["health"]
    assert health["state"] == "rate_limited"
    assert 0 < health["seconds"] <= 60


def test_measured_latency_is_told_and_decides(gateway: Gateway) -> None:
    gateway.provider.always("slow", Behaviour(headers_delay_seconds=0.3))
    for _ in range(4):
        gateway.post(chat("quick"))

    def measured() -> dict[str, Any] | None:
        gateway.post(chat("quick"))
        found = explain(gateway, "quick")
        return found if all(one["first_token_ms"] is not None for one in found["candidates"]) else None

    found = eventually(measured)
    assert found["chosen"] == "dear"
    figures = {one["model"]: one["first_token_ms"] for one in found["candidates"]}
    assert figures["slow"] >= 300 > figures["dear"]
