"""A tool call, its result, the answer: through the official SDK of each dialect, at providers of every other.

The second request is made of exactly what the SDK gave for the first; what the provider then gets is judged
by its own rules, and must hold the reasoning that it needs to go on, unchanged.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.sdk_talk import TALKS, Heard, talk
from tests.integration.proxy.translating_manifest import MODELS
from tests.support import provider_rules
from tests.support.fake_provider import Attempt, Behaviour
from tests.support.saying import SIGNATURE, WHOLE, Call, Said, chat_whole, stream_of

SAID = Said(
    reasoning=("I should ", "look. é"),
    text=("Let me ", "see 🚀."),
    calls=(
        Call("call_A1b2", "look_0", ('{"city":', '"Zürich"}')),
        Call("call_C3d4", "look_1", ('{"city"', ":", '"Ürümqi"}')),
    ),
)
RESULTS = {"call_A1b2": "21 °C", "call_C3d4": "−3 °C"}
ANSWER = Said(text=("It is ", "warm."))
# (model, whether its provider shows reasoning, whether it seals it).
PROVIDERS = [
    ("claude", True, True),
    ("gemini", True, True),
    ("pro", True, True),
    ("oss", True, False),
    ("gpt", False, False),
]
PAIRS = [(client, *provider) for client in TALKS for provider in PROVIDERS]


def scripted(model: str, said: Said, *, stream: bool) -> Behaviour:
    """The provider's answer, in its dialect."""
    kind, _, _, dialect = MODELS[model]
    if kind == "groq":  # its field has another name
        text = stream_of(dialect, said).replace(b'"reasoning_content"', b'"reasoning"')
        whole: dict[str, Any] = chat_whole(said, "reasoning")
    else:
        text, whole = stream_of(dialect, said), WHOLE[dialect](said)
    return Behaviour(body=text, stream=True) if stream else Behaviour(body=whole, stream=False)


def check_asked(attempt: Attempt, model: str, *, sealed: bool) -> dict[str, Any]:
    """The provider's own judgement; returns what it was sent."""
    kind, upstream, _, dialect = MODELS[model]
    headers = {name.lower(): value for name, value in attempt.headers}
    document: dict[str, Any] = attempt.document()
    provider_rules.check(
        dialect,
        document,
        model=upstream,
        headers=headers,
        sealed=[SIGNATURE] if sealed else [],
        kind=kind,
    )
    assert f"pk-{model}" in str(attempt.headers)
    return document


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("client", "model", "reasons", "seals"), PAIRS)
def test_calls_results_and_reasoning_go_round(
    translating: Gateway, client: str, model: str, reasons: bool, seals: bool, stream: bool
) -> None:
    said = SAID if reasons else dataclasses.replace(SAID, reasoning=())
    provider = translating.provider
    upstream = MODELS[model][1]
    provider.script(upstream, scripted(model, said, stream=stream), scripted(model, ANSWER, stream=stream))
    with talk(translating, client, model) as conversation:
        first: Heard = conversation.ask(stream=stream)
        assert first.text == "".join(said.text)
        assert first.calls == [(call.id, call.name, call.arguments) for call in said.calls]
        assert first.reasoning == "".join(said.reasoning)
        conversation.tell({id: RESULTS[id] for id, _, _ in first.calls})
        assert conversation.ask(stream=stream).text == "It is warm."
        conversation.say("And tomorrow?")
        provider.script(upstream, scripted(model, ANSWER, stream=stream))
        assert conversation.ask(stream=stream).text == "It is warm."
    attempts = translating.attempts(3)
    passes = client == MODELS[model][3]
    documents = [
        attempt.document() if passes else check_asked(attempt, model, sealed=seals) for attempt in attempts
    ]
    sent = json.dumps(documents[1], ensure_ascii=False)
    assert RESULTS["call_A1b2"] in sent
    assert RESULTS["call_C3d4"] in sent
    assert "headgate" not in sent
    for document in documents[1:]:
        assert (SIGNATURE in json.dumps(document)) == seals
    for name, text in (("call_A1b2", "21 °C"), ("call_C3d4", "−3 °C")):
        assert results_of(model, documents[1])[name] == text


def results_of(model: str, document: dict[str, Any]) -> dict[str, str]:
    """Tool results by the id of their call, in the provider's dialect."""
    dialect = MODELS[model][3]
    if dialect == "messages":
        blocks = [b for m in document["messages"] if isinstance(m["content"], list) for b in m["content"]]
        return {b["tool_use_id"]: b["content"] for b in blocks if b["type"] == "tool_result"}
    if dialect == "responses":
        return {
            i["call_id"]: i["output"] for i in document["input"] if i.get("type") == "function_call_output"
        }
    if dialect == "gemini":
        parts = [
            p["functionResponse"] for c in document["contents"] for p in c["parts"] if "functionResponse" in p
        ]
        return {part["id"]: part["response"]["output"] for part in parts}
    return {m["tool_call_id"]: m["content"] for m in document["messages"] if m["role"] == "tool"}


@pytest.mark.parametrize("client", TALKS)
def test_a_conversation_goes_on_at_another_provider_when_the_first_fails(
    translating: Gateway, client: str
) -> None:
    """What the first one sealed is not sent to the second, which would refuse it."""
    provider = translating.provider
    provider.script("claude-sonnet-4-5", scripted("claude", SAID, stream=True), Behaviour(status=500))
    provider.script("gpt-5-pro", scripted("pro", ANSWER, stream=True))
    with talk(translating, client, "claude-then-pro") as conversation:
        first: Heard = conversation.ask(stream=True)
        conversation.tell({id: RESULTS[id] for id, _, _ in first.calls})
        assert conversation.ask(stream=True).text == "It is warm."
    attempts = translating.attempts(3)
    document = check_asked(attempts[2], "pro", sealed=False)
    assert SIGNATURE not in json.dumps(document)
    assert results_of("pro", document) == RESULTS


@pytest.mark.parametrize("client", TALKS)
def test_a_strict_server_gets_only_fields_it_knows_when_it_takes_over(
    translating: Gateway, client: str
) -> None:
    """Groq and the like refuse `reasoning_content` and fields of ours in an earlier message."""
    provider = translating.provider
    provider.script("claude-sonnet-4-5", scripted("claude", SAID, stream=False), Behaviour(status=500))
    provider.script("openai/gpt-oss-20b", scripted("oss", ANSWER, stream=False))
    with talk(translating, client, "claude-then-oss") as conversation:
        first: Heard = conversation.ask(stream=False)
        conversation.tell({id: RESULTS[id] for id, _, _ in first.calls})
        assert conversation.ask(stream=False).text == "It is warm."
    document = check_asked(translating.attempts(3)[2], "oss", sealed=False)
    assert results_of("oss", document) == RESULTS


@pytest.mark.parametrize("client", ["responses", "messages"])
def test_ids_of_nine_letters_hold_together_at_mistral(translating: Gateway, client: str) -> None:
    """The calls come from Claude; Mistral is asked for the answer and refuses any other form of id."""
    provider = translating.provider
    said = dataclasses.replace(
        SAID, calls=tuple(dataclasses.replace(c, id=f"toolu_01{c.id}") for c in SAID.calls)
    )
    provider.script("claude-sonnet-4-5", scripted("claude", said, stream=True))
    provider.script("mistral-large", scripted("mistral", ANSWER, stream=True))
    with talk(translating, client, "claude") as conversation:
        first: Heard = conversation.ask(stream=True)
        conversation.tell({id: "20 °C" for id, _, _ in first.calls})
        conversation.model = "mistral"
        conversation.ask(stream=True)
    document = check_asked(translating.attempts(2)[1], "mistral", sealed=False)
    assert len(results_of("mistral", document)) == 2
