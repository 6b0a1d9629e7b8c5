"""What is asked of Gemini, and what its answers mean: parts, names, signatures, blocks and finish reasons.

https://ai.google.dev/api/generate-content, …/gemini-api/docs/function-calling
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.support import provider_rules
from tests.unit.proxy.dialects.asking import (
    CHAT,
    CHAT_TOOL,
    CLIENTS,
    GEMINI,
    MESSAGES,
    MESSAGES_TOOL,
    QUESTION,
    RESPONSES,
    at,
    bridge,
    events_of,
    left_out,
    question,
    refused,
    streamed,
    whole,
    written,
)

Document = dict[str, Any]
OLDER = at("gemini-2.5-flash", "gemini")
PNG: Document = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}


def given(id: str, content: Any = "done", **more: Any) -> Document:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **more}


def conversation(*results: Document, after: str = "Go on.") -> Document:
    calls = [
        {"type": "tool_use", "id": r["tool_use_id"], "name": f"look_{r['tool_use_id']}", "input": {}}
        for r in results
    ]
    told = [*results, {"type": "text", "text": after}]
    messages = [QUESTION, {"role": "assistant", "content": calls}, {"role": "user", "content": told}]
    return question(MESSAGES, messages=messages, tools=[MESSAGES_TOOL])


def test_results_of_parallel_calls_are_one_content_with_the_names_of_their_calls() -> None:
    document = written(MESSAGES, conversation(given("b"), given("a", "no", is_error=True)), GEMINI)
    assert [content["role"] for content in document["contents"]] == ["user", "model", "user"]
    first, second, text = document["contents"][2]["parts"]
    assert first["functionResponse"] == {"id": "b", "name": "look_b", "response": {"output": "done"}}
    assert second["functionResponse"] == {"id": "a", "name": "look_a", "response": {"error": "no"}}
    assert text == {"text": "Go on."}
    provider_rules.check("gemini", document)


def test_pictures_of_results_are_inside_from_the_third_generation_on_and_beside_before() -> None:
    request = conversation(given("a", [{"type": "text", "text": "see"}, PNG]))
    inside = written(MESSAGES, request, GEMINI)["contents"][2]["parts"][0]["functionResponse"]
    assert inside["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]
    beside = written(MESSAGES, request, OLDER)["contents"][2]["parts"]
    assert "parts" not in beside[0]["functionResponse"]
    assert beside[1] == {"inlineData": {"mimeType": "image/png", "data": "AA=="}}


def test_a_result_of_a_call_that_is_not_there_is_refused_because_its_name_is_needed() -> None:
    messages = [QUESTION, {"role": "tool", "tool_call_id": "x", "content": "?"}]
    assert refused(CHAT, question(CHAT, messages=messages), GEMINI) == "messages[1]"


def test_system_messages_lead_or_are_marked_text() -> None:
    system = {"role": "system", "content": "Be brief."}
    later = {"role": "system", "content": "Be kind."}
    document = written(CHAT, question(CHAT, messages=[system, QUESTION, later]), GEMINI)
    assert document["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert document["contents"][0]["parts"][1]["text"] == ("<system-reminder>\nBe kind.\n</system-reminder>")


def test_media_go_by_url_and_by_value_with_their_types() -> None:
    parts: list[Document] = [
        {"type": "image_url", "image_url": {"url": "https://e.example/a.webp?x=1"}},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,AA=="}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
        {"type": "file", "file": {"filename": "d.pdf", "file_data": "data:application/pdf;base64,AA=="}},
    ]
    sent = written(CHAT, question(CHAT, messages=[{"role": "user", "content": parts}]), GEMINI)
    assert sent["contents"][0]["parts"] == [
        {"fileData": {"mimeType": "image/webp", "fileUri": "https://e.example/a.webp?x=1"}},
        {"inlineData": {"mimeType": "image/gif", "data": "AA=="}},
        {"inlineData": {"mimeType": "audio/mpeg", "data": "AA=="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ("none", {"mode": "NONE"}),
        (
            {"type": "function", "function": {"name": "look"}},
            {"mode": "ANY", "allowedFunctionNames": ["look"]},
        ),
    ],
)
def test_the_choice_of_tools_is_a_mode(choice: Any, expected: Document) -> None:
    document = written(CHAT, question(CHAT, tools=[CHAT_TOOL], tool_choice=choice), GEMINI)
    assert document["toolConfig"]["functionCallingConfig"] == expected
    provider_rules.check("gemini", document)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": True},
        {"type": "object", "$ref": "#/$defs/x", "$defs": {"x": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "$schema": "https://j.example"},
    ],
)
def test_schemas_are_sent_as_json_schema_and_none_is_lost(schema: Document) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    (declared,) = written(CHAT, question(CHAT, tools=[tool]), GEMINI)["tools"][0]["functionDeclarations"]
    assert declared["parametersJsonSchema"] == {k: v for k, v in schema.items() if k != "$schema"}


@pytest.mark.parametrize("schema", [None, {"type": "object", "properties": {}}])
def test_a_tool_without_arguments_declares_none(schema: Document | None) -> None:
    function = {"name": "f"} if schema is None else {"name": "f", "parameters": schema}
    document = written(CHAT, question(CHAT, tools=[{"type": "function", "function": function}]), GEMINI)
    assert document["tools"] == [{"functionDeclarations": [{"name": "f"}]}]


def test_settings_have_geminis_names_and_places() -> None:
    request = question(
        CHAT,
        max_tokens=9,
        temperature=0.5,
        top_p=0.25,
        top_k=3,
        stop="END",
        seed=1,
        frequency_penalty=0.5,
        presence_penalty=0.75,
        logprobs=True,
        top_logprobs=2,
        service_tier="flex",
    )
    document = written(CHAT, request, GEMINI)
    assert document["generationConfig"] == {
        "maxOutputTokens": 9,
        "temperature": 0.5,
        "topP": 0.25,
        "topK": 3,
        "stopSequences": ["END"],
        "seed": 1,
        "frequencyPenalty": 0.5,
        "presencePenalty": 0.75,
        "responseLogprobs": True,
        "logprobs": 2,
    }
    assert document["serviceTier"] == "flex"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"tools": [CHAT_TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"n": 2}, "n"),
    ],
)
def test_what_gemini_has_no_word_for_is_refused_by_its_name(fields: Document, place: str) -> None:
    assert refused(CHAT, question(CHAT, **fields), GEMINI) == place


def test_streams_are_asked_for_by_the_path() -> None:
    for stream in (True, False):
        made = bridge(CHAT, question(CHAT, stream=stream), GEMINI)
        assert made.operation == ("gemini.stream" if stream else "gemini")
        assert b'"stream"' not in made.body


def answer(*parts: Document, reason: str | None = "STOP", **more: Any) -> Document:
    candidate: Document = {"content": {"role": "model", "parts": list(parts)}, **more}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "responseId": "rid", "modelVersion": "gemini"}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", ("stop", "end_turn", "completed")),
        ("MAX_TOKENS", ("length", "max_tokens", "incomplete")),
        ("CONTINUATION", ("length", "max_tokens", "incomplete")),
        ("SAFETY", ("content_filter", "refusal", "incomplete")),
        ("PROHIBITED_CONTENT", ("content_filter", "refusal", "incomplete")),
    ],
)
def test_finish_reasons_have_the_clients_words(reason: str, expected: tuple[str, str, str]) -> None:
    said = answer({"text": "x"}, reason=reason)
    choice = whole(CHAT, GEMINI, said)["choices"][0]
    found = (choice["finish_reason"], whole(MESSAGES, GEMINI, said)["stop_reason"])
    assert (*found, whole(RESPONSES, GEMINI, said)["status"]) == expected
    assert choice.get("native_finish_reason", "") in (reason, "")


@pytest.mark.parametrize("client", CLIENTS)
def test_calls_finish_as_calls_although_gemini_says_stop(client: str) -> None:
    said = answer({"functionCall": {"name": "look", "args": {}}})
    document = whole(client, GEMINI, said)
    if client == CHAT:
        assert document["choices"][0]["finish_reason"] == "tool_calls"
    elif client == MESSAGES:
        assert document["stop_reason"] == "tool_use"
    else:
        assert document["output"][0]["type"] == "function_call"


@pytest.mark.parametrize("stream", [True, False])
def test_a_blocked_prompt_is_a_filtered_answer_and_no_failure(stream: bool) -> None:
    blocked: Document = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 3},
    }
    if stream:
        events = streamed(CHAT, GEMINI, events_of(blocked))
        assert [c["finish_reason"] for e in events for c in e["choices"]][-1] == "content_filter"
        assert streamed(MESSAGES, GEMINI, events_of(blocked))[-2]["delta"]["stop_reason"] == "refusal"
    else:
        assert whole(CHAT, GEMINI, blocked)["choices"][0]["finish_reason"] == "content_filter"
        assert whole(MESSAGES, GEMINI, blocked)["stop_reason"] == "refusal"


def test_a_finish_that_comes_twice_is_told_once() -> None:
    events = streamed(CHAT, GEMINI, events_of(answer({"text": "x"}), answer({"text": ""})))
    finished = [c for e in events for c in e["choices"] if c["finish_reason"]]
    assert len(finished) == 1


def test_grounding_points_at_characters_not_at_bytes() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://e.example", "title": "E"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 4, "endIndex": 9, "text": "x"}, "groundingChunkIndices": [0]}
        ],
    }
    said = answer({"text": "Zü 🚀 x"}, groundingMetadata=grounding)
    (found,) = whole(CHAT, GEMINI, said)["choices"][0]["message"]["annotations"]
    url = found["url_citation"]
    assert (url["url"], url["start_index"], url["end_index"]) == ("https://e.example", 3, 5)


def test_what_only_gemini_knows_is_carried_along() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    said = answer(code, {"text": "x"})
    assert whole(CHAT, GEMINI, said)["choices"][0]["message"]["provider_content"] == [code]
    assert whole(MESSAGES, GEMINI, said)["provider_content"] == [code]
    assert whole(RESPONSES, GEMINI, said)["provider_content"] == [code]


@pytest.mark.parametrize("client", CLIENTS)
def test_calls_without_ids_get_ids_that_no_other_answer_has(client: str) -> None:
    """Models up to 2.5 give none. Two answers' calls must not be taken for one in the next request."""
    call = {"functionCall": {"name": "look", "args": {}}}
    ids: list[str] = []
    for number in range(2):
        made = bridge(client, question(client), GEMINI, request_id=bytes([number]) * 16)
        said = {**answer(call, call), "responseId": ""}
        ids += _ids(client, orjson.loads(made.whole(orjson.dumps(said)).body))
    assert len(ids) == len(set(ids)) == 4
    assert all(0 < len(id) <= 40 for id in ids)


def _ids(client: str, document: Document) -> list[str]:
    if client == CHAT:
        return [call["id"] for call in document["choices"][0]["message"]["tool_calls"]]
    if client == MESSAGES:
        return [block["id"] for block in document["content"]]
    return [item["call_id"] for item in document["output"]]


def test_fields_that_gemini_does_without_are_named() -> None:
    strict = {"type": "function", "function": {**CHAT_TOOL["function"], "strict": True}}  # type: ignore[dict-item]
    request = question(CHAT, tools=[strict], user="ann", store=True)
    assert sorted(left_out(CHAT, request, GEMINI)) == ["store", "tools[0].strict", "user"]


def test_function_calls_beside_json_are_emulated_where_the_model_refuses_both() -> None:
    request = question(CHAT, tools=[CHAT_TOOL], response_format={"type": "json_object"})
    provider_rules.check("gemini", written(CHAT, request, OLDER), model="gemini-2.5-flash")
    both = written(CHAT, request, GEMINI)
    assert both["generationConfig"]["responseMimeType"] == "application/json"
