"""Opaque reasoning goes through a client that cannot read it back to its maker, unchanged, on the part it
came with; nobody else is sent it.

What comes back is compared with what the provider said, block by block: a provider that finds a signature on
another block, or a thought out of its place, refuses the request.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.support import provider_rules
from tests.unit.proxy.dialects.asking import (
    CHAT,
    CHAT_TOOL,
    CLAUDE,
    CLIENTS,
    GEMINI,
    MESSAGES,
    MESSAGES_TOOL,
    OPENAI,
    RESPONSES,
    RESPONSES_TOOL,
    at,
    bridge,
    events_of,
    left_out,
    question,
    written,
)
from tests.unit.proxy.dialects.hearing import HEARD
from tests.unit.proxy.dialects.replaying import next_request

Document = dict[str, Any]
THINKS_BY_RESPONSES = at("gpt-5-pro", "openai")
TOOLS = {CHAT: [CHAT_TOOL], MESSAGES: [MESSAGES_TOOL], RESPONSES: [RESPONSES_TOOL]}

CLAUDE_SAID: list[Document] = [
    {"type": "thinking", "thinking": "Hm.", "signature": "SIG-1=="},
    {"type": "redacted_thinking", "data": "REDACTED.~1=="},
    {"type": "thinking", "thinking": "", "signature": "SIG-2=="},
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"city": "Ü"}},
    {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
]
OPENAI_SAID: list[Document] = [
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": "ENC-1.x==",
    },
    {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "ENC-2=="},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
    {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"city":"Ü"}'},
    {"type": "function_call", "call_id": "call_2", "name": "look", "arguments": "{}"},
]
GEMINI_SAID: list[Document] = [
    {"text": "I look."},
    {"functionCall": {"id": "g1", "name": "look", "args": {"city": "Ü"}}, "thoughtSignature": "SIG-1=="},
    {"functionCall": {"id": "g2", "name": "look", "args": {}}},
]
THOUGHT = {"text": "Hm.", "thought": True}


def claude_answer(blocks: list[Document] = CLAUDE_SAID) -> Document:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": blocks,
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def openai_answer(items: list[Document] = OPENAI_SAID) -> Document:
    output = [{"id": f"fc_{i}", **item} for i, item in enumerate(items)]
    return {"id": "resp_1", "status": "completed", "model": "gpt", "output": output, "usage": None}


def gemini_answer(parts: list[Document]) -> Document:
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
    return {"candidates": [candidate], "responseId": "rid1", "modelVersion": "gemini"}


def answered(client: str, target: Any, answer: Document) -> Document:
    """The answer as the client gets it."""
    made = bridge(client, question(client, tools=TOOLS[client]), target).whole(orjson.dumps(answer))
    document: Document = orjson.loads(made.body)
    return document


@pytest.mark.parametrize("client", CLIENTS)
def test_claudes_blocks_come_back_exactly_as_it_said_them(client: str) -> None:
    answer = answered(client, CLAUDE, claude_answer())
    request = next_request(client, answer, **{"max_tokens": 4096} if client == CHAT else {})
    document = written(client, request, CLAUDE)
    assert document["messages"][1] == {"role": "assistant", "content": CLAUDE_SAID}
    provider_rules.check("messages", document, sealed=["SIG-1==", "SIG-2==", "REDACTED.~1=="])


@pytest.mark.parametrize("client", [CHAT, MESSAGES])
def test_openais_reasoning_comes_back_encrypted_before_what_it_led_to(client: str) -> None:
    answer = answered(client, THINKS_BY_RESPONSES, openai_answer())
    document = written(client, next_request(client, answer), THINKS_BY_RESPONSES)
    assert document["input"][1:6] == OPENAI_SAID
    provider_rules.check("responses", document, sealed=["ENC-1.x==", "ENC-2=="])


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("thought", [[], [THOUGHT]])
def test_geminis_signature_comes_back_on_the_call_it_came_with(client: str, thought: list[Document]) -> None:
    answer = answered(client, GEMINI, gemini_answer([*thought, *GEMINI_SAID]))
    document = written(client, next_request(client, answer), GEMINI)
    assert document["contents"][1] == {"role": "model", "parts": GEMINI_SAID}
    provider_rules.check("gemini", document, sealed=["SIG-1=="])


@pytest.mark.parametrize("client", CLIENTS)
def test_geminis_signature_of_a_text_comes_back_on_the_text(client: str) -> None:
    said = [{"text": "There.", "thoughtSignature": "SIG-1=="}]
    document = written(client, next_request(client, answered(client, GEMINI, gemini_answer(said))), GEMINI)
    assert document["contents"][1] == {"role": "model", "parts": said}


@pytest.mark.parametrize("client", CLIENTS)
def test_sequential_steps_of_gemini_keep_a_signature_each(client: str) -> None:
    steps = [
        gemini_answer([{**GEMINI_SAID[1], "functionCall": {"id": f"s{n}", "name": "look", "args": {}}}])
        for n in range(2)
    ]
    for number, step in enumerate(steps):
        step["candidates"][0]["content"]["parts"][0]["thoughtSignature"] = f"STEP-{number}"
    first, second = (next_request(client, answered(client, GEMINI, step)) for step in steps)
    name = "input" if client == RESPONSES else "messages"
    document = written(client, {**first, name: [*first[name], *second[name][1:]]}, GEMINI)
    signatures = [p.get("thoughtSignature") for c in document["contents"] for p in c["parts"]]
    assert [found for found in signatures if found] == ["STEP-0", "STEP-1"]
    provider_rules.check("gemini", document, sealed=["STEP-0", "STEP-1"])


PLACEHOLDER = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("parts", [GEMINI_SAID[2:], GEMINI_SAID[:1] + GEMINI_SAID[2:] * 2])
def test_calls_that_no_gemini_signed_get_the_documented_placeholder_on_the_first(
    client: str, parts: list[Document]
) -> None:
    calls = [p["functionCall"] for p in parts if "functionCall" in p]
    unsigned = [
        {"type": "tool_use", "id": f"toolu_{i}", "name": c["name"], "input": c["args"]}
        for i, c in enumerate(calls)
    ]
    answer = answered(client, CLAUDE, claude_answer(unsigned))
    document = written(client, next_request(client, answer), GEMINI)
    signatures = [part.get("thoughtSignature") for part in document["contents"][1]["parts"]]
    assert signatures == [PLACEHOLDER, *[None] * (len(calls) - 1)]
    older = written(client, next_request(client, answer), at("gemini-2.5-flash", "gemini"))
    assert all("thoughtSignature" not in part for part in older["contents"][1]["parts"])


SEALED = ("SIG-1==", "SIG-2==", "REDACTED", "ENC-1", "ENC-2")
FOREIGN = [
    *(
        (client, CLAUDE, claude_answer(), target)
        for client in CLIENTS
        for target in (THINKS_BY_RESPONSES, GEMINI, OPENAI)
    ),
    *(
        (client, THINKS_BY_RESPONSES, openai_answer(), target)
        for client in (CHAT, MESSAGES)
        for target in (CLAUDE, GEMINI)
    ),
    *(
        (client, GEMINI, gemini_answer(GEMINI_SAID), target)
        for client in CLIENTS
        for target in (CLAUDE, THINKS_BY_RESPONSES)
    ),
]


@pytest.mark.parametrize(("client", "maker", "answer", "other"), FOREIGN)
def test_nobody_but_its_maker_is_sent_opaque_reasoning(
    client: str, maker: Any, answer: Document, other: Any
) -> None:
    if client == CHAT and other is OPENAI:
        return  # passes as it came: the provider's to judge
    request = next_request(client, answered(client, maker, answer))
    if other is CLAUDE and client == CHAT:
        request["max_tokens"] = 100
    sent = orjson.dumps(written(client, request, other)).decode()
    assert not [word for word in SEALED if word in sent]
    assert "headgate." not in sent
    assert left_out(client, request, other)


THINK = {"type": "enabled", "budget_tokens": 2_000}


def test_a_claude_that_takes_over_is_not_asked_to_think_where_it_would_be_refused() -> None:
    """Its turn with the calls would have to begin with its own thinking; another's was taken out."""
    answer = answered(MESSAGES, THINKS_BY_RESPONSES, openai_answer())
    document = written(MESSAGES, next_request(MESSAGES, answer, thinking=THINK), CLAUDE)
    provider_rules.check("messages", document, sealed=[])


@pytest.mark.parametrize(
    ("model", "kind", "field"),
    [
        ("openai/gpt-oss-20b", "groq", "reasoning"),
        ("gpt-oss-120b", "cerebras", "reasoning"),
        ("grok-3-mini", "xai", "reasoning_content"),
        ("deepseek-r1", "deepinfra", "reasoning_content"),
        ("llama-3.3-70b", "groq", None),
        ("gpt-5", "openai", None),
    ],
)
def test_readable_reasoning_goes_to_the_chat_models_that_read_it(
    model: str, kind: str, field: str | None
) -> None:
    target = at(model, kind)
    request = next_request(MESSAGES, answered(MESSAGES, CLAUDE, claude_answer()))
    document = written(MESSAGES, request, target)
    said = document["messages"][1]
    assert {n: v for n, v in said.items() if n.startswith("reasoning")} == ({field: "Hm."} if field else {})
    assert bool(left_out(MESSAGES, request, target)) == (field is None)
    provider_rules.check("chat", document, kind=kind)


def test_mistral_reads_reasoning_as_a_part_of_the_content() -> None:
    request = next_request(MESSAGES, answered(MESSAGES, CLAUDE, claude_answer()))
    document = written(MESSAGES, request, at("magistral-medium", "mistral"))
    assert document["messages"][1]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "I look."},
    ]
    provider_rules.check("chat", document, kind="mistral")


def test_openrouter_gets_claudes_reasoning_back_in_its_own_entries() -> None:
    target = at("anthropic/claude-sonnet-4.5", "openrouter")
    request = next_request(MESSAGES, answered(MESSAGES, CLAUDE, claude_answer()))
    entries = written(MESSAGES, request, target)["messages"][1]["reasoning_details"]
    assert [entry["type"] for entry in entries] == ["reasoning.text", "reasoning.encrypted", "reasoning.text"]
    assert [entry.get("signature", entry.get("data")) for entry in entries] == [
        *("SIG-1==", "REDACTED.~1==", "SIG-2==")
    ]
    assert {entry["format"] for entry in entries} == {"anthropic-claude-v1"}
    assert [entry["index"] for entry in entries] == [0, 1, 2]


def test_entries_of_a_whole_answer_are_numbered_for_clients_that_merge_by_number() -> None:
    entries = answered(CHAT, THINKS_BY_RESPONSES, openai_answer())["choices"][0]["message"][
        "reasoning_details"
    ]
    assert [entry["index"] for entry in entries] == list(range(len(entries)))


def claude_stream() -> bytes:
    events: list[Document] = [{"type": "message_start", "message": {**claude_answer(), "content": []}}]
    for index, block in enumerate(CLAUDE_SAID):
        empty = {name: "" if name in ("thinking", "signature", "text") else v for name, v in block.items()}
        deltas: list[Document] = []
        if block["type"] == "thinking":
            deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}] if block["thinking"] else []
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        elif block["type"] == "text":
            deltas = [{"type": "text_delta", "text": block["text"]}]
        elif block["type"] == "tool_use":
            empty["input"] = {}
            text = orjson.dumps(block["input"]).decode()
            deltas = [{"type": "input_json_delta", "partial_json": text}]
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    end: Document = {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use"},
        "usage": {"output_tokens": 3},
    }
    return events_of(*events, end, {"type": "message_stop"})


def test_a_streamed_chat_answer_has_every_signature_and_says_each_entry_once() -> None:
    stream = bridge(CHAT, question(CHAT, stream=True, tools=[CHAT_TOOL]), CLAUDE).stream()
    assert stream is not None
    out = stream.feed(claude_stream()) + stream.end()
    documents = [orjson.loads(line[6:]) for line in out.split(b"\n\n") if line.startswith(b"data: {")]
    assert HEARD[CHAT](documents).sealed == ["SIG-1==", "REDACTED.~1==", "SIG-2=="]
    entries = [
        entry
        for document in documents
        for choice in document["choices"]
        for entry in choice["delta"].get("reasoning_details", ())
    ]
    assert [entry["index"] for entry in entries] == list(range(len(entries)))
    message = {
        "role": "assistant",
        "content": "I look.",
        "reasoning_details": entries,
        "tool_calls": answered(CHAT, CLAUDE, claude_answer())["choices"][0]["message"]["tool_calls"],
    }
    answer = {"choices": [{"message": message}]}
    document = written(CHAT, next_request(CHAT, answer, max_tokens=4096), CLAUDE)
    assert document["messages"][1]["content"] == CLAUDE_SAID


def test_a_streamed_responses_answer_is_replayable_from_its_last_event() -> None:
    stream = bridge(RESPONSES, question(RESPONSES, stream=True, tools=[RESPONSES_TOOL]), CLAUDE).stream()
    assert stream is not None
    out = stream.feed(claude_stream()) + stream.end()
    last = orjson.loads(out.rstrip().rpartition(b"data: ")[2])
    assert last["type"] == "response.completed"
    document = written(RESPONSES, next_request(RESPONSES, last["response"]), CLAUDE)
    assert document["messages"][1]["content"] == CLAUDE_SAID
