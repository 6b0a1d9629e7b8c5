"""Tools under names that a provider does not take, and the one tool that three dialects have: a web search.

The client always sees the names it gave; a search that a provider cannot do as asked is refused by its place.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.saying import Call, Said, stream_of
from tests.unit.proxy.dialects.asking import (
    BY_RESPONSES,
    CHAT,
    CHAT_TOOL,
    CLAUDE,
    GEMINI,
    MESSAGES,
    MESSAGES_TOOL,
    OPENAI,
    RESPONSES,
    at,
    left_out,
    question,
    refused,
    streamed,
    whole,
    written,
)
from tests.unit.proxy.dialects.hearing import heard_by_messages

Document = dict[str, Any]
LONG = "mcp__" + "very_long_" * 9
OLDER = at("gemini-2.5-flash", "gemini")


def wire_name(client: str, tool: Document) -> str:
    sent = written(client, question(client, tools=[tool]), OPENAI if client != CHAT else GEMINI)
    declared = sent["tools"][0]
    name: str = (declared.get("function") or declared["functionDeclarations"][0])["name"]
    return name


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", [LONG, LONG + "2", "look.at", "schauen-ü", "look"])
def test_the_client_sees_the_name_it_gave_whatever_the_provider_was_told(name: str, stream: bool) -> None:
    tool = {**MESSAGES_TOOL, "name": name}
    told = wire_name(MESSAGES, tool)
    assert len(told) <= 64
    said = Said(calls=(Call("c1", told, ("{}",)),))
    if stream:
        events = streamed(MESSAGES, OPENAI, stream_of("chat", said), tools=[tool])
        assert heard_by_messages(events).calls == [("c1", name, {})]
        return
    call = {"id": "c1", "function": {"name": told, "arguments": "{}"}}
    answer = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    assert whole(MESSAGES, OPENAI, answer, tools=[tool])["content"][0]["name"] == name


def test_two_long_names_stay_two() -> None:
    assert wire_name(MESSAGES, {**MESSAGES_TOOL, "name": LONG}) != wire_name(
        MESSAGES, {**MESSAGES_TOOL, "name": LONG + "2"}
    )


BY_OPENAI: Document = {
    "type": "web_search",
    "filters": {"allowed_domains": ["a.example"]},
    "user_location": {"type": "approximate", "city": "Zürich", "country": "CH"},
}
BY_ANTHROPIC: Document = {
    "type": "web_search_20250305",
    "name": "web_search",
    "max_uses": 3,
    "allowed_domains": ["a.example"],
    "user_location": {"type": "approximate", "city": "Zürich", "country": "CH"},
}


def test_openais_search_is_anthropics_and_the_other_way() -> None:
    claude = written(RESPONSES, question(RESPONSES, tools=[BY_OPENAI]), CLAUDE)
    assert claude["tools"] == [{k: v for k, v in BY_ANTHROPIC.items() if k != "max_uses"}]
    request = question(MESSAGES, tools=[BY_ANTHROPIC])
    assert written(MESSAGES, request, BY_RESPONSES)["tools"] == [BY_OPENAI]
    assert left_out(MESSAGES, request, BY_RESPONSES) == ["tools[0].max_uses"]


def test_gemini_searches_beside_functions_from_the_third_generation_on() -> None:
    plain = {"type": "web_search"}
    function = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
    request = question(RESPONSES, tools=[plain, function])
    document = written(RESPONSES, request, GEMINI)
    assert {"googleSearch": {}} in document["tools"]
    assert document["toolConfig"]["includeServerSideToolInvocations"] is True
    assert refused(RESPONSES, request, OLDER) == "tools[0]"
    alone = written(RESPONSES, question(RESPONSES, tools=[plain]), OLDER)
    assert alone["tools"] == [{"googleSearch": {}}]


@pytest.mark.parametrize(
    ("client", "tool", "target", "place"),
    [
        (RESPONSES, BY_OPENAI, GEMINI, "tools[0]"),
        (RESPONSES, BY_OPENAI, OPENAI, "tools[0]"),
        (MESSAGES, {**BY_ANTHROPIC, "blocked_domains": ["b"]}, BY_RESPONSES, "tools[0].blocked_domains"),
        (MESSAGES, {"type": "web_fetch_20250910", "name": "web_fetch"}, BY_RESPONSES, "tools[0]"),
        (RESPONSES, {"type": "mcp", "server_label": "x"}, CLAUDE, "tools[0]"),
        (RESPONSES, {"type": "code_interpreter", "container": "c"}, GEMINI, "tools[0]"),
    ],
)
def test_a_providers_own_tool_that_another_lacks_is_refused_by_its_place(
    client: str, tool: Document, target: Any, place: str
) -> None:
    assert refused(client, question(client, tools=[tool]), target) == place


def test_what_a_search_found_is_carried_with_its_citations() -> None:
    found = {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "url": "https://a.example", "title": "A"}],
    }
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    place = {
        "type": "web_search_result_location",
        "url": "https://a.example",
        "title": "A",
        "cited_text": "x",
    }
    text = {"type": "text", "text": "So.", "citations": [place]}
    answer = {"content": [search, found, text], "stop_reason": "end_turn", "usage": {"input_tokens": 1}}
    message = whole(CHAT, CLAUDE, answer, tools=[CHAT_TOOL])["choices"][0]["message"]
    assert message["content"] == "So."
    assert "tool_calls" not in message
    assert message["provider_content"] == [search, found]
    assert message["annotations"][0]["url_citation"]["url"] == "https://a.example"
