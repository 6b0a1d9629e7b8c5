"""From judged answers to routing: what is good at one task and bad at another is asked for the one alone."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.proxy.judged import (
    asked_text,
    experiment,
    model,
    provider,
    route_of,
    running,
    variant,
    verdict,
)
from tests.support.scripted_models import Document, Model, material

# Of each task and model; 30 are the least.
ENOUGH = 45
# Evidence is looked at every half minute.
LEARNED_SECONDS = 75.0
FLOOR = 0.6
CHEAP = {"input": "0.1", "output": "0.1"}


def good_at(task: str) -> Model:
    return lambda document: f"{'good' if task in asked_text(document) else 'bad'} answer"


def grade(document: Document) -> str:
    return verdict(grade=5 if material(document)["ANSWER"].startswith("good") else 2)


def manifest(base_url: str) -> Document:
    choice = {"cheapest": {"of": ["poet", "coder", "newcomer"], "min_quality": FLOOR}}
    return {
        "providers": [provider(base_url)],
        "models": [
            model("poet"),
            model("coder"),
            model("newcomer", price={"input": "0.1", "output": "0.1"}),
            model("judge"),
        ],
        "experiments": [experiment("trial", variant("poet"), variant("coder"), judge={"model": "judge"})],
        "routes": [route_of("trial"), {"name": "choice", "policy": choice}],
    }


def test_each_task_is_given_to_the_model_that_is_good_at_it(tmp_path: Path) -> None:
    models = {"poet": good_at("verse"), "coder": good_at("code"), "newcomer": good_at(""), "judge": grade}
    with running(tmp_path, models, manifest) as judged:
        before = judged.ask("choice", "some verse", says={"task": "verse"})
        assert before.status == 400, "nobody knows anything yet, and nothing is guessed"
        assert b"no_evidence_yet" in before.body
        for _ in range(2 * ENOUGH + 20):
            for task in ("verse", "code"):
                assert judged.ask("trial", f"some {task}", says={"task": task}).status == 200

        def learned() -> bool:
            fits = json.loads(judged.headgate.cli("models", "fit").stdout)["items"]
            routed = [judged.ask("choice", f"some {t}", says={"task": t}).status for t in ("verse", "code")]
            return sum(one["is_evidence"] for one in fits) == 4 and routed == [200, 200]

        judged.wait_for(learned, LEARNED_SECONDS)
        for task, chosen, other in (("verse", "poet", "coder"), ("code", "coder", "poet")):
            for _ in range(5):
                answer = judged.ask("choice", f"some {task}", says={"task": task})
                assert answer.header("x-headgate-model") == f"scripted/{chosen}"
            done = judged.headgate.cli("route", "explain", "choice", "--task", task)
            reasons = {c["model"]: c["reason"] for c in json.loads(done.stdout)["items"][0]["candidates"]}
            assert reasons[other] == "quality_too_low"
            assert reasons["newcomer"] == "no_evidence_yet", "it is the cheapest, and nobody has judged it"
        assert judged.models.asked_of("newcomer") == []
