"""`headgate replay`: recorded calls through another policy, against figures that are worked out by hand.

Real calls of a real proxy are recorded first; nothing is called by the replays.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway, chat
from tests.support.fake_provider import Behaviour, FakeProvider, Usage
from tests.support.processes import start_headgate
from tests.support.provider.presets import server_error

PRICES = {"big": ("10", "20"), "small": ("1", "2"), "other": ("3", "3"), "broken": ("1", "1")}
CALLS, FAILED, STREAMS = 12, 6, 6
# What every answer is said to have used.
USED = Usage(prompt_tokens=1_000, completion_tokens=100)
MILLION = Decimal(1_000_000)


def cost(model: str, calls: int = 1, output: int = 100) -> Decimal:
    price_in, price_out = map(Decimal, PRICES[model])
    return calls * (1_000 * price_in + output * price_out) / MILLION


def manifest(base_url: str) -> dict[str, Any]:
    return {
        "providers": [
            {
                "name": name,
                "kind": "openai-compatible",
                "keys": [f"pk-{name}"],
                "base_url": base_url,
                "private_network": True,
                "circuit_failures": 0,
            }
            for name in PRICES
        ],
        "models": [
            {"name": name, "provider": name, "price": {"input": price[0], "output": price[1]}}
            for name, price in PRICES.items()
        ],
        "routes": [
            {"name": "main", "policy": "big"},
            {"name": "side", "policy": {"fallback": ["broken", "other"]}, "retry": {"attempts": 1}},
            {"name": "gone", "policy": "other"},
        ],
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """After twelve calls of `main`, half of them streams, six of `side`, which fails over, and others."""
    folder: Path = tmp_path_factory.mktemp("replay")
    with FakeProvider() as provider, start_headgate(folder, manifest(provider.base_url)) as headgate:
        gateway = Gateway(headgate, provider)
        for name in PRICES:
            provider.always(name, Behaviour(usage=USED))
        provider.always("broken", server_error())
        ids = []
        for number in range(CALLS):
            ids.append(gateway.post(chat("main", stream=number % 2 == 0)).request_id)
        ids += [gateway.post(chat("side")).request_id for _ in range(FAILED)]
        for _ in range(3):
            gateway.post(chat("small"))
        ids.append(gateway.post(chat("gone")).request_id)
        for request_id in ids:
            gateway.call(request_id)
        done = headgate.cli("delete", "route", "gone")
        assert done.returncode == 0, done.stderr
        deadline = time.monotonic() + 10
        while "gone" in headgate.cli("get", "routes").stdout:
            assert time.monotonic() < deadline
        provider.reset()
        yield gateway
        gateway.close()


def replay(gateway: Gateway, tmp_path: Path, overlay: dict[str, Any], *arguments: str) -> dict[str, Any]:
    file = tmp_path / "other.json"
    file.write_text(json.dumps(overlay))
    done = gateway.headgate.cli("replay", "-f", str(file), "--since", "1h", *arguments)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert not gateway.provider.attempts(), "nobody was called"
    return report


def mix(report: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {item["model"]: (item["recorded_calls"], item["replayed_calls"]) for item in report["items"]}


def test_the_same_policy_comes_to_what_was_recorded(gateway: Gateway, tmp_path: Path) -> None:
    report = replay(gateway, tmp_path, {})
    paid = cost("big", CALLS) + cost("other", FAILED) + cost("small", 3)
    assert Decimal(report["recorded"]["cost_usd"]) == paid
    # `broken` fails always: what is expected is what happened.
    assert Decimal(report["replayed"]["cost_usd"]) == paid
    assert report["calls"] == CALLS + FAILED + 3
    assert report["skipped"] == [{"name": "gone", "why": "is no route or model of this config", "calls": 1}]
    assert (report["recorded"]["failed"], report["replayed"]["failed"]) == (0, 0)
    assert report["moved"] == FAILED, "the target that comes first is not the one that answered"
    for name in ("p50_ms", "first_token_p50_ms"):
        assert report["recorded"][name] is not None
        assert report["replayed"][name] is not None


def test_another_model_is_paid_at_its_own_price_and_shown_in_the_mix(
    gateway: Gateway, tmp_path: Path
) -> None:
    report = replay(gateway, tmp_path, {"routes": [{"name": "main", "policy": "small"}]})
    expected = cost("small", CALLS + 3) + cost("other", FAILED)
    assert Decimal(report["replayed"]["cost_usd"]) == expected
    assert mix(report)["small"] == (3, CALLS + 3)
    assert mix(report)["big"] == (CALLS, 0)
    # The streams of `small` were never measured: nobody knows how long they take.
    assert report["unmeasured"] == STREAMS + FAILED


def test_a_price_in_the_manifest_counts_instead_of_the_recorded_one(gateway: Gateway, tmp_path: Path) -> None:
    models = [{"name": "big", "provider": "big", "price": {"input": "1", "output": "1"}}]
    report = replay(gateway, tmp_path, {"models": models})
    main = CALLS * Decimal(1_100) / MILLION
    assert Decimal(report["replayed"]["cost_usd"]) == main + cost("other", FAILED) + cost("small", 3)


def test_a_model_that_failed_is_expected_to_fail(gateway: Gateway, tmp_path: Path) -> None:
    report = replay(gateway, tmp_path, {"routes": [{"name": "main", "policy": "broken"}]})
    assert report["replayed"]["failed"] == CALLS
    assert Decimal(report["replayed"]["cost_usd"]) == cost("other", FAILED) + cost("small", 3)


def test_conditions_and_shares_are_those_of_the_records(gateway: Gateway, tmp_path: Path) -> None:
    cases = {"cases": [{"when": "request.stream", "use": "small"}, {"use": "big"}]}
    report = replay(gateway, tmp_path, {"routes": [{"name": "main", "policy": cases}]})
    assert mix(report)["small"] == (3, STREAMS + 3)
    assert mix(report)["big"] == (CALLS, CALLS - STREAMS)
    nobody = {"cases": [{"when": "request.task == 'x'", "use": "big"}]}
    report = replay(gateway, tmp_path, {"routes": [{"name": "main", "policy": nobody}]})
    assert report["nobody"] == {"its policy names nobody for it": CALLS}
    assert report["replayed"]["failed"] == CALLS


def test_the_same_replay_twice_is_the_same(gateway: Gateway, tmp_path: Path) -> None:
    policy = {"weighted": [{"use": "big"}, {"use": "small"}]}
    overlay = {"routes": [{"name": "main", "policy": policy}]}
    one, two = (replay(gateway, tmp_path, overlay) for _ in range(2))
    assert one == two
    assert 0 < mix(one)["small"][1] - 3 < CALLS


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ({"routes": [{"name": "main", "policy": "nowhere"}]}, "model 'nowhere' is not in this config"),
        ({"routes": [{"name": "main", "policy": {"fallback": []}}]}, "names nothing to try"),
        ({"routes": [{"name": "main", "polcy": "big"}]}, "polcy"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(
    gateway: Gateway, tmp_path: Path, overlay: dict[str, Any], said: str
) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps(overlay))
    done = gateway.headgate.cli("replay", "-f", str(file))
    assert done.returncode != 0
    assert said in done.stderr


def test_a_time_without_calls_says_so(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}")
    done = gateway.headgate.cli("replay", "-f", str(file), "--from", "2020-01-01", "--to", "2020-01-02")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["calls"] == 0
    assert "no recorded call" in done.stderr
