"""A neutral request as a generateContent document. The model stands in the path.

https://ai.google.dev/api/generate-content#method:-models.generatecontent
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.gemini.content_writer import write_contents, write_system
from proxy.dialects.neutral.emulation import with_forced_tool
from proxy.dialects.neutral.reasoning import at_most, budget_of, effort_of
from proxy.dialects.neutral.request import ModelRequest, Setting, Tool, Unsupported
from proxy.dialects.neutral.search import gemini_tool
from proxy.dialects.neutral.settings import refuse_unread, write_settings
from proxy.dialects.neutral.tools import chosen_tools, schema_of
from proxy.providers.families import Gemini

_SETTINGS = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_TIERS = {"default": "standard", "standard": "standard", "flex": "flex", "priority": "priority"}
_SHELL = {"type", "properties", "required", "additionalProperties", "$schema", "title"}
_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE", "named": "ANY"}


def write_request(
    request: ModelRequest, *, provider: str, gemini: Gemini, left_out: list[str]
) -> dict[str, Any]:
    """Raises Unsupported. Fields that were left out are appended."""
    refuse_unread(request, left_out, provider)
    if request.output is not None and request.tools and not gemini.needs_signatures:
        request = with_forced_tool(request)  # before the third generation it is functions or a format
    document: dict[str, Any] = {"contents": write_contents(request, provider, gemini, left_out)}
    system = write_system(request, provider, left_out)
    if system:
        document["systemInstruction"] = {"parts": system}
    _write_tools(request, document, left_out, provider)
    if request.search is not None:
        functions = bool(document.get("tools"))
        both = functions and gemini.needs_signatures
        tool = gemini_tool(request.search, left_out, beside_functions=functions and not both)
        document.setdefault("tools", []).append(tool)
        if both:  # https://ai.google.dev/gemini-api/docs/tool-combination
            document.setdefault("toolConfig", {})["includeServerSideToolInvocations"] = True
    config = _settings(request, document, left_out, provider)
    output = request.output
    if output is not None:
        config["responseMimeType"] = "application/json"
        if output.schema is not None:
            config["responseJsonSchema"] = _plain(output.schema)
    if request.reasoning is not None:
        thinking = _thinking(request, gemini, left_out)
        if thinking:
            config["thinkingConfig"] = thinking
    if config:
        document["generationConfig"] = config
    return document


def _settings(
    request: ModelRequest, document: dict[str, Any], left_out: list[str], provider: str
) -> dict[str, Any]:
    shared: dict[str, Setting] = {}
    for name, setting in request.settings.items():
        if name == "service_tier" and setting.value in _TIERS:
            document["serviceTier"] = _TIERS[setting.value]
        else:
            shared[name] = setting
    return write_settings(ModelRequest(settings=shared), _SETTINGS, left_out, provider)


def _write_tools(request: ModelRequest, document: dict[str, Any], left_out: list[str], provider: str) -> None:
    parallel = request.parallel_tools
    if parallel is not None and parallel.value is False:
        raise Unsupported(parallel.at, f"has no counterpart at {provider}")
    choice = request.tool_choice
    tools = chosen_tools(request)
    if not tools:
        return
    document["tools"] = [{"functionDeclarations": [_tool(tool, left_out) for tool in tools]}]
    if choice is None:
        return
    config: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        chosen = [tool.wire_name for tool in tools if choice.names[0] in (tool.name, tool.wire_name)]
        config["allowedFunctionNames"] = chosen or choice.names
    document["toolConfig"] = {"functionCallingConfig": config}


def _tool(tool: Tool, left_out: list[str]) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.wire_name}
    if tool.description:
        written["description"] = tool.description
    schema = schema_of(tool)
    if not _is_empty(schema):
        written["parametersJsonSchema"] = _plain(schema)
    if tool.cache is not None:
        left_out.append(f"{tool.at}.cache_control")
    if tool.strict:
        left_out.append(f"{tool.at}.strict")
    return written


def _is_empty(schema: dict[str, Any]) -> bool:
    """No arguments at all: said by leaving the parameters out."""
    open_ended = schema.get("additionalProperties", False) is not False
    return not schema.get("properties") and not open_ended and schema.keys() <= _SHELL


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Without the address of the schema language, which Gemini does not know."""
    return {name: value for name, value in schema.items() if name != "$schema"}


def _thinking(request: ModelRequest, gemini: Gemini, left_out: list[str]) -> dict[str, Any]:
    """https://ai.google.dev/gemini-api/docs/thinking"""
    reasoning = request.reasoning
    if reasoning is None:
        return {}
    if gemini.thinking == "none":
        if not reasoning.off:
            left_out.append(reasoning.at)
        return {}
    if reasoning.off:
        if not gemini.can_be_off:
            raise Unsupported(reasoning.at, "cannot be switched off: this model always thinks")
        return {"thinkingBudget": 0} if gemini.thinking == "budget" else {"thinkingLevel": "minimal"}
    written: dict[str, Any] = {}
    if reasoning.show is not False:
        written["includeThoughts"] = True
    if reasoning.budget is None and not reasoning.effort:
        return written  # as much as the model likes
    if gemini.thinking == "budget":
        lowest, highest = gemini.budgets
        written["thinkingBudget"] = min(max(budget_of(reasoning), lowest), highest)
    else:
        effort = effort_of(reasoning)
        if effort == "medium" and "medium" not in gemini.levels:
            effort = "high"
        written["thinkingLevel"] = at_most(effort, gemini.levels)
    return written
