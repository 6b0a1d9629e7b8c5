"""The controls: programs and scripted upstreams get on with each other without Headgate.

A failure here is no failure of the product: a new version of a program, or a rule that a real provider does
not have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs import session, test_claude_code, test_codex, test_node_sdks
from tests.programs.install import Programs
from tests.programs.run import Target, claude_code, codex, node_script
from tests.programs.system import DIALECTS, KNOWN
from tests.programs.upstream import anthropic_rules, chat_rules, gemini_rules, responses_rules
from tests.programs.upstream.rules import Refused
from tests.programs.upstream.script import Call, Script
from tests.programs.upstream.server import Upstream
from tests.support.wire import Recording, needs_wire, recordings

OWN = {"chat": "chat", "responses": "responses", "messages": "anthropic"}
MODEL = "claude-opus-4-8"
# Accepted by the provider when it was recorded, and refused here: what newer models refuse, what is behind a
# beta whose header was not recorded, and tools of the provider's own.
BEYOND = {
    "anthropic-messages-n-rbl-012",
    "openai-responses-n-pai-007",
    "openai-responses-n-pai-008",
    "openai-responses-n-pai-025",
}


@pytest.fixture
def upstreams() -> Iterator[dict[str, Upstream]]:
    made = {dialect.name: Upstream(dialect) for dialect in DIALECTS}
    for upstream in made.values():
        upstream.__enter__()
    yield made
    for upstream in made.values():
        upstream.__exit__(None, None, None)


def played(upstream: Upstream, script: Script, model: str = MODEL) -> Target:
    upstream.play(script)
    return Target(upstream.url, "pk-scripted", model)


def check(upstream: Upstream, script: Script) -> None:
    assert upstream.refusals == []
    assert [list(received.results) for received in upstream.received] == [[], [script.call.id]]


def test_claude_code_talks_to_the_upstream_of_its_dialect(
    programs: Programs, upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    upstream, script = upstreams["anthropic"], Script(test_claude_code.BASH, session.FINAL)
    ran = claude_code(programs, played(upstream, script), tmp_path, session.TASK)
    assert upstream.refusals == [], ran.log[-3000:]
    assert (ran.exit_code, ran.answer) == (0, session.FINAL), ran.log[-3000:]
    assert (ran.work / session.FILE).read_text() == f"{session.CONTENT}\n"
    check(upstream, script)


@pytest.mark.parametrize("call", [test_codex.SHELL, test_codex.PATCH], ids=["shell", "patch"])
def test_codex_talks_to_the_upstream_of_its_dialect(
    programs: Programs, upstreams: dict[str, Upstream], call: Call, tmp_path: Path
) -> None:
    upstream, script = upstreams["responses"], Script(call, session.FINAL)
    ran = codex(programs, played(upstream, script, KNOWN), tmp_path, session.TASK)
    assert upstream.refusals == [], ran.log[-3000:]
    assert (ran.exit_code, ran.answer) == (0, session.FINAL), ran.log[-3000:]
    assert (ran.work / session.FILE).read_text() == f"{session.CONTENT}\n"
    check(upstream, script)


@pytest.mark.parametrize("sdk", OWN)
def test_the_sdk_talks_to_the_upstream_of_its_dialect(
    programs: Programs, upstreams: dict[str, Upstream], sdk: str, tmp_path: Path
) -> None:
    upstream, script = upstreams[OWN[sdk]], Script(test_node_sdks.WEATHER, session.FINAL)
    target = played(upstream, script)
    ran = node_script(programs, test_node_sdks.SCRIPTS / f"{sdk}.cjs", target, tmp_path)
    assert upstream.refusals == [], ran.log[-3000:]
    assert ran.exit_code == 0, ran.log[-3000:]
    seen = json.loads(ran.answer)
    assert seen["texts"] == [script.before, session.FINAL]
    assert seen["call"]["arguments"] == test_node_sdks.WEATHER.arguments
    assert seen["tokens"] == [[usage.input, usage.output] for usage in script.usages]
    check(upstream, script)


def recorded() -> list[Recording]:
    """Requests that the real providers have answered with 200."""
    endpoints = {"messages", "chat.completions", "responses", "generateContent", "streamGenerateContent"}
    found = recordings({"openai", "anthropic", "gemini"}, endpoints)
    return [r for r in found if r.status == 200 and r.request_body and (r.provider, r.endpoint) in RULES]


def _anthropic(headers: dict[str, str], document: dict[str, Any]) -> None:
    anthropic_rules.check({"anthropic-version": "2023-06-01", **headers, "x-api-key": "pk"}, document)


def _chat(headers: dict[str, str], document: dict[str, Any]) -> None:
    chat_rules.check({**headers, "authorization": "Bearer pk"}, document)


def _responses(headers: dict[str, str], document: dict[str, Any]) -> None:
    responses_rules.check({**headers, "authorization": "Bearer pk"}, document)


def _gemini(headers: dict[str, str], document: dict[str, Any]) -> None:
    gemini_rules.check({**headers, "x-goog-api-key": "pk"}, document)


RULES = {
    ("anthropic", "messages"): _anthropic,
    ("openai", "chat.completions"): _chat,
    ("openai", "responses"): _responses,
    ("gemini", "generateContent"): _gemini,
    ("gemini", "streamGenerateContent"): _gemini,
}


@needs_wire
def test_the_rules_accept_what_the_real_providers_accepted() -> None:
    refused = {}
    for recording in recorded():
        headers = {name.lower(): value for name, value in recording.request_headers.items()}
        try:
            RULES[recording.provider, recording.endpoint](headers, dict(recording.request_body or {}))
        except Refused as error:
            refused[recording.id] = str(error)
    assert {id_: why for id_, why in refused.items() if id_ not in BEYOND} == {}
    assert len(recorded()) > 200
