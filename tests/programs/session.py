"""What a whole session with one tool call must have left behind, whoever ran it and whoever answered.

The checks that all programs share: the upstream refused nothing, saw the tool's result under the id it gave
the call, was asked for its own model with its own key, and both answers are in the usage rows with their
tokens and money.
"""

from __future__ import annotations

import json
from fractions import Fraction

from tests.programs.run import Ran
from tests.programs.system import MODELS, System, cost_usd, expected_tokens
from tests.programs.upstream.gemini import model_of
from tests.programs.upstream.script import SIGNATURE, Script
from tests.programs.upstream.server import Received

FILE = "answer.txt"
CONTENT = "forty-two"
COMMAND = f"echo {CONTENT} > {FILE} && cat {FILE}"
TASK = f"Write {CONTENT} into {FILE} with a shell command."
FINAL = "The file is written \N{EM DASH} «forty-two», and nothing else."


def check_ran(ran: Ran, system: System, model: str) -> None:
    """It ended well, its tool really ran, and its user sees the final text."""
    refusals = system.upstream_of(model).refusals
    assert refusals == [], ran.log[-3000:]
    assert ran.exit_code == 0, ran.log[-3000:]
    assert (ran.work / FILE).read_text() == f"{CONTENT}\n"
    assert ran.answer == FINAL


def check_session(system: System, model: str, script: Script, result: str = CONTENT) -> None:
    upstream = system.upstream_of(model)
    assert upstream.refusals == []
    assert len(upstream.received) == len(script.usages)
    for received in upstream.received:
        _check_addressed(received, model)
    first, second = upstream.received
    assert first.results == {}
    # Where calls have no ids, the rules have seen that their names match.
    if model != "by-gemini":
        assert list(second.results) == [script.call.id]
    (given,) = second.results.values()
    assert result in given
    check_usage(system, model, script)


def check_thought(system: System, model: str) -> None:
    """What the provider wants back with its thought came back, through a client that knows nothing of it."""
    upstream = system.upstream_of(model)
    if SIGNATURE.encode() in upstream.sent[0]:
        assert SIGNATURE in json.dumps(upstream.received[1].document)


def check_usage(system: System, model: str, script: Script) -> None:
    calls = system.new_calls(len(script.usages))
    assert len(calls) == len(script.usages)
    provider, upstream_model, _ = MODELS[model]
    for call, usage in zip(calls, script.usages, strict=True):
        expected = expected_tokens(model, usage)
        assert {name: int(call[name]) for name in expected} == expected
        assert (call["provider"], call["outcome"]) == (provider, "ok")
        assert len(call["attempts"]) == 1
        assert not call["attempts"][0]["estimated"]
        assert Fraction(call["cost_usd"]) == cost_usd(usage), upstream_model


def _check_addressed(received: Received, model: str) -> None:
    provider, upstream_model, dialect = MODELS[model]
    asked = model_of(received.path) if dialect == "gemini" else received.document["model"]
    assert asked == upstream_model
    assert f"pk-{provider}" in " ".join(received.headers.values())
    # Nothing of the client's credentials goes upstream.
    assert not any("hg-" in value for value in received.headers.values())
