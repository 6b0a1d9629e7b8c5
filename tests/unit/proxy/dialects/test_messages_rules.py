"""What is asked of Anthropic obeys its rules for turns, results, ids, system prompts and cache marks.

https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use,
…/build-with-claude/prompt-caching, …/mid-conversation-system-messages
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import provider_rules
from tests.unit.proxy.dialects.asking import (
    CHAT,
    CHAT_TOOL,
    CLAUDE,
    MESSAGES,
    MESSAGES_TOOL,
    QUESTION,
    RESPONSES,
    at,
    left_out,
    question,
    refused,
    written,
)

TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")


def call(id: str, name: str = "look", arguments: str = "{}") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(id: str, content: Any = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}


def talk(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A chat client's conversation."""
    return {"model": "m", "messages": [QUESTION, *messages], "tools": [CHAT_TOOL], **fields}


def turns(document: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """(role, kinds of block) per message."""
    return [
        (
            message["role"],
            ["text"] if isinstance(message["content"], str) else [b["type"] for b in message["content"]],
        )
        for message in document["messages"]
    ]


def test_results_of_parallel_calls_are_merged_into_one_user_turn_before_its_text() -> None:
    asked = {"role": "assistant", "content": "See:", "tool_calls": [call("a"), call("b")]}
    document = written(CHAT, talk(asked, result("a"), result("b"), QUESTION), CLAUDE)
    assert turns(document) == [
        ("user", ["text"]),
        ("assistant", ["text", "tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result", "text"]),
    ]
    provider_rules.check("messages", document)


def test_results_come_first_even_where_the_client_put_text_before_them() -> None:
    asked = {"role": "assistant", "content": None, "tool_calls": [call("a")]}
    document = written(CHAT, talk(asked, {"role": "user", "content": "meanwhile"}, result("a")), CLAUDE)
    assert turns(document)[-1] == ("user", ["tool_result", "text"])


def test_an_error_and_an_image_survive_inside_a_result() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    given = {
        "type": "tool_result",
        "tool_use_id": "a",
        "is_error": True,
        "content": [{"type": "text", "text": "broken"}, image],
    }
    used = {"type": "tool_use", "id": "a", "name": "look", "input": {}}
    messages = [
        QUESTION,
        {"role": "assistant", "content": [used]},
        {"role": "user", "content": [given]},
    ]
    for client, target in ((MESSAGES, CLAUDE), (MESSAGES, at("claude-opus-4-6", "anthropic"))):
        document = written(client, question(client, messages=messages, tools=[MESSAGES_TOOL]), target)
        assert document["messages"][-1]["content"] == [given]
    by_chat = result("a", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}])
    asked = {"role": "assistant", "content": None, "tool_calls": [call("a")]}
    document = written(CHAT, talk(asked, by_chat), CLAUDE)
    assert document["messages"][-1]["content"][0]["content"] == [image]


@pytest.mark.parametrize("id", ["call.1:x", "functions.look:0", "é", "a b", "x" * 65])
def test_ids_that_anthropic_refuses_become_digests_that_call_and_result_share(id: str) -> None:
    asked = {"role": "assistant", "content": None, "tool_calls": [call(id), call("plain_id-1")]}
    document = written(CHAT, talk(asked, result("plain_id-1"), result(id)), CLAUDE)
    used = [block["id"] for block in document["messages"][1]["content"]]
    assert TOOL_ID.fullmatch(used[0])
    assert used[1] == "plain_id-1"
    assert sorted(block["tool_use_id"] for block in document["messages"][2]["content"]) == sorted(used)
    assert written(CHAT, talk(asked, result("plain_id-1"), result(id)), CLAUDE) == document


@pytest.mark.parametrize("empty", ["", " ", "\n\n"])
def test_text_without_a_letter_is_no_block(empty: str) -> None:
    asked = {"role": "assistant", "content": empty, "tool_calls": [call("a")]}
    document = written(CHAT, talk(asked, result("a")), CLAUDE)
    assert turns(document)[1] == ("assistant", ["tool_use"])


@pytest.mark.parametrize("arguments", ["", "{}", "not json", "[1]", '"x"', '{"a":' + "[" * 999])
def test_arguments_are_always_an_object(arguments: str) -> None:
    asked = {"role": "assistant", "content": None, "tool_calls": [call("a", arguments=arguments)]}
    sent = written(CHAT, talk(asked, result("a")), CLAUDE)["messages"][1]["content"][0]["input"]
    assert sent == ({} if arguments in ("", "{}") else {"arguments": arguments})


def test_neighbours_of_one_role_are_one_turn() -> None:
    document = written(CHAT, talk({"role": "user", "content": "and"}, tools=None), CLAUDE)
    assert turns(document) == [("user", ["text", "text"])]


SYSTEM: dict[str, Any] = {"role": "system", "content": "Be brief."}
LATER: dict[str, Any] = {"role": "developer", "content": "Be kind."}


def test_leading_system_and_developer_messages_become_the_system_prompt() -> None:
    document = written(CHAT, {"model": "m", "messages": [SYSTEM, LATER, QUESTION]}, CLAUDE)
    assert [block["text"] for block in document["system"]] == ["Be brief.", "Be kind."]
    assert turns(document) == [("user", ["text"])]


@pytest.mark.parametrize(("model", "role"), [("claude-opus-4-8", "system"), ("claude-opus-4-7", "user")])
def test_a_later_system_message_keeps_its_place(model: str, role: str) -> None:
    target = at(model, "anthropic")
    document = written(CHAT, {"model": "m", "messages": [QUESTION, LATER]}, target)
    assert "system" not in document
    last = document["messages"][-1]
    assert last["role"] == role
    if role == "system":
        assert last["content"] == "Be kind."
    else:
        assert last["content"][-1]["text"] == "<system-reminder>\nBe kind.\n</system-reminder>"
    provider_rules.check("messages", document)


def test_a_later_system_message_before_a_user_message_is_marked_text_of_the_user() -> None:
    """`role: system` must be followed by an assistant's turn, or be the last."""
    target = at("claude-opus-4-8", "anthropic")
    document = written(CHAT, {"model": "m", "messages": [QUESTION, LATER, QUESTION]}, target)
    assert turns(document) == [("user", ["text", "text", "text"])]


def test_a_picture_in_a_system_message_is_refused_by_its_place() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://e.example/x.png"}}
    for messages in (
        [{"role": "system", "content": [picture]}, QUESTION],
        [QUESTION, {**LATER, "content": [picture]}],
    ):
        place = next(i for i, m in enumerate(messages) if isinstance(m["content"], list))
        assert refused(CHAT, {"model": "m", "messages": messages}, CLAUDE) == f"messages[{place}].content[0]"


def test_a_conversation_without_a_user_is_refused() -> None:
    assert refused(CHAT, {"model": "m", "messages": [SYSTEM]}, CLAUDE) == "messages"


def test_an_answer_to_be_continued_goes_to_the_models_that_continue_it_alone() -> None:
    begun = {"role": "assistant", "content": "The answer is "}
    document = written(CHAT, {"model": "m", "messages": [QUESTION, begun]}, CLAUDE)
    assert document["messages"][-1] == {"role": "assistant", "content": "The answer is"}
    newer = at("claude-opus-4-6", "anthropic")
    assert refused(CHAT, {"model": "m", "messages": [QUESTION, begun]}, newer) == "messages[1]"


HOUR = {"type": "ephemeral", "ttl": "1h"}
MARK = {"type": "ephemeral"}


def test_cache_marks_of_a_chat_client_stand_where_it_put_them() -> None:
    document = written(
        CHAT,
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": HOUR}]},
                {"role": "user", "content": [{"type": "text", "text": "u", "cache_control": MARK}]},
            ],
            "tools": [{**CHAT_TOOL, "cache_control": HOUR}],
        },
        CLAUDE,
    )
    assert document["tools"][0]["cache_control"] == HOUR
    assert document["system"] == [{"type": "text", "text": "s", "cache_control": HOUR}]
    assert document["messages"][0]["content"] == [{"type": "text", "text": "u", "cache_control": MARK}]
    provider_rules.check("messages", document)


def marked() -> dict[str, Any]:
    """A Messages client's conversation with a mark in every place that can have one."""
    used = {"type": "tool_use", "id": "a", "name": "look", "input": {}, "cache_control": MARK}
    given = {"type": "tool_result", "tool_use_id": "a", "content": "x", "cache_control": MARK}
    text = {"type": "text", "text": "s", "cache_control": MARK}
    return question(
        MESSAGES,
        system=[text],
        messages=[
            {"role": "user", "content": [text]},
            {"role": "assistant", "content": [used]},
            {"role": "user", "content": [given]},
        ],
        tools=[{**MESSAGES_TOOL, "cache_control": MARK}],
    )


PLACES = ["system[0]", *(f"messages[{i}].content[0]" for i in range(3)), "tools[0]"]


@pytest.mark.parametrize(
    ("model", "kind"),
    [("gpt-4.1", "openai"), ("codex", "openai"), ("gemini-3-flash", "gemini"), ("m", "groq")],
)
def test_cache_marks_are_named_where_a_provider_has_none(model: str, kind: str) -> None:
    assert sorted(left_out(MESSAGES, marked(), at(model, kind))) == sorted(
        f"{p}.cache_control" for p in PLACES
    )


def test_cache_marks_reach_openrouter() -> None:
    target = at("anthropic/claude-sonnet-4.5", "openrouter")
    document = written(MESSAGES, marked(), target)
    assert document["tools"][0]["cache_control"] == MARK
    for message in (document["messages"][0], document["messages"][1], document["messages"][-1]):
        assert message["content"][-1]["cache_control"] == MARK


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        ("none", False, {"type": "none"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        (None, True, None),
        ({"type": "function", "function": {"name": "look"}}, None, {"type": "tool", "name": "look"}),
    ],
)
def test_the_choice_of_tools_and_one_at_a_time_are_one_field(
    choice: Any, parallel: bool | None, expected: dict[str, Any] | None
) -> None:
    document = written(CHAT, talk(tool_choice=choice, parallel_tool_calls=parallel), CLAUDE)
    assert document.get("tool_choice") == expected


def test_a_choice_among_some_tools_leaves_the_others_out() -> None:
    other = {"type": "function", "function": {"name": "walk"}}
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "walk"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    document = written(CHAT, talk(tools=[CHAT_TOOL, other], tool_choice=choice), CLAUDE)
    assert [tool["name"] for tool in document["tools"]] == ["walk"]
    assert document["tool_choice"] == {"type": "any"}


def test_a_limit_is_always_given_and_is_the_models_own() -> None:
    assert written(CHAT, question(CHAT), CLAUDE)["max_tokens"] == 64_000
    assert written(CHAT, question(CHAT), at("claude-3-5-haiku", "anthropic"))["max_tokens"] == 8_192
    declared = at("claude-3-5-haiku", "anthropic", max_output_tokens=5_000)
    assert written(CHAT, question(CHAT), declared)["max_tokens"] == 5_000
    assert written(RESPONSES, question(RESPONSES, max_output_tokens=77), CLAUDE)["max_tokens"] == 77


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"seed": 1}, "seed"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"logprobs": True}, "logprobs"),
        ({"n": 2}, "n"),
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": 0.5, "top_p": 0.5}, "top_p"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}],
                    }
                ]
            },
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "messages[0].content[0]",
        ),
        ({"messages": [{"role": "user", "name": "ann", "content": "hi"}]}, "messages[0].name"),
    ],
)
def test_what_anthropic_has_no_word_for_is_refused_by_its_name(fields: dict[str, Any], place: str) -> None:
    assert refused(CHAT, question(CHAT, **fields), CLAUDE) == place


@pytest.mark.parametrize("fields", [{"temperature": 0.3}, {"top_p": 0.3}, {"top_k": 1}])
def test_sampling_is_refused_where_the_model_fixes_it(fields: dict[str, Any]) -> None:
    newest = at("claude-opus-4-7", "anthropic")
    (name,) = fields
    assert refused(CHAT, question(CHAT, **fields), newest) == name
    assert name in written(CHAT, question(CHAT, **fields), CLAUDE)


def test_defaults_that_clients_send_are_no_reason_to_refuse() -> None:
    defaults = {"temperature": 1, "top_p": 1, "n": 1, "presence_penalty": 0, "logprobs": False}
    for model in ("claude-sonnet-4-5", "claude-opus-4-7", "claude-opus-5-5"):
        document = written(CHAT, question(CHAT, **defaults), at(model, "anthropic"))
        provider_rules.check("messages", document)


def test_hints_are_left_out_and_named() -> None:
    hints = {"store": True, "metadata": {"a": "b"}, "prompt_cache_key": "k", "verbosity": "low"}
    assert sorted(left_out(CHAT, question(CHAT, **hints), CLAUDE)) == sorted(hints)
