"""What Anthropic's Messages API refuses, as far as a translated request can get it wrong.

Sources: the API reference of POST /v1/messages, the pages on tool use and on extended thinking, and the
400s that they quote. Where betas widen a rule, their header does.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from tests.programs.upstream.rules import (
    Refused,
    a_list,
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
    model messages max_tokens system stream stop_sequences temperature top_p top_k tools tool_choice
    thinking metadata service_tier container mcp_servers context_management output_config cache_control
    """
)
BLOCKS = {
    "user": words("text image document search_result tool_result container_upload"),
    "assistant": words(
        "text thinking redacted_thinking tool_use server_tool_use mcp_tool_use mcp_tool_result"
    ),
    "system": words("text tool_addition tool_removal"),
}
BLOCK_FIELDS = {
    "text": "text cache_control citations",
    "thinking": "thinking signature",
    "redacted_thinking": "data",
    "tool_use": "id name input cache_control caller",
    "tool_result": "tool_use_id content is_error cache_control",
}
TOOL_FIELDS = words("type name description input_schema cache_control strict defer_loading input_examples")
ID = r"[a-zA-Z0-9_-]+"
TOOL_NAME = r"[a-zA-Z0-9_-]{1,128}"
SMALLEST_BUDGET = 1024

# What begins or ends with a generation of models (pages "What's new in Claude …").
ADAPTIVE_SINCE = (4, 6)
BUDGETS_UNTIL = SAMPLING_UNTIL = (4, 6)
SYSTEM_TURNS_SINCE = (4, 8)


def check(headers: Mapping[str, str], document: dict[str, Any], signature: str | None = None) -> None:
    """`signature`: the only one that a thinking block may have (None: any)."""
    one_of(headers.get("anthropic-version"), ["2023-06-01", "2026-10-21"], "anthropic-version")
    need(headers.get("x-api-key") or headers.get("authorization"), "x-api-key header is required")
    only(document, FIELDS, "body")
    a_text(document.get("model"), "model")
    limit = document.get("max_tokens")
    need(isinstance(limit, int) and limit >= 1, f"max_tokens: {limit!r}, must be a positive integer")
    _check_system(document.get("system", "."))
    _check_tools(document)
    messages = a_list(document.get("messages"), "messages")
    beta = "mid-conversation" in headers.get("anthropic-beta", "")
    roles = ["user", "assistant"]
    if beta or generation(document) >= SYSTEM_TURNS_SINCE:
        roles.append("system")
    for index, message in enumerate(messages):
        _check_message(message, f"messages.{index}", roles, signature)
        follows = index and messages[index - 1]["role"] == "user"
        need(message["role"] != "system" or follows, f"messages.{index}: 'system' must follow a user turn")
    need(messages[0]["role"] == "user", "messages.0: the first message must be the user's")
    need(messages[-1]["role"] != "assistant", "messages: the last message must not be the assistant's")
    _check_pairs(messages)
    _check_sampling(document, headers)
    _check_thinking(document, messages)
    if (metadata := document.get("metadata")) is not None:
        only(an_object(metadata, "metadata"), ["user_id"], "metadata")
        a_text(metadata.get("user_id") or ".", "metadata.user_id", longest=256)


def generation(document: Mapping[str, Any]) -> tuple[int, int]:
    """Of the model that is asked for; names without one are old."""
    found = re.match(r"claude-[a-z]+-(\d+)(?:-(\d)\b)?", document["model"])
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _check_system(system: object) -> None:
    if isinstance(system, str):
        a_text(system, "system")
        return
    for index, block in enumerate(a_list(system, "system", empty=True)):
        one_of(block.get("type"), ["text"], f"system.{index}.type")
        a_text(block.get("text"), f"system.{index}.text")


def _check_message(message: object, where: str, roles: list[str], signature: str | None) -> None:
    document = an_object(message, where)
    only(document, ["role", "content"], where)
    one_of(document.get("role"), roles, f"{where}.role")
    need(document.get("content"), f"{where}.content: must not be empty")
    for index, block in enumerate(blocks(document)):
        _check_block(block, f"{where}.content.{index}", document["role"], signature)


def _check_block(block: dict[str, Any], where: str, role: str, signature: str | None) -> None:
    kind = a_text(block.get("type"), f"{where}.type")
    if not (role == "assistant" and kind.endswith("_tool_result")):
        one_of(kind, BLOCKS[role], f"{where}.type")
    if kind in BLOCK_FIELDS:
        only(block, ["type", *BLOCK_FIELDS[kind].split()], where)
    if kind == "text":
        need(a_text(block.get("text"), f"{where}.text").strip(), f"{where}.text: must not be white space")
    elif kind == "thinking":
        a_text(block.get("thinking"), f"{where}.thinking", empty=True)
        given = a_text(block.get("signature"), f"{where}.signature")
        need(signature in (None, given), f"{where}: Invalid `signature` in `thinking` block")
    elif kind == "tool_use":
        a_name(block.get("id"), f"{where}.id", ID)
        a_name(block.get("name"), f"{where}.name", TOOL_NAME)
        an_object(block.get("input"), f"{where}.input")
    elif kind == "tool_result":
        a_name(block.get("tool_use_id"), f"{where}.tool_use_id", ID)
        if not isinstance(block.get("content", ""), str):
            for part in a_list(block["content"], f"{where}.content", empty=True):
                one_of(
                    part.get("type"), ["text", "image", "document", "search_result", "tool_reference"], where
                )


def _check_tools(document: dict[str, Any]) -> None:
    tools = a_list(document.get("tools", []), "tools", empty=True)
    for index, tool in enumerate(tools):
        where = f"tools.{index}"
        name = a_name(an_object(tool, where).get("name"), f"{where}.name", TOOL_NAME)
        if (kind := tool.get("type", "custom")) != "custom":
            need(isinstance(kind, str) and kind[-8:].isdigit(), f"{where}.type: {kind!r} is no tool ({name})")
            continue
        only(tool, TOOL_FIELDS, where)
        a_text(tool.get("description", "."), f"{where}.description", empty=True)
        one_of(an_object(tool.get("input_schema"), f"{where}.input_schema").get("type"), ["object"], where)
    no_twins([tool["name"] for tool in tools], "tools")
    if (choice := document.get("tool_choice")) is not None:
        need(tools, "tool_choice: may only be given with tools")
        one_of(an_object(choice, "tool_choice").get("type"), ["auto", "any", "tool", "none"], "tool_choice")


def _check_pairs(messages: list[dict[str, Any]]) -> None:
    """Results come directly after the turn that asked for them, all of them, and before anything else."""
    asked: list[str] = []
    for index, message in enumerate(_merged(messages)):
        parts = message["content"]
        results = [part["tool_use_id"] for part in parts if part["type"] == "tool_result"]
        need(
            set(asked) <= set(results),
            f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{sorted(set(asked) - set(results))}",
        )
        need(
            set(results) <= set(asked),
            f"messages.{index}: unexpected `tool_use_id` in {results}, asked {asked}",
        )
        first = parts[: len(results)]
        need(all(p["type"] == "tool_result" for p in first), f"messages.{index}: tool_result must come first")
        asked = [part["id"] for part in parts if part["type"] == "tool_use"]
        no_twins(asked, f"messages.{index}: `tool_use` ids")
    if asked:
        raise Refused(f"messages: no `tool_result` for {asked}")


def _merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of one role are one turn."""
    merged: list[dict[str, Any]] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"]:
            merged[-1]["content"] += blocks(message)
        else:
            merged.append({"role": message["role"], "content": blocks(message)})
    return merged


def _check_sampling(document: dict[str, Any], headers: Mapping[str, str]) -> None:
    given = [name for name in ("temperature", "top_p", "top_k") if document.get(name) is not None]
    need(not given or headers["anthropic-version"] != "2026-10-21", f"{given}: not in this version")
    need(not given or generation(document) <= SAMPLING_UNTIL, f"{given}: not supported on this model")
    if (temperature := document.get("temperature")) is not None:
        need(0 <= temperature <= 1, f"temperature: {temperature}, range: 0..1")
    for index, text in enumerate(a_list(document.get("stop_sequences", []), "stop_sequences", empty=True)):
        need(a_text(text, f"stop_sequences.{index}").strip(), f"stop_sequences.{index}: white space")


def _check_thinking(document: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    thinking = document.get("thinking")
    if thinking is None:
        return
    one_of(an_object(thinking, "thinking").get("type"), ["enabled", "disabled", "adaptive"], "thinking.type")
    if thinking["type"] == "disabled":
        return
    need(document.get("temperature", 1) == 1, "temperature: may only be 1 when thinking is enabled")
    forced = document.get("tool_choice", {}).get("type") in ("any", "tool")
    need(not forced, "tool_choice: thinking may not be enabled when tool use is forced")
    if thinking["type"] == "adaptive":
        need(generation(document) >= ADAPTIVE_SINCE, "thinking: adaptive is not supported on this model")
    else:
        need(generation(document) <= BUDGETS_UNTIL, "thinking: enabled is not supported on this model")
        budget = thinking.get("budget_tokens")
        need(isinstance(budget, int) and budget >= SMALLEST_BUDGET, f"thinking.budget_tokens: {budget!r}")
        need(document["max_tokens"] > budget, "max_tokens: must be greater than thinking.budget_tokens")
        _check_begins_with_thinking(_merged(messages))


def _check_begins_with_thinking(turns: list[dict[str, Any]]) -> None:
    """The turn that is being continued, if it is one with tools."""
    for before, after in itertools.pairwise(turns):
        if after is turns[-1] and after["content"][0]["type"] == "tool_result":
            kind = before["content"][0]["type"]
            need(kind.endswith("thinking"), f"messages: expected `thinking` first, but found `{kind}`")
