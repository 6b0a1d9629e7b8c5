"""A neutral request as a Responses document, stateless: nothing is stored, reasoning comes back encrypted.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.neutral.emulation import with_forced_tool
from proxy.dialects.neutral.reasoning import at_most, effort_of
from proxy.dialects.neutral.request import ModelRequest, OutputFormat, Tool
from proxy.dialects.neutral.search import responses_tool
from proxy.dialects.neutral.settings import drop_default_sampling, refuse_unread, write_settings
from proxy.dialects.neutral.tools import chosen_name, chosen_tools, schema_of
from proxy.dialects.responses.item_writer import write_items
from proxy.providers.families import lowest_effort

_SETTINGS = {
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_logprobs": "top_logprobs",
    "user": "user",
    "service_tier": "service_tier",
}
# Further ones of OpenAI's own, which others of this dialect may not know.
_OPENAI = {name: name for name in ("prompt_cache_key", "prompt_cache_retention", "safety_identifier")}
# Fewer are refused.
MIN_OUTPUT_TOKENS = 16
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")


def write_request(
    request: ModelRequest,
    *,
    model: str,
    provider: str,
    maker: str,
    thinks: bool,
    json_schema: bool,
    left_out: list[str],
) -> dict[str, Any]:
    """Raises Unsupported. `maker`: whose reasoning it reads. Fields that were left out are appended."""
    refuse_unread(request, left_out, provider)
    if request.output is not None and request.output.schema is not None and not json_schema:
        request = with_forced_tool(request)
    document: dict[str, Any] = {
        "model": model,
        "input": write_items(request, provider, maker, left_out),
        "store": False,
    }
    include = ["reasoning.encrypted_content"] if thinks else []
    shared = {k: v for k, v in request.settings.items() if k not in ("logprobs", "verbosity")}
    names = {**_SETTINGS, **_OPENAI} if provider == "openai" else _SETTINGS
    document.update(write_settings(ModelRequest(settings=shared), names, left_out, provider))
    if thinks and provider == "openai":
        drop_default_sampling(document)
    if document.get("max_output_tokens", MIN_OUTPUT_TOKENS) < MIN_OUTPUT_TOKENS:
        document["max_output_tokens"] = MIN_OUTPUT_TOKENS
        left_out.append(request.settings["max_tokens"].at)
    if request.value("logprobs"):
        include.append("message.output_text.logprobs")
    if include:
        document["include"] = include
    text: dict[str, Any] = {}
    if request.value("verbosity"):
        text["verbosity"] = request.value("verbosity")
    _write_tools(request, document, left_out)
    if request.search is not None:
        document.setdefault("tools", []).append(responses_tool(request.search, left_out))
    if request.output is not None:
        text["format"] = _format(request.output)
    if text:
        document["text"] = text
    reasoning = request.reasoning
    if reasoning is not None:
        written: dict[str, Any] = {}
        if reasoning.off and thinks:
            written["effort"] = lowest_effort(model)
            if written["effort"] != "none":
                left_out.append(reasoning.at)
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


def _write_tools(request: ModelRequest, document: dict[str, Any], left_out: list[str]) -> None:
    tools = chosen_tools(request)
    if not tools:
        return
    document["tools"] = [_tool(tool, left_out) for tool in tools]
    choice = request.tool_choice
    if choice is not None:
        if choice.mode == "named":
            document["tool_choice"] = {"type": "function", "name": chosen_name(request, choice)}
        else:
            document["tool_choice"] = choice.mode
    if request.parallel_tools is not None:
        document["parallel_tool_calls"] = request.parallel_tools.value


def _tool(tool: Tool, left_out: list[str]) -> dict[str, Any]:
    # Left out, `strict` means "if the schema allows it" here and "no" in the other dialects.
    written: dict[str, Any] = {
        "type": "function",
        "name": tool.wire_name,
        "parameters": schema_of(tool),
        "strict": bool(tool.strict),
    }
    if tool.description:
        written["description"] = tool.description
    if tool.cache is not None:
        left_out.append(f"{tool.at}.cache_control")
    return written


def _format(output: OutputFormat) -> dict[str, Any]:
    if output.schema is None:
        return {"type": "json_object"}
    written: dict[str, Any] = {"type": "json_schema", "name": output.name, "schema": output.schema}
    if output.description:
        written["description"] = output.description
    if output.strict is not None:
        written["strict"] = output.strict
    return written
