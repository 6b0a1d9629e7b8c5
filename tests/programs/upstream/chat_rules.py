"""What OpenAI's chat completions refuse, as far as a translated request can get it wrong.

Sources: the API reference of POST /v1/chat/completions, and the 400s of the real API for fields it does not
know, for tool messages out of place, and for texts over a limit.
"""

from __future__ import annotations

import json
import re
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
    messages model audio frequency_penalty function_call functions logit_bias logprobs
    max_completion_tokens max_tokens metadata modalities n parallel_tool_calls prediction
    presence_penalty prompt_cache_key prompt_cache_retention reasoning_effort response_format
    safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools
    top_logprobs top_p user verbosity web_search_options
    """
)
MESSAGE_FIELDS = {
    "system": "role content name",
    "developer": "role content name",
    "user": "role content name",
    "assistant": "role content name refusal audio tool_calls function_call annotations parsed",
    "tool": "role content tool_call_id",
}
PARTS = {"user": ["text", "image_url", "input_audio", "file"], "assistant": ["text", "refusal"]}
TOOL_NAME = r"[a-zA-Z0-9_-]{1,64}"
LONGEST_CALL_ID = 40
MOST_TOOLS = 128
REASONING_MODELS = r"gpt-5|o\d"
EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh"]


def check(headers: Mapping[str, str], document: dict[str, Any]) -> None:
    need(headers.get("authorization", "").startswith("Bearer "), "authorization: must be a bearer token")
    only(document, FIELDS, "body")
    a_text(document.get("model"), "model")
    messages = a_list(document.get("messages"), "messages")
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    _check_pairs(messages)
    _check_tools(document)
    _check_limits(document)


def _check_message(message: object, where: str) -> None:
    document = an_object(message, where)
    role = document.get("role")
    one_of(role, MESSAGE_FIELDS, f"{where}.role")
    assert isinstance(role, str)
    only(document, MESSAGE_FIELDS[role].split(), where)
    calls = document.get("tool_calls")
    if calls is not None:
        for index, call in enumerate(a_list(calls, f"{where}.tool_calls")):
            _check_call(call, f"{where}.tool_calls[{index}]")
    content = document.get("content")
    if content is None:
        need(calls, f"{where}.content: may only be null with tool_calls")
    elif not isinstance(content, str):
        for index, part in enumerate(a_list(content, f"{where}.content")):
            kind = a_text(an_object(part, where).get("type"), f"{where}.content[{index}].type")
            one_of(kind, PARTS.get(role, ["text"]), f"{where}.content[{index}].type")
            only(part, ["type", kind], f"{where}.content[{index}]")
    if role == "tool":
        a_text(document.get("tool_call_id"), f"{where}.tool_call_id")
        need(content is not None, f"{where}.content: is missing")


def _check_call(call: object, where: str) -> None:
    document = an_object(call, where)
    only(document, ["id", "type", "function", "custom"], where)
    a_text(document.get("id"), f"{where}.id", longest=LONGEST_CALL_ID)
    one_of(document.get("type"), ["function", "custom"], f"{where}.type")
    if document["type"] == "function":
        function = an_object(document.get("function"), f"{where}.function")
        only(function, ["name", "arguments", "parsed_arguments"], f"{where}.function")
        a_name(function.get("name"), f"{where}.function.name", TOOL_NAME)
        json.loads(a_text(function.get("arguments"), f"{where}.function.arguments"))


def _check_pairs(messages: list[dict[str, Any]]) -> None:
    """Every tool message answers the assistant's message before it, and no call stays without an answer."""
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            call = message["tool_call_id"]
            need(
                call in open_calls,
                f"messages[{index}]: role 'tool' must be a response to a preceding message with 'tool_calls'",
            )
            open_calls.discard(call)
            continue
        need(
            not open_calls,
            f"messages[{index}]: tool_call_ids without response messages: {sorted(open_calls)}",
        )
        ids = [call["id"] for call in message.get("tool_calls") or ()]
        no_twins(ids, f"messages[{index}].tool_calls")
        open_calls = set(ids)
    need(not open_calls, f"messages: tool_call_ids without response messages: {sorted(open_calls)}")


def _check_tools(document: dict[str, Any]) -> None:
    tools = document.get("tools")
    if tools is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            need(document.get(name) is None, f"{name}: is only allowed when 'tools' are specified")
        return
    need(len(a_list(tools, "tools")) <= MOST_TOOLS, f"tools: {len(tools)}, at most {MOST_TOOLS}")
    names = []
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        kind = a_text(an_object(tool, where).get("type"), f"{where}.type")
        one_of(kind, ["function", "custom"], f"{where}.type")
        only(tool, ["type", kind], where)
        definition = an_object(tool.get(kind), f"{where}.{kind}")
        names.append(a_name(definition.get("name"), f"{where}.{kind}.name", TOOL_NAME))
        if kind == "function":
            only(definition, ["name", "description", "parameters", "strict"], f"{where}.function")
            if (parameters := definition.get("parameters")) is not None:
                kind_of = an_object(parameters, f"{where}.function.parameters").get("type")
                one_of(kind_of, ["object"], f"{where}.function.parameters.type")
    no_twins(names, "tools")
    choice = document.get("tool_choice")
    if isinstance(choice, str):
        one_of(choice, ["none", "auto", "required"], "tool_choice")


def _check_limits(document: dict[str, Any]) -> None:
    both = document.get("max_tokens") is not None and document.get("max_completion_tokens") is not None
    need(not both, "max_tokens and max_completion_tokens cannot both be set")
    if re.match(REASONING_MODELS, document["model"]):
        need(document.get("max_tokens") is None, "max_tokens: use 'max_completion_tokens' with this model")
    need(document.get("stream") or not document.get("stream_options"), "stream_options: only with stream")
    if (effort := document.get("reasoning_effort")) is not None:
        one_of(effort, EFFORTS, "reasoning_effort")
    for name in ("safety_identifier", "prompt_cache_key", "user"):
        if (text := document.get(name)) is not None:
            a_text(text, name, longest=64)
    if (metadata := document.get("metadata")) is not None:
        a_metadata(metadata, "metadata")
    stop = document.get("stop")
    if isinstance(stop, list):
        need(len(stop) <= 4, f"stop: {len(stop)} sequences, at most 4")
