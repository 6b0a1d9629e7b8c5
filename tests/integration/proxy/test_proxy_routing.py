"""Policies through the public door: who is asked, when, who wins, and what the others cost.

A gateway of its own, because circuits and learned speeds outlive a call. Every model is the same fake
provider under a name of its own, so that its script says how fast and how well each answers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway, chat, reason
from tests.support.fake_provider import Attempt, Behaviour, FakeProvider
from tests.support.processes import start_headgate
from tests.support.provider.presets import cut_before_headers, server_error

NAMES = ("quick", "steady", "swift", "solid", "third", "dead", "small", "large", "dear", "fair")
PRICES = {"dear": {"input": 10, "output": 30}, "fair": {"input": 0.1, "output": 0.3}}
WINDOWS = {"small": 1_000, "large": 100_000}


def manifest(base_url: str) -> dict[str, Any]:
    # A provider each: what happens to one's key must not rest the others.
    providers = [
        {"name": name, "kind": "openai-compatible", "keys": [f"pk-{name}"], "base_url": base_url}
        for name in NAMES
    ]
    models: list[dict[str, Any]] = [
        {
            "name": name,
            "provider": name,
            "upstream_model": name,
            "price": PRICES.get(name, {"input": 1, "output": 2}),
            **({"context_window": WINDOWS[name]} if name in WINDOWS else {}),
        }
        for name in NAMES
    ]
    once = {"retry": {"attempts": 1}}
    routes = [
        {"name": "race", "policy": {"race": {"of": ["quick", "steady"]}}, **once},
        {"name": "race-then", "policy": {"fallback": [{"route": "race"}, "third"]}, **once},
        {"name": "staggered", "policy": {"race": {"of": ["quick", "steady"], "stagger": "400ms"}}, **once},
        {"name": "cheap", "policy": {"cheapest": {"of": ["dear", "fair"]}}, "client_strategies": ["race"]},
        {"name": "fast", "policy": {"fastest": {"of": ["swift", "solid"]}}, **once},
        {"name": "inner", "policy": {"fallback": ["dead", "third"]}, **once},
        {"name": "outer", "policy": {"fallback": [{"route": "inner"}, "steady"]}, **once},
        {"name": "steady-first", "policy": {"fallback": ["steady", "third"]}, **once},
        {"name": "windows", "policy": {"fallback": ["small", "third", "large"]}, **once},
        {"name": "only-dead", "policy": "dead", **once},
    ]
    for provider in providers:
        provider["private_network"] = True  # type: ignore[assignment]
        if provider["name"] == "fair":  # it fails in several tests
            provider["circuit_failures"] = 0  # type: ignore[assignment]
    return {"providers": providers, "models": models, "routes": routes}


@pytest.fixture(scope="module")
def routing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("routing")
    with FakeProvider() as provider, start_headgate(folder, manifest(provider.base_url)) as headgate:
        gateway = Gateway(headgate, provider)
        yield gateway
        gateway.close()


@pytest.fixture
def script(routing: Gateway) -> FakeProvider:
    routing.provider.wait_done(0)
    routing.provider.reset()
    return routing.provider


def asked(attempts: list[Attempt]) -> list[str]:
    return sorted(attempt.model for attempt in attempts)


def slow(seconds: float = 5.0, **fields: Any) -> Behaviour:
    return Behaviour(headers_delay_seconds=seconds, **fields)


# Races.


@pytest.mark.parametrize("stream", [False, True])
def test_the_first_answer_wins_and_the_loser_is_stopped_at_the_socket(
    routing: Gateway, script: FakeProvider, stream: bool
) -> None:
    script.always("quick", slow(0.2))  # both are on their way by then
    script.always("steady", slow())
    begin = time.monotonic()
    answer = routing.post(chat("race", stream=stream))
    assert time.monotonic() - begin < 4
    assert answer.status == 200
    assert answer.header("x-headgate-model") == "quick/quick"
    attempts = {attempt.model: attempt for attempt in routing.attempts(2)}
    assert attempts["steady"].client_left_at_seconds is not None
    rows = {row.model: row for row in routing.call(answer.request_id).attempt_list}
    assert set(rows) == {"quick", "steady"}
    receipt = {tried["model"]: tried for tried in routing.tried(answer.request_id)}
    assert receipt["steady"]["outcome"] == "race_lost"
    assert receipt["steady"]["estimated"] is True
    assert receipt["steady"]["input_tokens"] > 0
    assert receipt["quick"]["outcome"] == "ok"
    call = routing.call(answer.request_id)
    assert float(call.cost_usd) == pytest.approx(
        sum(float(tried["cost_usd"]) for tried in receipt.values()), rel=1e-9
    )


@pytest.mark.parametrize("stream", [False, True])
def test_header_and_log_tell_how_many_were_asked_whoever_won(
    routing: Gateway, script: FakeProvider, stream: bool
) -> None:
    script.always("quick", slow(0.2))
    script.always("steady", slow())
    answer = routing.post(chat("race", stream=stream))
    assert answer.header("x-headgate-model") == "quick/quick"
    assert answer.header("x-headgate-attempts") == "2"
    assert logged(routing, answer.request_id)["attempts"] == 2
    assert routing.call(answer.request_id).attempts == 2


def logged(routing: Gateway, request_id: str) -> dict[str, Any]:
    """The call's line in the log; lines go out a few times a second."""
    log = routing.headgate.state / "logs" / "proxy.log"
    deadline = time.monotonic() + 10
    while not (lines := [line for line in log.read_text().splitlines() if request_id in line]):
        assert time.monotonic() < deadline, "it was not logged"
        time.sleep(0.05)
    document: dict[str, Any] = json.loads(lines[0])
    return document


def test_whichever_is_faster_wins(routing: Gateway, script: FakeProvider) -> None:
    script.always("quick", slow())
    assert routing.post(chat("race")).header("x-headgate-model") == "steady/steady"


@pytest.mark.parametrize(
    "bad",
    [
        Behaviour(text=""),
        Behaviour(refusal="I would rather not"),
        Behaviour(status=503),
        Behaviour(status=400),
        cut_before_headers(),
    ],
    ids=["empty", "refusal", "error", "client error", "cut"],
)
def test_a_quick_answer_that_is_not_good_does_not_win(
    routing: Gateway, script: FakeProvider, bad: Behaviour
) -> None:
    script.always("quick", bad)
    script.always("steady", slow(0.3))
    answer = routing.post(chat("race"))
    assert answer.status == 200
    assert answer.header("x-headgate-model") == "steady/steady"


def test_text_does_not_win_where_json_was_asked_for(routing: Gateway, script: FakeProvider) -> None:
    script.always("quick", Behaviour(text="not JSON"))
    script.always("steady", slow(0.3, text='{"a": 1}'))
    answer = routing.post(chat("race", response_format={"type": "json_object"}))
    assert answer.header("x-headgate-model") == "steady/steady"


def test_an_answer_that_is_not_good_is_better_than_none(routing: Gateway, script: FakeProvider) -> None:
    script.always("quick", Behaviour(refusal="no"))
    script.always("steady", server_error())
    answer = routing.post(chat("race"))
    assert answer.status == 200
    assert answer.header("x-headgate-model") == "quick/quick"


def test_when_all_of_a_race_fail_the_next_is_asked(routing: Gateway, script: FakeProvider) -> None:
    script.script("quick", server_error())
    script.script("steady", server_error())
    answer = routing.post(chat("race-then"))
    assert answer.status == 200
    assert answer.header("x-headgate-model") == "third/third"
    assert asked(routing.attempts(3)) == ["quick", "steady", "third"]


def test_a_race_that_nobody_wins_is_recorded_with_what_the_client_got(
    routing: Gateway, script: FakeProvider
) -> None:
    script.script("quick", server_error())
    script.script("steady", server_error(500))
    answer = routing.post(chat("race"))
    assert answer.status == 502
    assert [tried["outcome"] for tried in routing.tried(answer.request_id)] == ["error", "error"]
    assert logged(routing, answer.request_id)["status"] == 502


def test_with_a_stagger_the_second_starts_only_if_the_first_is_slow(
    routing: Gateway, script: FakeProvider
) -> None:
    assert routing.post(chat("staggered")).header("x-headgate-model") == "quick/quick"
    assert asked(routing.attempts(1)) == ["quick"]
    script.reset()
    script.always("quick", slow())
    assert routing.post(chat("staggered")).header("x-headgate-model") == "steady/steady"
    assert asked(routing.attempts(2)) == ["quick", "steady"]


def test_a_failed_runner_lets_the_next_start_at_once(routing: Gateway, script: FakeProvider) -> None:
    script.script("quick", server_error())
    answer = routing.post(chat("staggered"))
    assert answer.header("x-headgate-model") == "steady/steady"
    first, second = sorted(routing.attempts(2), key=lambda attempt: attempt.number)
    assert (first.model, second.model) == ("quick", "steady")


def test_a_client_that_leaves_a_race_stops_all_of_it(routing: Gateway, script: FakeProvider) -> None:
    script.always("quick", slow(20))
    script.always("steady", slow(20))
    with routing.connect() as client:
        import json

        from tests.integration.proxy.raw_client import request_bytes

        client.send(request_bytes(json.dumps(chat("race")).encode(), routing.key))
        script.wait_received(2)
    attempts = script.wait_done(2)
    assert all(attempt.client_left_at_seconds is not None for attempt in attempts)
    routing.row_of(attempts[0])
    (call,) = routing.calls(limit=1)
    assert (call.route, call.status) == ("race", 499), "nobody has lost: the call was given up"
    rows = routing.call(call.request_id).attempt_list
    assert [reason(row) for row in rows] == ["client_left", "client_left"]


# Choosing.


def test_the_cheapest_is_asked_and_the_dearer_one_stands_behind(
    routing: Gateway, script: FakeProvider
) -> None:
    assert routing.post(chat("cheap")).header("x-headgate-model") == "fair/fair"
    script.always("fair", server_error())
    assert routing.post(chat("cheap")).header("x-headgate-model") == "dear/dear"


def test_a_clients_ceiling_leaves_out_what_is_dearer_though_it_stands_behind(
    routing: Gateway, script: FakeProvider
) -> None:
    script.always("fair", server_error())
    headers = {"x-headgate-max-cost-usd": "0.001"}
    assert routing.post(chat("cheap", max_tokens=100), headers=headers).status == 502
    assert {attempt.model for attempt in script.attempts()} == {"fair"}
    assert (
        routing.post(chat("cheap", max_tokens=10), headers=headers).header("x-headgate-model") == "dear/dear"
    )


def test_a_ceiling_that_nobody_meets_is_a_400_that_says_what_to_do(
    routing: Gateway, script: FakeProvider
) -> None:
    answer = routing.post(chat("cheap"), headers={"x-headgate-max-cost-usd": "0.00000001"})
    assert answer.status == 400
    error = answer.error()
    assert (error["code"], error["param"]) == ("no_capable_model", "x-headgate-max-cost-usd")
    assert "raise it" in error["message"]
    assert script.attempts() == []


def test_a_suffix_changes_how_a_route_chooses_where_it_allows_it(
    routing: Gateway, script: FakeProvider
) -> None:
    script.always("fair", slow())
    answer = routing.post(chat("cheap:race"))
    assert answer.header("x-headgate-model") == "dear/dear"
    assert answer.header("x-headgate-route") == "cheap:race"
    assert routing.post(chat("cheap:fastest")).error()["code"] == "model_not_allowed"


def test_the_built_in_cheapest_is_over_all_that_the_key_may_call(
    routing: Gateway, script: FakeProvider
) -> None:
    assert routing.post(chat("cheapest")).header("x-headgate-model") == "fair/fair"


def test_the_fastest_moves_when_a_model_slows(routing: Gateway, script: FakeProvider) -> None:
    script.always("swift", Behaviour(headers_delay_seconds=0.01))
    script.always("solid", Behaviour(headers_delay_seconds=0.1))
    chosen_by_ten(routing)
    assert chosen_by_ten(routing).count("swift/swift") >= 7  # now and then the others are tried
    script.always("swift", Behaviour(headers_delay_seconds=0.5))
    chosen_by_ten(routing)
    assert chosen_by_ten(routing).count("solid/solid") >= 7


def chosen_by_ten(routing: Gateway) -> list[str | None]:
    return [routing.post(chat("fast")).header("x-headgate-model") for _ in range(10)]


def test_a_route_in_a_policy_stands_for_its_own(routing: Gateway, script: FakeProvider) -> None:
    script.script("dead", server_error())
    answer = routing.post(chat("outer"))
    assert answer.header("x-headgate-model") == "third/third"
    assert answer.header("x-headgate-route") == "outer"


def test_a_prompt_that_was_too_long_goes_on_to_a_larger_window_only(
    routing: Gateway, script: FakeProvider
) -> None:
    too_long = {"error": {"message": "maximum context length is 900", "code": "context_length_exceeded"}}
    script.script("small", Behaviour(status=400, body=too_long))
    script.script("third", Behaviour(status=400, body=too_long))
    answer = routing.post(chat("windows"))
    assert answer.status == 200
    assert answer.header("x-headgate-model") == "large/large"


def test_a_prompt_that_surely_does_not_fit_is_not_sent_there(routing: Gateway, script: FakeProvider) -> None:
    question = [{"role": "user", "content": "word " * 2_000}]
    answer = routing.post({"model": "windows", "messages": question})
    assert answer.header("x-headgate-model") == "third/third"
    assert asked(routing.attempts(1)) == ["third"]


# Health.


def test_a_dead_model_is_soon_asked_last_and_comes_back_when_it_recovers(
    routing: Gateway, script: FakeProvider
) -> None:
    script.always("dead", server_error(500))
    for _ in range(20):
        assert routing.post(chat("inner")).status == 200
    tries = [attempt for attempt in script.attempts() if attempt.model == "dead"]
    assert 1 <= len(tries) <= 8
    script.always("dead", Behaviour())
    deadline = time.monotonic() + 30
    while routing.post(chat("inner")).header("x-headgate-model") != "dead/dead":
        assert time.monotonic() < deadline, "it never came back"
        time.sleep(0.1)


def test_a_model_that_loses_every_race_still_comes_back_elsewhere(
    routing: Gateway, script: FakeProvider
) -> None:
    """What a race stops has said nothing: it may not stand for the probe that everybody waits for."""
    script.always("steady", server_error(500))
    for _ in range(5):
        assert routing.post(chat("steady-first")).header("x-headgate-model") == "third/third"
    script.always("steady", slow(0.3))
    deadline = time.monotonic() + 15
    while True:
        assert routing.post(chat("race")).header("x-headgate-model") == "quick/quick"
        if routing.post(chat("steady-first")).header("x-headgate-model") == "steady/steady":
            return
        assert time.monotonic() < deadline, "it never came back"
        time.sleep(0.1)


def test_an_open_circuit_is_tried_all_the_same_where_nobody_else_is_left(
    routing: Gateway, script: FakeProvider
) -> None:
    script.always("dead", server_error(500))
    for _ in range(6):
        assert routing.post(chat("only-dead")).status == 502
    assert len(routing.attempts(6)) == 6
    script.always("dead", Behaviour())
    assert routing.post(chat("only-dead")).status == 200


# What is refused.


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ([{"name": "a", "policy": {"route": "a"}}], "a → a"),
        ([{"name": "a", "policy": {"route": "b"}}, {"name": "b", "policy": {"route": "a"}}], "leads back"),
        ([{"name": "a", "policy": {"race": {"of": []}}}], "names nothing to choose from"),
        ([{"name": "a", "policy": {"route": "nowhere"}}], "there is no route 'nowhere'"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_at_apply(
    routing: Gateway, tmp_path: Path, routes: list[dict[str, Any]], message: str
) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({"routes": routes}))
    done = routing.headgate.cli("apply", "-f", str(file))
    assert done.returncode != 0
    assert message in done.stderr


def test_a_route_that_another_refers_to_cannot_be_deleted(routing: Gateway) -> None:
    done = routing.headgate.cli("delete", "route", "inner")
    assert done.returncode == 4
    assert "outer" in done.stderr
