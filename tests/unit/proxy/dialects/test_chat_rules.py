"""What is asked of a provider in the chat dialect keeps to the manners of that provider.

https://docs.mistral.ai/api, https://console.groq.com/docs, https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support import provider_rules
from tests.unit.proxy.dialects.asking import (
    CHAT,
    MESSAGES,
    MESSAGES_TOOL,
    OPENAI,
    QUESTION,
    RESPONSES,
    RESPONSES_TOOL,
    at,
    left_out,
    question,
    refused,
    written,
)

MISTRAL = at("mistral-large", "mistral")
KINDS = (
    "openai",
    "groq",
    "cerebras",
    "deepinfra",
    "mistral",
    "xai",
    "openrouter",
    "nvidia",
    "openai-compatible",
)
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}


def used(id: str, name: str = "look") -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": {"n": 1}}


def given(id: str, content: Any = "done", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **more}


def conversation(*results: dict[str, Any], after: str = "") -> dict[str, Any]:
    """A Messages client that called a tool for each result."""
    calls = [used(result["tool_use_id"]) for result in results]
    text = [{"type": "text", "text": after}] if after else []
    messages = [
        QUESTION,
        {"role": "assistant", "content": calls},
        {"role": "user", "content": [*results, *text]},
    ]
    return question(MESSAGES, messages=messages, tools=[MESSAGES_TOOL])


IDS = ("toolu_01AbCdEfGhIjKlMnOpQrStUv", "toolu_01AbCdEfGhIjKlMnOpQrStUw", "abcDEF123", "a b", "x" * 64)


@pytest.mark.parametrize("kind", KINDS)
def test_call_and_result_keep_one_id_that_the_provider_takes(kind: str) -> None:
    messages = written(MESSAGES, conversation(*map(given, IDS)), at("m", kind))["messages"]
    calls = [call["id"] for call in messages[1]["tool_calls"]]
    results = [message["tool_call_id"] for message in messages[2:]]
    assert calls == results
    assert len(set(calls)) == len(IDS), "two calls became one"
    longest = 9 if kind == "mistral" else 40 if kind == "openai" else 64
    assert all(len(id) <= longest for id in calls)
    if kind == "mistral":
        assert all(re.fullmatch("[a-zA-Z0-9]{9}", id) for id in calls)
        assert calls[2] == IDS[2], "an id that fits is kept"
    provider_rules.check("chat", written(MESSAGES, conversation(*map(given, IDS)), at("m", kind)), kind=kind)


def test_an_id_becomes_the_same_one_in_every_request() -> None:
    """A call and its result may go through two proxies that know nothing of each other."""
    first = written(MESSAGES, conversation(given(IDS[0])), MISTRAL)
    again = written(MESSAGES, conversation(given(IDS[1]), given(IDS[0])), MISTRAL)
    assert first["messages"][1]["tool_calls"][0]["id"] == again["messages"][1]["tool_calls"][1]["id"]


def test_failed_results_say_so_and_pictures_of_results_follow_in_a_user_message() -> None:
    request = conversation(
        given("a", "broken", is_error=True),
        given("b", [{"type": "text", "text": "see"}, PNG]),
        given("c", [PNG]),
        given("d", None, is_error=True),
        after="Go on.",
    )
    messages = written(MESSAGES, request, OPENAI)["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "tool", "tool", "tool", "user"]
    assert messages[2]["content"] == "Error: broken"
    assert messages[3]["content"] == "see"
    assert messages[4]["content"], "a tool message without content is refused"
    assert messages[5]["content"].startswith("Error")
    kinds = [part["type"] for part in messages[6]["content"]]
    assert kinds == ["text", "image_url", "text", "image_url", "text"]
    assert messages[6]["content"][-1]["text"] == "Go on."
    assert "b" in messages[6]["content"][0]["text"]
    provider_rules.check("chat", written(MESSAGES, request, OPENAI))


@pytest.mark.parametrize("kind", KINDS)
def test_developer_messages_are_system_messages_but_at_openai(kind: str) -> None:
    document = written(
        RESPONSES, question(RESPONSES, instructions="Be brief."), at("m", kind, declared_dialects=("chat",))
    )
    assert document["messages"][0] == {
        "role": "developer" if kind == "openai" else "system",
        "content": "Be brief.",
    }


def test_an_earlier_refusal_is_a_field_at_openai_and_text_elsewhere() -> None:
    refusal = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    request = question(RESPONSES, input=[QUESTION, refusal, QUESTION])
    assert written(RESPONSES, request, OPENAI)["messages"][1]["refusal"] == "No."
    assert written(RESPONSES, request, MISTRAL)["messages"][1] == {"role": "assistant", "content": "No."}


@pytest.mark.parametrize(
    ("kind", "field"), [("openai", "seed"), ("mistral", "random_seed"), ("groq", "seed")]
)
def test_renamed_fields_have_the_providers_names(kind: str, field: str) -> None:
    target = at("m", kind)
    document = written(CHAT, question(CHAT, seed=3), target)
    assert document["seed"] == 3  # passed as it came
    by_responses = question(RESPONSES, max_output_tokens=7)
    limit = "max_completion_tokens" if kind == "openai" else "max_tokens"
    model = "gpt-5" if kind == "openai" else "m"
    sent = written(RESPONSES, by_responses, at(model, kind, declared_dialects=("chat",)))
    assert sent[limit] == 7
    assert field != "random_seed" or "seed" not in sent


@pytest.mark.parametrize("stream", [False, True])
def test_usage_is_asked_for_in_streams_where_the_provider_must_be_asked(stream: bool) -> None:
    document = written(MESSAGES, question(MESSAGES, stream=stream), OPENAI)
    assert document.get("stream_options") == ({"include_usage": True} if stream else None)
    assert "stream_options" not in written(MESSAGES, question(MESSAGES, stream=stream), MISTRAL)


CUSTOM = {
    "type": "custom",
    "name": "patch",
    "description": "Applies.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
}
SPACE = {
    "type": "namespace",
    "name": "files",
    "description": "d",
    "tools": [{**RESPONSES_TOOL, "name": "read"}],
}


def test_custom_tools_and_namespaces_are_functions_with_flat_names() -> None:
    items = [
        QUESTION,
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** é"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        {"type": "function_call", "call_id": "c2", "name": "read", "namespace": "files", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c2", "output": "text"},
    ]
    document = written(RESPONSES, question(RESPONSES, input=items, tools=[CUSTOM, SPACE]), OPENAI)
    patch, read = (tool["function"] for tool in document["tools"])
    assert patch["name"] == "patch"
    assert patch["parameters"]["properties"]["input"]["type"] == "string"
    assert "start: x" in json.dumps(patch["parameters"])
    assert read["name"] == "files__read"
    calls = [m["tool_calls"][0]["function"] for m in document["messages"] if m.get("tool_calls")]
    assert [call["name"] for call in calls] == ["patch", "files__read"]
    assert json.loads(calls[0]["arguments"]) == {"input": "*** é"}
    provider_rules.check("chat", document)


def test_a_name_longer_than_providers_take_is_shortened_the_same_way_for_tool_choice_and_calls() -> None:
    long = "mcp__" + "a" * 80
    tool = {**MESSAGES_TOOL, "name": long}
    messages = [
        QUESTION,
        {"role": "assistant", "content": [used("a", long)]},
        {"role": "user", "content": [given("a")]},
    ]
    choice = {"type": "tool", "name": long}
    document = written(
        MESSAGES, question(MESSAGES, messages=messages, tools=[tool], tool_choice=choice), OPENAI
    )
    name = document["tools"][0]["function"]["name"]
    assert len(name) <= 64
    assert document["tool_choice"]["function"]["name"] == name
    assert document["messages"][1]["tool_calls"][0]["function"]["name"] == name


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        (
            "pdf",
            "openai",
            {"type": "file", "file": {"filename": "t", "file_data": "data:application/pdf;base64,AA=="}},
        ),
        (
            "pdf",
            "mistral",
            {
                "type": "document_url",
                "document_url": "data:application/pdf;base64,AA==",
                "document_name": "t",
            },
        ),
        (
            "url",
            "mistral",
            {"type": "document_url", "document_url": "https://e.example/d.pdf", "document_name": "t"},
        ),
        (
            "url",
            "openrouter",
            {"type": "file", "file": {"filename": "t", "file_data": "https://e.example/d.pdf"}},
        ),
        ("text", "groq", {"type": "text", "text": "t\n\nwords"}),
        ("url", "openai", None),
        ("pdf", "groq", None),
        ("stored", "openai", None),
    ],
)
def test_documents_go_in_the_form_that_the_provider_takes(
    source: str, kind: str, expected: dict[str, Any] | None
) -> None:
    sources = {
        "pdf": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
        "url": {"type": "url", "url": "https://e.example/d.pdf"},
        "text": {"type": "text", "media_type": "text/plain", "data": "words"},
        "stored": {"type": "file", "file_id": "file_1"},
    }
    block = {"type": "document", "source": sources[source], "title": "t"}
    request = question(
        MESSAGES, messages=[{"role": "user", "content": [block, {"type": "text", "text": "?"}]}]
    )
    if expected is None:
        assert refused(MESSAGES, request, at("m", kind)) == "messages[0].content[0]"
    else:
        assert written(MESSAGES, request, at("m", kind))["messages"][0]["content"][0] == expected


@pytest.mark.parametrize("data", ["A", "%%%", "AAAAA"])
def test_a_text_document_that_is_no_base64_is_no_crash(data: str) -> None:
    source = {"type": "base64", "media_type": "text/plain", "data": data}
    request = question(
        MESSAGES, messages=[{"role": "user", "content": [{"type": "document", "source": source}]}]
    )
    for target in (OPENAI, MISTRAL, at("m", "groq")):
        try:
            written(MESSAGES, request, target)
        except Exception as error:
            assert type(error).__name__ in ("CallError", "Unsupported"), error


@pytest.mark.parametrize(("tier", "expected"), [("standard_only", "default"), ("auto", None)])
def test_anthropics_service_tiers_are_openais(tier: str, expected: str | None) -> None:
    assert written(MESSAGES, question(MESSAGES, service_tier=tier), OPENAI).get("service_tier") == expected


def test_a_user_id_is_no_longer_than_openai_takes() -> None:
    """Claude Code's has 150 characters."""
    users = ["user_" + "a" * 150, "user_" + "b" * 150]
    sent = [written(MESSAGES, question(MESSAGES, metadata={"user_id": u}), OPENAI)["user"] for u in users]
    assert all(len(user) <= 64 for user in sent)
    assert sent[0] != sent[1]
    short = question(MESSAGES, metadata={"user_id": "ann"})
    assert written(MESSAGES, short, OPENAI)["user"] == "ann"
    assert left_out(MESSAGES, short, MISTRAL) == ["metadata.user_id"]


def test_a_trailing_answer_is_continued_by_mistral_because_it_is_marked_so() -> None:
    begun = {"role": "assistant", "content": "The answer is"}
    document = written(MESSAGES, question(MESSAGES, messages=[QUESTION, begun]), MISTRAL)
    assert document["messages"][-1] == {"role": "assistant", "content": "The answer is", "prefix": True}


@pytest.mark.parametrize(
    ("request_fields", "kind", "place"),
    [
        ({"top_k": 5}, "openai", "top_k"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "openai", "tools[0]"),
        ({"mcp_servers": [{"url": "x"}]}, "openai", "mcp_servers"),
        ({"container": "c"}, "openai", "container"),
    ],
)
def test_what_a_chat_provider_has_no_word_for_is_refused_by_its_name(
    request_fields: dict[str, Any], kind: str, place: str
) -> None:
    assert refused(MESSAGES, question(MESSAGES, **request_fields), at("m", kind)) == place


@pytest.mark.parametrize("kind", ["openai-compatible", "openrouter", "deepinfra", "nvidia"])
def test_top_k_reaches_the_servers_that_have_it(kind: str) -> None:
    assert written(MESSAGES, question(MESSAGES, top_k=5), at("m", kind))["top_k"] == 5
