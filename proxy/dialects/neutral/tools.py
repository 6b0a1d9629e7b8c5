"""What providers ask of tools: ids of a certain form, flat names, one schema per custom tool.

Ids are mapped by a pure function, so that a call and its result, sent in different requests through
different proxies, still find each other.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from proxy.dialects.neutral.request import ModelRequest, Tool, ToolChoice
from proxy.errors import invalid_request

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def fitted_id(id: str, form: re.Pattern[str], length: int, prefix: str = "") -> str:
    """The id where it has the form; else `prefix` and a digest of it of `length` letters and digits."""
    if form.fullmatch(id):
        return id
    number = int.from_bytes(hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest(), "big")
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return prefix + "".join(letters)


def schema_of(tool: Tool) -> dict[str, Any]:
    """JSON Schema of a tool's arguments. A custom tool takes free text: one string, named `input`."""
    if not tool.custom:
        return tool.schema if tool.schema is not None else {"type": "object", "properties": {}}
    text: dict[str, Any] = {"type": "string"}
    grammar = (tool.format or {}).get("definition") or ((tool.format or {}).get("grammar") or {})
    if isinstance(grammar, dict):
        grammar = grammar.get("definition")
    if grammar:
        text["description"] = f"Text by this grammar:\n{grammar}"
    return {
        "type": "object",
        "properties": {"input": text},
        "required": ["input"],
        "additionalProperties": False,
    }


def chosen_tools(request: ModelRequest) -> list[Tool]:
    """The tools among which the request lets the model choose."""
    choice = request.tool_choice
    if choice is None or not choice.names or choice.mode == "named":
        return request.tools
    chosen = [tool for tool in request.tools if tool.name in choice.names or tool.wire_name in choice.names]
    if not chosen:
        raise invalid_request(f"'{choice.at}' allows no tool that is declared.", choice.at)
    return chosen


def chosen_name(request: ModelRequest, choice: ToolChoice) -> str:
    """The wire name of the one tool that must be called."""
    name = choice.names[0]
    return next((tool.wire_name for tool in request.tools if name in (tool.name, tool.wire_name)), name)
