"""Shadows, and what is decided by itself: no client waits for them, and traffic follows what was found."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.proxy.judged import (
    Judged,
    asked_text,
    experiment,
    mean,
    model,
    provider,
    route_of,
    running,
    says,
    variant,
    verdict,
)
from tests.support.scripted_models import Document, Model, material

SLOW_SECONDS = 2.0
# A call of a scripted model costs 100 tokens in and 20 out at a dollar a million.
CALL_USD = 0.00012
# Something more than a judge's call is expected to cost before one has been seen.
LIMIT_USD = 0.0012


def slow(_: Document) -> str:
    time.sleep(SLOW_SECONDS)
    return "a slow answer"


def grade(document: Document) -> str:
    return verdict(grade=5 if "good" in material(document)["ANSWER"] else 2)


def sometimes(document: Document) -> str | int:
    return 500 if "fail" in asked_text(document) else "a good answer"


MODELS: dict[str, Model] = {
    "good": says("a good answer"),
    "bad": says("a bad one"),
    "slow": slow,
    "broken": lambda _: 500,
    "shade": says("a good answer"),
    "copyist": says("a good answer"),
    "flaky": sometimes,
    "plain": says("a good answer"),
    "remembers": says("a good answer"),
    "judge": grade,
    "abroad": says(verdict(grade=5)),
}


def manifest(base_url: str) -> Document:
    judge = {"model": "judge"}
    # Cheaper only for whom its provider knows already.
    remembers = {"input": 2, "cache_read": 0.01, "output": 1}
    priced = {"plain": {"input": 1.5, "output": 1}, "remembers": remembers}
    cheaper = variant("cheaper", {"cheapest": {"of": ["plain", "remembers"]}})
    shade = variant("shade", shadow=True, system="Be brief.", parameters={"temperature": 0})
    experiments = [
        experiment("waiting", variant("good"), variant("slow", shadow=True)),
        experiment("failing", variant("good"), variant("broken", shadow=True)),
        experiment("unsaid", variant("good"), variant("copyist", shadow=True)),
        experiment("changed", variant("good"), shade, judge=judge),
        experiment("capped", variant("good"), variant("shade", shadow=True, max_usd_per_day=str(LIMIT_USD))),
        experiment("judge-capped", variant("good"), judge={**judge, "max_usd_per_day": str(LIMIT_USD)}),
        experiment("decided", variant("bad"), variant("good"), judge=judge, stop={"then": "promote"}),
        experiment("told", variant("bad"), variant("good"), judge=judge, stop={"then": "notify"}),
        experiment("cheap", cheaper, variant("remembers", shadow=True)),
        experiment("guarded", variant("good"), variant("flaky"), guardrails={"error_rate": 0.05}),
    ]
    inside = experiment("resident", variant("good"), judge={"model": "abroad"})
    return {
        "tenants": [{"name": "stays", "residency": ["eu"]}],
        "providers": [
            provider(base_url),
            provider(base_url, "eu", region="eu", tenant="stays"),
            provider(base_url, "us", region="us", tenant="stays"),
        ],
        "models": [
            *(model(name, tenant="default") for name in MODELS if name not in ("abroad", *priced)),
            *({**model(name, tenant="default"), "price": price} for name, price in priced.items()),
            model("good", "eu", tenant="stays"),
            model("abroad", "us", tenant="stays"),
        ],
        "experiments": [*experiments, {**inside, "tenant": "stays"}],
        "routes": [
            *(route_of(one["name"]) for one in experiments),
            {**route_of("resident"), "tenant": "stays"},
        ],
        "keys": [{"name": "theirs", "tenant": "stays"}],
    }


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    with running(tmp_path_factory.mktemp("shadows"), MODELS, manifest) as found:
        yield found


def usage(judged: Judged, purpose: str) -> Any:
    items = json.loads(judged.headgate.cli("usage", "--by", "purpose").stdout)["items"]
    return next((one for one in items if one["purpose"] == purpose), None)


def receipt(judged: Judged, request_id: str) -> Any:
    with_key = judged.headgate.http
    from urllib.request import Request, urlopen

    request = Request(f"{with_key}/headgate/v1/receipts/{request_id}", headers={"x-api-key": judged.key})
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.parametrize("stream", [False, True])
def test_no_client_waits_for_a_shadow_or_sees_it(judged: Judged, stream: bool) -> None:
    began = time.monotonic()
    answer = judged.ask("waiting", stream=stream)
    assert time.monotonic() - began < SLOW_SECONDS
    assert (answer.status, b"slow" in answer.body) == (200, False)
    judged.models.wait("slow", 1)
    told = receipt(judged, answer.header("x-request-id") or "")
    assert [attempt["model"] for attempt in told["attempts"]] == ["good"]
    judged.wait_for(lambda: judged.of("waiting")["slow"].calls)


def test_a_shadow_that_fails_changes_nothing_and_is_counted(judged: Judged) -> None:
    for _ in range(6):
        assert judged.ask("failing").header("x-headgate-attempts") == "1"
    shown = judged.wait_for(lambda: (v := judged.of("failing"))["broken"].calls == 6 and v)
    assert mean(shown["broken"], "error_rate") == 1
    assert mean(shown["good"], "error_rate") == 0


def test_a_call_that_does_not_count_for_a_variant_gets_no_copy(judged: Judged) -> None:
    for says_instead in ({"session": ""}, {"session": ""}, {"variant": "unsaid/good"}):
        answer = judged.ask("unsaid", says=says_instead)
        assert answer.header("x-headgate-experiment") == "unsaid/good"
    judged.ask("unsaid")
    shown = judged.wait_for(lambda: (v := judged.of("unsaid"))["copyist"].calls and v)
    assert (shown["copyist"].units, shown["copyist"].calls) == (1, 1)
    assert (shown["good"].units, shown["good"].calls) == (1, 1)
    assert len(judged.models.asked_of("copyist")) == 1


def test_a_shadow_has_its_own_prompt_is_judged_and_paid_apart(judged: Judged) -> None:
    before = (usage(judged, "call") or {"calls": 0})["calls"]
    asked = len(judged.models.asked_of("shade"))
    judged.ask("changed", "What?")
    document = judged.models.wait("shade", asked + 1)[-1]
    assert document["messages"][0] == {"role": "system", "content": "Be brief."}
    assert document["temperature"] == 0
    assert "Be brief." not in str(judged.models.asked_of("good"))
    judged.wait_for(lambda: mean(judged.of("changed")["shade"], "quality") == 1.0)
    assert judged.wait_for(lambda: (usage(judged, "call") or {}).get("calls") == before + 1)
    for purpose in ("shadow", "judge"):
        found = usage(judged, purpose)
        assert found["calls"] == 0
        assert found["attempts"] > 0


def test_what_a_shadow_was_asked_does_not_decide_who_is_cheapest(judged: Judged) -> None:
    """Its provider has the prompt in its cache by now: a trace of the experiment, and no client's doing."""
    prompt = "Mind the gap. " * 3_000
    for copies in (1, 2):
        assert judged.ask("cheap", prompt).header("x-headgate-model") == "scripted/plain"
        judged.models.wait("remembers", copies)
    judged.wait_for(lambda: judged.of("cheap")["remembers"].calls == 2)


def test_what_a_day_may_cost_is_not_exceeded(judged: Judged) -> None:
    before = {name: len(judged.models.asked_of(name)) for name in ("shade", "judge")}
    for _ in range(20):
        judged.ask("capped")
        judged.ask("judge-capped")
        time.sleep(0.05)
    judged.wait_for(lambda: judged.of("judge-capped")["good"].unscored >= 5)
    asked = {name: len(judged.models.asked_of(name)) - count for name, count in before.items()}
    for name, count in asked.items():
        assert 0 < count * CALL_USD <= LIMIT_USD, f"{name} was asked {count} times"


def test_a_judge_abroad_is_never_asked_about_what_must_stay(judged: Judged) -> None:
    done = judged.headgate.cli("key", "rotate", "theirs", "--tenant", "stays")
    key = json.loads(done.stdout)["items"][0]["secret"]
    answer = judged.wait_for(lambda: (a := judged.ask("resident", key=key)).status == 200 and a)
    assert answer.header("x-headgate-model") == "eu/good"
    judged.wait_for(lambda: judged.of("resident", "stays")["good"].unscored >= 1)
    assert judged.models.asked_of("abroad") == []


def test_the_better_variant_is_promoted_and_no_apply_undoes_it(judged: Judged) -> None:
    for _ in range(130):
        judged.ask("decided")
        judged.ask("told")
    state = judged.wait_for(lambda: (r := judged.results("decided").state).winner and r, 30)
    assert state.winner == "good"
    assert "quality of good is better than bad's by" in state.evidence

    def chosen() -> set[str | None]:
        return {judged.ask("decided").header("x-headgate-experiment") for _ in range(12)}

    judged.wait_for(lambda: chosen() == {"decided/good"})
    source = judged.headgate.state.parent / "again.json"
    source.write_text(json.dumps(manifest(judged.models.base_url)))
    done = judged.headgate.cli("diff", "-f", str(source))
    mine = [one for one in json.loads(done.stdout)["items"] if one["name"] == "decided"]
    assert [one["overrides"] for one in mine] == [["won by good"]]
    judged.headgate.cli("apply", "-f", str(source))
    assert chosen() == {"decided/good"}
    told = judged.wait_for(lambda: (r := judged.results("told").state).would_win and r, 30)
    assert (told.would_win, told.winner) == ("good", "")
    judged.headgate.cli("experiment", "stop", "decided")
    judged.wait_for(lambda: chosen() == {"decided/bad"})
    judged.headgate.cli("experiment", "start", "decided")
    judged.wait_for(lambda: chosen() == {"decided/bad", "decided/good"})
    trail = json.loads(judged.headgate.cli("audit", "experiments/decided").stdout)["items"]
    assert [one["actor"] for one in trail if one["verb"] == "promoted"][-1] == "headgate"


def test_a_variant_beyond_its_guardrail_gets_no_more_calls(judged: Judged) -> None:
    for number in range(160):
        judged.ask("guarded", "fail" if number % 2 else "work")
    judged.wait_for(lambda: judged.of("guarded")["flaky"].stopped, 30)
    assert "above the guardrail of 0.05" in judged.of("guarded")["flaky"].stopped
    judged.wait_for(
        lambda: {judged.ask("guarded").header("x-headgate-experiment") for _ in range(12)} == {"guarded/good"}
    )
