"""Experiments through the public door: who gets which variant, what it changes, how it is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proxy.gateway import QUESTION, Gateway, chat
from tests.integration.proxy.raw_client import Answer
from tests.support.fake_provider import FakeProvider
from tests.support.processes import start_headgate
from tests.support.provider.presets import server_error

NAMES = ("old", "new", "spare")
SYSTEM = "Answer in one line."
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


def manifest(base_url: str) -> dict[str, Any]:
    providers = [
        {
            "name": name,
            "kind": "openai-compatible",
            "keys": [f"pk-{name}"],
            "base_url": base_url,
            "private_network": True,
            "circuit_failures": 0,
        }
        for name in NAMES
    ]
    changed = {"system": SYSTEM, "parameters": {"temperature": 0, "max_tokens": 7}}
    return {
        "providers": providers,
        "models": [{"name": name, "provider": name, "price": {"input": 1, "output": 1}} for name in NAMES],
        "experiments": [
            {
                "name": "trial",
                "unit": "session",
                "variants": [{"name": "a", "use": "old"}, {"name": "b", "use": "new", **changed}],
            },
            {
                "name": "by-team",
                "unit": "metadata.team",
                "variants": [{"name": "a", "use": "old", "weight": 3}, {"name": "b", "use": "new"}],
            },
        ],
        "routes": [
            {"name": "tried", "policy": {"experiment": "trial"}, "retry": {"attempts": 1}},
            {
                "name": "safe",
                "policy": {"fallback": [{"experiment": "trial"}, "spare"]},
                "retry": {"attempts": 1},
            },
            {"name": "teams", "policy": {"experiment": "by-team"}},
        ],
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("experiments")
    with FakeProvider() as provider, start_headgate(folder, manifest(provider.base_url)) as headgate:
        gateway = Gateway(headgate, provider)
        yield gateway
        gateway.close()


@pytest.fixture
def script(gateway: Gateway) -> FakeProvider:
    gateway.provider.wait_done(0)
    gateway.provider.reset()
    return gateway.provider


def ask(gateway: Gateway, dialect: str = "chat", route: str = "tried", **more: Any) -> Answer:
    headers = {f"x-headgate-{name}": value for name, value in more.pop("says", {}).items()}
    document: dict[str, Any] = {"model": route, **more}
    if dialect == "responses":
        document["input"] = QUESTION
    else:
        document["messages"] = QUESTION
    if dialect == "messages":
        document.setdefault("max_tokens", 100)
    answer = gateway.post(document, PATHS[dialect], headers=headers)
    assert answer.status == 200, answer.body
    return answer


def variant(answer: Answer) -> str:
    name, _, found = (answer.header("x-headgate-experiment") or "").partition("/")
    assert name in ("trial", "by-team")
    return found


def asked(script: FakeProvider) -> dict[str, Any]:
    """The body of the last request that a provider got."""
    body: dict[str, Any] = script.attempts()[-1].document()
    return body


def test_a_session_keeps_its_variant_and_sessions_differ(gateway: Gateway, script: FakeProvider) -> None:
    by_session = {}
    for number in range(20):
        found = {variant(ask(gateway, says={"session": f"s{number}"})) for _ in range(3)}
        assert len(found) == 1
        by_session[number] = found.pop()
    assert set(by_session.values()) == {"a", "b"}


def test_the_model_is_the_variants_and_the_answer_says_which(gateway: Gateway, script: FakeProvider) -> None:
    for name, model in (("a", "old/old"), ("b", "new/new")):
        answer = ask(gateway, says={"variant": f"trial/{name}"})
        assert answer.header("x-headgate-experiment") == f"trial/{name}"
        assert answer.header("x-headgate-model") == model


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_variant_puts_its_system_prompt_first_and_its_parameters_in_place(
    gateway: Gateway, script: FakeProvider, dialect: str, stream: bool
) -> None:
    more: dict[str, Any] = {"temperature": 1}
    if dialect == "messages":
        more["system"] = "Be kind."
    elif dialect == "responses":
        more["instructions"] = "Be kind."
    ask(gateway, dialect, says={"variant": "trial/b"}, stream=stream, **more)
    document = asked(script)
    first = document["messages"][0]
    assert first["role"] in ("system", "developer")
    assert json.dumps(first["content"]).startswith(('"' + SYSTEM, '[{"type": "text", "text": "' + SYSTEM))
    if dialect != "chat":
        assert "Be kind." in json.dumps(document["messages"][:2])
    assert QUESTION[0]["content"] in json.dumps(document["messages"][-1])
    assert document["temperature"] == 0
    assert 7 in (document.get("max_tokens"), document.get("max_completion_tokens"))


def test_the_other_variant_changes_nothing(gateway: Gateway, script: FakeProvider) -> None:
    ask(gateway, says={"variant": "trial/a"}, temperature=1)
    document = asked(script)
    assert document["messages"] == QUESTION
    assert document["temperature"] == 1
    assert "max_tokens" not in document


def test_records_receipts_and_calls_name_the_variant(gateway: Gateway, script: FakeProvider) -> None:
    answer = ask(gateway, says={"session": "known"})
    label = answer.header("x-headgate-experiment")
    assert gateway.receipt(answer.request_id)["experiment"] == label
    assert gateway.call(answer.request_id).experiment == label
    done = gateway.headgate.cli("calls", "show", answer.request_id)
    assert json.loads(done.stdout)["items"][0]["experiment"] == label


def test_what_answers_in_a_variants_stead_is_asked_what_the_client_asked(
    gateway: Gateway, script: FakeProvider
) -> None:
    script.always("new", server_error())
    answer = ask(gateway, route="safe", says={"variant": "trial/b"})
    assert answer.header("x-headgate-model") == "spare/spare"
    assert answer.header("x-headgate-experiment") == "trial/b", "it was assigned all the same"
    assert asked(script)["messages"] == QUESTION


def test_the_unit_can_be_a_field_of_the_metadata(gateway: Gateway, script: FakeProvider) -> None:
    for team in ("red", "green", "blue"):
        says = {"metadata": json.dumps({"team": team})}
        assert len({variant(ask(gateway, route="teams", says=says)) for _ in range(5)}) == 1


def test_weights_change_without_a_restart_and_move_no_more_than_they_must(
    gateway: Gateway, script: FakeProvider, tmp_path: Path
) -> None:
    def drawn() -> dict[str, str]:
        teams = [f"team-{number}" for number in range(30)]
        return {
            team: variant(ask(gateway, route="teams", says={"metadata": json.dumps({"team": team})}))
            for team in teams
        }

    before = drawn()
    file = tmp_path / "weights.json"
    variants = [{"name": "a", "use": "old", "weight": 3}, {"name": "b", "use": "new", "weight": 9}]
    document = {"experiments": [{"name": "by-team", "unit": "metadata.team", "variants": variants}]}
    file.write_text(json.dumps(document))
    assert gateway.headgate.cli("apply", "-f", str(file)).returncode == 0
    after = drawn()
    assert {(before[team], after[team]) for team in before} <= {("a", "a"), ("a", "b"), ("b", "b")}
    assert ("a", "b") in {(before[team], after[team]) for team in before}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"experiments": [{"name": "x", "variants": [{"name": "a", "use": "old"}]}]}, "at least two"),
        ({"routes": [{"name": "x", "policy": {"experiment": "tril"}}]}, "did you mean 'trial'"),
        (
            {
                "experiments": [
                    {"name": "x", "variants": [{"name": "a", "use": "old"}, {"name": "b", "use": "nowhere"}]}
                ]
            },
            "there is no model 'nowhere'",
        ),
        (
            {
                "experiments": [
                    {
                        "name": "trial",
                        "variants": [{"name": "a", "use": "old"}, {"name": "b", "use": {"route": "tried"}}],
                    }
                ]
            },
            "leads back to the experiment itself: trial → tried → trial",
        ),
    ],
)
def test_an_experiment_that_cannot_be_is_refused(
    gateway: Gateway, tmp_path: Path, document: dict[str, Any], said: str
) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(document))
    done = gateway.headgate.cli("apply", "-f", str(file))
    assert done.returncode != 0
    assert said in done.stderr


def test_an_experiment_that_a_route_uses_cannot_be_deleted(gateway: Gateway) -> None:
    done = gateway.headgate.cli("delete", "experiment", "trial")
    assert done.returncode == 4
    assert "tried" in done.stderr


def test_an_experiment_can_be_switched_off_and_says_so(gateway: Gateway, script: FakeProvider) -> None:
    assert gateway.headgate.cli("disable", "experiment", "trial", "--reason", "test").returncode == 0
    try:
        assert ask(gateway, route="safe").header("x-headgate-model") == "spare/spare"
        answer = gateway.post(chat("tried"))
        assert answer.status == 400
        assert answer.error()["excluded"] == [{"model": "trial", "reason": "experiment_disabled"}]
    finally:
        gateway.headgate.cli("enable", "experiment", "trial")


def test_explain_shows_both_variants_and_their_shares(gateway: Gateway) -> None:
    done = gateway.headgate.cli("route", "explain", "teams")
    (item,) = json.loads(done.stdout)["items"]
    shares = {candidate["model"]: candidate["share"] for candidate in item["candidates"]}
    assert set(shares) == {"old", "new"}
    assert sum(shares.values()) == pytest.approx(1)


def test_show_tells_of_each_variant_what_was_seen(gateway: Gateway, script: FakeProvider) -> None:
    ids = [ask(gateway, says={"session": f"shown-{number}"}).request_id for number in range(6)]
    for request_id in ids:
        gateway.call(request_id)
    done = gateway.headgate.cli("experiment", "show", "trial")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    by_variant = {item["variant"]: item for item in document["items"]}
    assert set(by_variant) == {"a", "b"}
    assert sum(item["units"] for item in by_variant.values()) >= 6
    assert document["verdicts"] == ["b: too few units yet to say anything"]
    done = gateway.headgate.cli("experiment", "show", "nothing")
    assert (done.returncode, "there is no experiment 'nothing'" in done.stderr) == (3, True)
