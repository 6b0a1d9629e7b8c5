"""A neutral request as a Messages document, by the rules of the model's generation (providers/families.py).

https://docs.anthropic.com/en/api/messages, version 2023-06-01: the later one refuses sampling parameters.
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.messages.block_writer import write_system, write_turns
from proxy.dialects.messages.sampling import SAMPLING, write_sampling
from proxy.dialects.messages.schemas import fits, tightened
from proxy.dialects.neutral.emulation import with_forced_tool
from proxy.dialects.neutral.reasoning import MIN_BUDGET, at_most, budget_of, effort_of
from proxy.dialects.neutral.request import ModelRequest, Thinking, Tool, ToolCall, Unsupported
from proxy.dialects.neutral.search import anthropic_tool
from proxy.dialects.neutral.settings import refuse_unread, write_settings
from proxy.dialects.neutral.tools import chosen_name, chosen_tools, schema_of
from proxy.providers.families import Claude

_SETTINGS = {"stop": "stop_sequences"}
# OpenAI's tiers → Anthropic's. https://docs.anthropic.com/en/api/service-tiers
_TIERS = {"default": "standard_only", "standard": "standard_only"}


def write_request(
    request: ModelRequest,
    *,
    model: str,
    provider: str,
    claude: Claude,
    max_output_tokens: int,
    json_schema: bool | None,
    left_out: list[str],
) -> dict[str, Any]:
    """Raises Unsupported. `max_output_tokens`, `json_schema`: what the manifest says; 0, None: nothing."""
    refuse_unread(request, left_out, provider)
    native = claude.json_schema if json_schema is None else json_schema
    request = _with_output(request, provider, claude, native=native)
    limit = max_output_tokens or claude.max_output_tokens
    document: dict[str, Any] = {"model": model, "max_tokens": request.value("max_tokens")}
    if document["max_tokens"] is None:
        document["max_tokens"] = limit
    system = write_system(request, provider, left_out)
    if system:
        document["system"] = system
    document["messages"] = write_turns(request, provider, left_out, claude)
    _write_tools(request, document, provider, claude, left_out)
    if request.search is not None:
        document.setdefault("tools", []).append(anthropic_tool(request.search, left_out))
    if request.reasoning is not None:
        _write_reasoning(request, document, claude, left_out, limit)
    elif _is_forced(document) and claude.thinks_by_default and claude.can_be_off:
        document["thinking"] = {"type": "disabled"}
    if request.output is not None and request.output.schema is not None:
        schema = request.output.schema
        form = {"type": "json_schema", "schema": schema if fits(schema) else tightened(schema)}
        document.setdefault("output_config", {})["format"] = form
    write_sampling(request, document, provider, claude)
    _write_settings(request, document, provider, left_out)
    if request.stream:
        document["stream"] = True
    return document


def _with_output(request: ModelRequest, provider: str, claude: Claude, *, native: bool) -> ModelRequest:
    """The request as it is where the model takes its output format, else with a forced tool instead.

    Thinking and a forced tool exclude each other, so with thinking a schema that does not quite fit is
    tightened rather than emulated.
    """
    output, reasoning = request.output, request.reasoning
    if output is None:
        return request
    thinks = reasoning is not None and not reasoning.off and claude.thinking != "none"
    if output.schema is not None and native and (fits(output.schema) or thinks or claude.free_choice_only):
        return request
    if claude.free_choice_only:
        raise Unsupported(output.at, f"needs a JSON schema at this model of {provider}")
    return with_forced_tool(request)


def _write_settings(
    request: ModelRequest, document: dict[str, Any], provider: str, left_out: list[str]
) -> None:
    for name, setting in request.settings.items():
        if name == "max_tokens" or name in SAMPLING:
            continue
        if name == "user":
            document["metadata"] = {"user_id": setting.value}
        elif name == "service_tier" and setting.value in _TIERS:
            document["service_tier"] = _TIERS[setting.value]
        else:
            one = ModelRequest(settings={name: setting})
            document.update(write_settings(one, _SETTINGS, left_out, provider))


def _is_forced(document: dict[str, Any]) -> bool:
    return document.get("tool_choice", {}).get("type") in ("any", "tool")


def _write_tools(
    request: ModelRequest, document: dict[str, Any], provider: str, claude: Claude, left_out: list[str]
) -> None:
    tools = chosen_tools(request)
    if not tools:
        return
    document["tools"] = [_tool(tool, left_out) for tool in tools]
    choice = request.tool_choice
    if choice is not None and choice.mode in ("required", "named") and claude.free_choice_only:
        raise Unsupported(choice.at, f"cannot be forced at this model of {provider}")
    written: dict[str, Any] | None = None
    if choice is not None:
        if choice.mode == "named":
            written = {"type": "tool", "name": chosen_name(request, choice)}
        else:
            written = {"type": "any" if choice.mode == "required" else choice.mode}
    if request.parallel_tools is not None and (written is None or written["type"] != "none"):
        written = written or {"type": "auto"}
        if not request.parallel_tools.value:
            written["disable_parallel_tool_use"] = True
        elif request.tool_choice is None:
            written = None
    if written is not None:
        document["tool_choice"] = written


def _tool(tool: Tool, left_out: list[str]) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.wire_name}
    if tool.description:
        written["description"] = tool.description
    schema = schema_of(tool)
    written["input_schema"] = schema if schema.get("type") == "object" else {"type": "object", **schema}
    if tool.strict:
        if fits(schema):
            written["strict"] = True
        else:
            left_out.append(f"{tool.at}.strict")
    if tool.cache is not None:
        written["cache_control"] = tool.cache
    return written


def _write_reasoning(
    request: ModelRequest, document: dict[str, Any], claude: Claude, left_out: list[str], limit: int
) -> None:
    reasoning = request.reasoning
    if reasoning is None:
        return
    if reasoning.off:
        if claude.thinks_by_default:
            if not claude.can_be_off:
                raise Unsupported(reasoning.at, "cannot be switched off: this model always thinks")
            document["thinking"] = {"type": "disabled"}
        return
    forced = _is_forced(document)
    if claude.thinking == "none" or forced or not _may_think(request, claude):
        left_out.append(reasoning.at)
        if forced and claude.thinks_by_default and claude.can_be_off:
            document["thinking"] = {"type": "disabled"}
        return
    if claude.thinking == "budget":
        if reasoning.adaptive and not reasoning.effort and reasoning.budget is None:
            left_out.append(reasoning.at)  # as much as the model likes: these do not decide for themselves
            return
        budget = max(budget_of(reasoning), MIN_BUDGET)
        if request.value("max_tokens") is None:
            document["max_tokens"] = min(limit, max(document["max_tokens"], budget + MIN_BUDGET))
        budget = min(budget, document["max_tokens"] - 1)
        if budget < MIN_BUDGET:
            left_out.append(reasoning.at)
            return
        document["thinking"] = {"type": "enabled", "budget_tokens": budget}
        return
    display = "omitted" if reasoning.show is False else "summarized"
    document["thinking"] = {"type": "adaptive", "display": display}
    if reasoning.effort or reasoning.budget is not None:
        effort = at_most(effort_of(reasoning), claude.efforts)
        document["output_config"] = {"effort": effort}


def _may_think(request: ModelRequest, claude: Claude) -> bool:
    """With a budget, a turn that calls tools must begin with the model's own thinking; another model's
    turns do not ("Expected `thinking` or `redacted_thinking`, but found `tool_use`")."""
    if claude.thinking != "budget":
        return True
    for index in range(len(request.turns) - 1, -1, -1):
        turn = request.turns[index]
        if turn.role == "user" and (index == 0 or request.turns[index - 1].role != "tool"):
            return True  # what the user says beside results goes on with the turn before
        calls = any(isinstance(part, ToolCall) for part in turn.parts)
        own = any(isinstance(p, Thinking) and p.origin == "anthropic" and p.data for p in turn.parts)
        if turn.role == "assistant" and calls and not own:
            return False
    return True
