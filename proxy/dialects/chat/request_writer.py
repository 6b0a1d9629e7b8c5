"""A neutral request as a chat completions document for one provider, by its manners.

Where this dialect is poorer: results with images are followed by a user message with them, failed results
begin with `Error: `, custom tools become functions with one string. See docs/dialects.md.
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.chat.message_writer import write_messages
from proxy.dialects.neutral.emulation import with_forced_tool
from proxy.dialects.neutral.reasoning import at_most, budget_of, effort_of
from proxy.dialects.neutral.request import ModelRequest, OutputFormat, Tool
from proxy.dialects.neutral.search import chat_options, refuse_search
from proxy.dialects.neutral.settings import drop_default_sampling, refuse_unread, write_settings
from proxy.dialects.neutral.tools import chosen_name, chosen_tools, schema_of
from proxy.providers.families import lowest_effort
from proxy.providers.manners import ChatManners


def write_request(
    request: ModelRequest,
    *,
    model: str,
    provider: str,
    manners: ChatManners,
    thinks: bool,
    json_schema: bool,
    left_out: list[str],
) -> dict[str, Any]:
    """Raises Unsupported. `thinks`: the model takes an effort. Fields that were left out are appended."""
    refuse_unread(request, left_out, provider)
    searches = manners.search_models is not None and manners.search_models.search(model)
    if not searches:
        refuse_search(request, provider)
    if request.output is not None and request.output.schema is not None and not json_schema:
        request = with_forced_tool(request)
    document: dict[str, Any] = {
        "model": model,
        "messages": write_messages(request, manners, provider, left_out, thinks=thinks),
    }
    document.update(write_settings(request, manners.settings, left_out, provider))
    if request.search is not None:
        document["web_search_options"] = chat_options(request.search, left_out)
    if thinks and provider == "openai":
        drop_default_sampling(document)
    _write_tools(request, document, manners, left_out)
    if request.output is not None:
        document["response_format"] = _format(request.output)
    if request.reasoning is not None:
        _write_reasoning(request, document, manners, left_out, model=model, thinks=thinks)
    if request.stream:
        document["stream"] = True
    return document


def _write_tools(
    request: ModelRequest, document: dict[str, Any], manners: ChatManners, left_out: list[str]
) -> None:
    tools = chosen_tools(request)
    if not tools:
        return
    document["tools"] = [_tool(tool, manners, left_out) for tool in tools]
    choice = request.tool_choice
    if choice is not None:
        if choice.mode == "named":
            name = chosen_name(request, choice)
            document["tool_choice"] = {"type": "function", "function": {"name": name}}
        else:
            document["tool_choice"] = choice.mode
    if request.parallel_tools is not None:
        document["parallel_tool_calls"] = request.parallel_tools.value


def _tool(tool: Tool, manners: ChatManners, left_out: list[str]) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.wire_name}
    if tool.description:
        function["description"] = tool.description
    if tool.custom or tool.schema is not None:
        function["parameters"] = schema_of(tool)
    if tool.strict is not None:
        function["strict"] = tool.strict
    written: dict[str, Any] = {"type": "function", "function": function}
    if tool.cache is not None:
        if manners.cache_control:
            written["cache_control"] = tool.cache
        else:
            left_out.append(f"{tool.at}.cache_control")
    return written


def _format(output: OutputFormat) -> dict[str, Any]:
    if output.schema is None:
        return {"type": "json_object"}
    inner: dict[str, Any] = {"name": output.name, "schema": output.schema}
    if output.description:
        inner["description"] = output.description
    if output.strict is not None:
        inner["strict"] = output.strict
    return {"type": "json_schema", "json_schema": inner}


def _write_reasoning(
    request: ModelRequest,
    document: dict[str, Any],
    manners: ChatManners,
    left_out: list[str],
    *,
    model: str,
    thinks: bool,
) -> None:
    reasoning = request.reasoning
    if reasoning is None:
        return
    if manners.effort == "reasoning":
        wanted: dict[str, Any] = {}
        if reasoning.off:
            wanted["enabled"] = False
        elif reasoning.budget is not None and not reasoning.effort:
            wanted["max_tokens"] = budget_of(reasoning)
        elif reasoning.effort:
            wanted["effort"] = at_most(reasoning.effort, manners.efforts)
        elif not reasoning.adaptive:
            wanted["enabled"] = True
        if reasoning.show is False:
            wanted["exclude"] = True
        if wanted:
            document["reasoning"] = wanted
        return
    takes_effort = manners.effort_models is None or manners.effort_models.search(model)
    lowest = manners.effort_off or lowest_effort(model)
    if not thinks:
        if not reasoning.off:
            left_out.append(reasoning.at)
    elif reasoning.off and (takes_effort or lowest == "none"):
        document["reasoning_effort"] = lowest
        if lowest != "none":
            left_out.append(reasoning.at)
    elif not takes_effort:
        left_out.append(reasoning.at)
    elif reasoning.effort or not reasoning.adaptive:
        document["reasoning_effort"] = at_most(effort_of(reasoning), manners.efforts)
