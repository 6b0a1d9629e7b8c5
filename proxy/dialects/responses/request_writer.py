"""A neutral request as a Responses document, stateless: nothing is stored, reasoning comes back encrypted.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.neutral.emulation import FORCED_TOOL
from proxy.dialects.neutral.reasoning import at_most, effort_of
from proxy.dialects.neutral.request import ModelRequest, Tool
from proxy.dialects.neutral.search import responses_tool
from proxy.dialects.neutral.settings import refuse_unread, write_settings
from proxy.dialects.neutral.tools import chosen_name, chosen_tools, schema_of
from proxy.dialects.responses.item_writer import write_items

_SETTINGS = {
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_logprobs": "top_logprobs",
    "user": "user",
    "service_tier": "service_tier",
}
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")


def write_request(
    request: ModelRequest,
    *,
    model: str,
    provider: str,
    thinks: bool,
    json_schema: bool,
    left_out: list[str],
) -> dict[str, Any]:
    """Raises Unsupported. Fields that were left out are appended."""
    refuse_unread(request, left_out, provider)
    document: dict[str, Any] = {
        "model": model,
        "input": write_items(request, provider, left_out),
        "store": False,
    }
    include = ["reasoning.encrypted_content"] if thinks else []
    shared = {k: v for k, v in request.settings.items() if k not in ("logprobs", "verbosity")}
    document.update(write_settings(ModelRequest(settings=shared), _SETTINGS, left_out, provider))
    if request.value("logprobs"):
        include.append("message.output_text.logprobs")
    if include:
        document["include"] = include
    text: dict[str, Any] = {}
    if request.value("verbosity"):
        text["verbosity"] = request.value("verbosity")
    _write_tools(request, document)
    if request.search is not None:
        document.setdefault("tools", []).append(responses_tool(request.search, left_out))
    if request.output is not None:
        _write_output(request, document, text, native=json_schema)
    if text:
        document["text"] = text
    reasoning = request.reasoning
    if reasoning is not None:
        written: dict[str, Any] = {}
        if reasoning.off and thinks:
            written["effort"] = "none"
        elif not thinks and not reasoning.off:
            left_out.append(reasoning.at)
        elif thinks:
            if reasoning.effort or not reasoning.adaptive:
                written["effort"] = at_most(effort_of(reasoning), _EFFORTS)
            if reasoning.show or (reasoning.show is None and (reasoning.budget or reasoning.adaptive)):
                written["summary"] = "auto"
        if written:
            document["reasoning"] = written
    if request.stream:
        document["stream"] = True
    return document


def _write_tools(request: ModelRequest, document: dict[str, Any]) -> None:
    tools = chosen_tools(request)
    if not tools:
        return
    document["tools"] = [_tool(tool) for tool in tools]
    choice = request.tool_choice
    if choice is not None:
        if choice.mode == "named":
            document["tool_choice"] = {"type": "function", "name": chosen_name(request, choice)}
        else:
            document["tool_choice"] = choice.mode
    if request.parallel_tools is not None:
        document["parallel_tool_calls"] = request.parallel_tools.value


def _tool(tool: Tool) -> dict[str, Any]:
    # Left out, `strict` means "if the schema allows it" here and "no" in the other dialects.
    written: dict[str, Any] = {
        "type": "function",
        "name": tool.wire_name,
        "parameters": schema_of(tool),
        "strict": bool(tool.strict),
    }
    if tool.description:
        written["description"] = tool.description
    return written


def _write_output(
    request: ModelRequest, document: dict[str, Any], text: dict[str, Any], *, native: bool
) -> None:
    output = request.output
    if output is None:
        return
    if output.schema is None:
        text["format"] = {"type": "json_object"}
        return
    if native:
        text["format"] = {"type": "json_schema", "name": output.name, "schema": output.schema}
        if output.description:
            text["format"]["description"] = output.description
        if output.strict is not None:
            text["format"]["strict"] = output.strict
        return
    tools = document.setdefault("tools", [])
    tools.append({"type": "function", "name": FORCED_TOOL, "parameters": output.schema, "strict": False})
    alone = len(tools) == 1
    document["tool_choice"] = {"type": "function", "name": FORCED_TOOL} if alone else "required"
