"""What OpenAI's Responses API refuses, as far as a translated request can get it wrong.

Sources: the API reference of POST /v1/responses, and the 400s of the real API for parts under the wrong
role, ids of the wrong kind, and outputs without their call. `client_metadata` and the tool types of Codex
are in no reference; the real API takes them from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.programs.upstream.rules import (
    a_list,
    a_metadata,
    a_name,
    a_text,
    an_object,
    need,
    no_twins,
    one_of,
    only,
    words,
)

FIELDS = words(
    """
    model input instructions background context_management conversation include max_output_tokens
    max_tool_calls metadata parallel_tool_calls previous_response_id prompt prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream
    stream_options temperature text tool_choice tools top_logprobs top_p truncation user client_metadata
    """
)
PARTS = {
    "user": ["input_text", "input_image", "input_file", "input_audio"],
    "system": ["input_text", "input_image", "input_file"],
    "developer": ["input_text", "input_image", "input_file"],
    "assistant": ["output_text", "refusal"],
}
ID_PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
}
# Calls of tools that the provider runs itself, and the like.
OTHERS_ITEMS = ("_call", "_search_output", "_reference", "compaction")
CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
TOOL_TYPES = words(
    """
    function custom web_search web_search_preview namespace tool_search local_shell shell apply_patch
    mcp file_search image_generation code_interpreter computer_use_preview
    """
)
TOOL_NAME = r"[a-zA-Z0-9_-]{1,128}"
LONGEST_CALL_ID = 64
SMALLEST_OUTPUT = 16


def check(headers: Mapping[str, str], document: dict[str, Any], encrypted: str | None = None) -> None:
    """`encrypted`: the only encrypted content that a reasoning item may have (None: any)."""
    need(headers.get("authorization", "").startswith("Bearer "), "authorization: must be a bearer token")
    only(document, FIELDS, "body")
    a_text(document.get("model"), "model")
    given = document.get("input")
    if not isinstance(given, str):
        items = a_list(given, "input")
        for index, item in enumerate(items):
            _check_item(an_object(item, f"input[{index}]"), f"input[{index}]", document, encrypted)
        if not document.get("previous_response_id"):
            _check_pairs(items)
    _check_tools(document)
    _check_limits(document)


def _check_item(item: dict[str, Any], where: str, document: dict[str, Any], encrypted: str | None) -> None:
    kind = item.get("type", "message")
    if kind not in ID_PREFIXES and kind.endswith(OTHERS_ITEMS):
        return
    need(kind in ID_PREFIXES, f"{where}.type: {kind!r} is no item of an input")
    if (given := item.get("id")) is not None:
        prefix = ID_PREFIXES[kind]
        need(
            str(given).startswith(prefix),
            f"{where}.id: expected an ID that begins with {prefix!r}: {given!r}",
        )
    if kind == "message":
        _check_message(item, where)
    elif kind == "reasoning":
        a_list(item.get("summary"), f"{where}.summary", empty=True)
        content = item.get("encrypted_content")
        need(
            content or document.get("store", True),
            f"{where}: not found, items are not persisted without store",
        )
        need(encrypted in (None, content), f"{where}.encrypted_content: could not be verified")
    else:
        a_text(item.get("call_id"), f"{where}.call_id", longest=LONGEST_CALL_ID)
        if kind == "function_call":
            a_name(item.get("name"), f"{where}.name", TOOL_NAME)
            json.loads(a_text(item.get("arguments"), f"{where}.arguments"))
        elif kind.endswith("_output") and not isinstance(item.get("output"), str):
            for part in a_list(item.get("output"), f"{where}.output"):
                one_of(part.get("type"), PARTS["user"], f"{where}.output")


def _check_message(item: dict[str, Any], where: str) -> None:
    only(item, ["type", "id", "role", "content", "status", "phase"], where)
    role = item.get("role")
    one_of(role, PARTS, f"{where}.role")
    assert isinstance(role, str)
    content = item.get("content")
    if isinstance(content, str):
        return
    for index, part in enumerate(a_list(content, f"{where}.content")):
        kind = an_object(part, where).get("type")
        one_of(kind, PARTS[role], f"{where}.content[{index}].type")
        if kind in ("input_text", "output_text"):
            only(part, ["type", "text", "annotations", "logprobs"], f"{where}.content[{index}]")
            a_text(part.get("text"), f"{where}.content[{index}].text", empty=True)


def _check_pairs(items: list[dict[str, Any]]) -> None:
    """Calls come before their outputs, and each has one; a thought comes before what it led to."""
    calls: dict[str, str] = {}
    for index, item in enumerate(items):
        kind = item.get("type", "message")
        if kind in CALLS:
            need(item["call_id"] not in calls, f"input[{index}]: call_id {item['call_id']} twice")
            calls[item["call_id"]] = CALLS[kind]
        elif kind in CALLS.values():
            found = calls.pop(item["call_id"], None)
            need(
                found == kind, f"input[{index}]: no tool call found for {kind} with call_id {item['call_id']}"
            )
        elif kind == "reasoning":
            following = items[index + 1].get("type", "message") if index + 1 < len(items) else None
            need(
                following == "reasoning" or following in CALLS or _is_assistants(items, index + 1),
                f"input[{index}]: 'reasoning' was provided without its required following item",
            )
    need(not calls, f"input: no tool output found for call {sorted(calls)}")


def _is_assistants(items: list[dict[str, Any]], index: int) -> bool:
    return index < len(items) and items[index].get("role") == "assistant"


def _check_tools(document: dict[str, Any]) -> None:
    tools = a_list(document.get("tools") or [], "tools", empty=True)
    names = []
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        one_of(an_object(tool, where).get("type"), TOOL_TYPES, f"{where}.type")
        if tool["type"] != "function":
            continue
        names.append(a_name(tool.get("name"), f"{where}.name", TOOL_NAME))
        if (parameters := tool.get("parameters")) is not None:
            here = f"{where}.parameters"
            one_of(an_object(parameters, here).get("type"), ["object"], here)
            if tool.get("strict"):
                _check_strict(parameters, here)
    no_twins(names, "tools")
    if isinstance(choice := document.get("tool_choice"), str):
        one_of(choice, ["none", "auto", "required"], "tool_choice")
        need(tools or choice != "required", "tool_choice: 'required' must be used with tools")


def _check_strict(schema: dict[str, Any], where: str) -> None:
    need(schema.get("additionalProperties") is False, f"{where}: strict needs additionalProperties: false")
    properties, required = set(schema.get("properties", {})), set(schema.get("required", []))
    need(properties == required, f"{where}: strict needs all properties in required: {properties - required}")


def _check_limits(document: dict[str, Any]) -> None:
    if (most := document.get("max_output_tokens")) is not None:
        need(most >= SMALLEST_OUTPUT, f"max_output_tokens: {most}, at least {SMALLEST_OUTPUT}")
    need(document.get("stream") or not document.get("stream_options"), "stream_options: only with stream")
    for name in ("safety_identifier", "prompt_cache_key", "user"):
        if (text := document.get(name)) is not None:
            a_text(text, name, longest=64)
    if (metadata := document.get("metadata")) is not None:
        a_metadata(metadata, "metadata")
    if (reasoning := document.get("reasoning")) is not None:
        only(
            an_object(reasoning, "reasoning"),
            ["effort", "summary", "generate_summary", "context"],
            "reasoning",
        )
    if (text_options := document.get("text")) is not None:
        only(an_object(text_options, "text"), ["format", "verbosity"], "text")
