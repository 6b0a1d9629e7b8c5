"""A Messages request as a neutral one. https://docs.anthropic.com/en/api/messages

Context edits that clear old thinking and tool results, deferred loading of tools and the like are hints:
without them the model sees more than it would, never less.
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.messages.block_reader import read_blocks
from proxy.dialects.neutral.fields import Fields, wrong
from proxy.dialects.neutral.request import (
    Foreign,
    ModelRequest,
    OutputFormat,
    Part,
    Reasoning,
    Role,
    Setting,
    Tool,
    ToolChoice,
    ToolResult,
    Turn,
)
from proxy.dialects.neutral.search import read_search

_SETTINGS: dict[str, tuple[str, type]] = {
    "max_tokens": ("max_tokens", int),
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
    "top_k": ("top_k", int),
    "stop_sequences": ("stop", list),
    "service_tier": ("service_tier", str),
}
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_HINTS = ("speed", "cache_control", "betas")
_CLEARING = "clear_"


def read_request(document: dict[str, Any]) -> ModelRequest:
    """Raises CallError (400) that names the field."""
    body = Fields(document, "")
    request = ModelRequest(model=body.text("model"), stream=bool(body.take("stream", bool)))
    for wire, (name, kind) in _SETTINGS.items():
        value = body.take(wire, kind)
        if value is not None and value != [] and (name, value) != ("service_tier", "auto"):
            request.settings[name] = Setting(wire, "default" if value == "standard_only" else value)
    stop = request.value("stop")
    if stop is not None and not all(isinstance(word, str) for word in stop):
        raise wrong("stop_sequences", "an array of strings")
    metadata = body.object("metadata")
    if metadata is not None:
        if metadata.text("user_id"):
            request.settings["user"] = Setting(metadata.path("user_id"), metadata.text("user_id"))
        request.hints += metadata.rest()
    if body.raw("system") is not None:
        request.turns.append(Turn("system", "system", read_blocks(body, "system", request)))
    _read_thinking(body, request)
    _read_output(body, request)
    for message in body.objects("messages"):
        _read_message(message, request)
    _read_tools(body, request)
    _read_context(body, request)
    for path in body.rest():
        (request.hints if path in _HINTS else request.unread).append(path)
    return request


def _read_message(message: Fields, request: ModelRequest) -> None:
    word = message.need("role", str)
    role = _ROLES.get(word)
    if role is None:
        raise wrong(message.path("role"), "'user' or 'assistant'")
    parts = read_blocks(message, "content", request)
    turn_config = message.object("output_config")
    if turn_config is not None:
        _effort(turn_config, request)
    request.unread += message.rest()
    results = [part for part in parts if isinstance(part, ToolResult)]
    others: list[Part] = [part for part in parts if not isinstance(part, ToolResult)]
    if results:
        request.turns.append(Turn(message.at, "tool", list(results)))
    if others or not results:
        request.turns.append(Turn(message.at, role, others))


def _read_thinking(body: Fields, request: ModelRequest) -> None:
    thinking = body.object("thinking")
    if thinking is None:
        return
    kind = thinking.need("type", str)
    display = thinking.text("display")
    request.reasoning = Reasoning(
        thinking.at,
        budget=thinking.take("budget_tokens", int),
        off=kind == "disabled",
        show=None if not display else display != "omitted",
        adaptive=kind != "enabled",
    )
    if kind not in ("enabled", "adaptive", "disabled", "between_tools"):
        request.unread.append(thinking.path("type"))
    request.unread += thinking.rest()


def _read_output(body: Fields, request: ModelRequest) -> None:
    config = body.object("output_config")
    form = body.object("output_format")  # its name in the beta
    if config is not None:
        _effort(config, request)
        form = config.object("format") or form
        request.unread += config.rest()
    if form is None:
        return
    if form.need("type", str) == "json_schema":
        request.output = OutputFormat(form.at, form.need("schema", dict), strict=True)
    else:
        request.unread.append(form.path("type"))
    request.unread += form.rest()


def _effort(config: Fields, request: ModelRequest) -> None:
    """Of the request, or of a turn (the last counts)."""
    effort = config.text("effort")
    if not effort:
        return
    if request.reasoning is None:
        request.reasoning = Reasoning(config.path("effort"), effort, adaptive=True)
    elif not request.reasoning.off:
        request.reasoning.effort = effort


def _read_tools(body: Fields, request: ModelRequest) -> None:
    for item in body.objects("tools"):
        kind = item.text("type")
        if kind.startswith("web_search_"):
            read_search(item, request)
            continue
        if kind not in ("", "custom"):
            request.foreign.append(Foreign(item.at, f"of type {kind!r} has no counterpart"))
            continue
        tool = Tool(
            item.at,
            item.need("name", str),
            item.text("description"),
            item.take("input_schema", dict),
            item.take("strict", bool),
            cache=item.take("cache_control", dict),
        )
        if item.raw("defer_loading"):
            request.hints.append(item.path("defer_loading"))
        callers = item.take("allowed_callers", list)
        if callers not in (None, ["direct"]):
            request.unread.append(item.path("allowed_callers"))
        item.ignore("eager_input_streaming", "input_examples")
        request.tools.append(tool)
        request.unread += item.rest()
    choice = body.object("tool_choice")
    if choice is None:
        return
    kind = choice.need("type", str)
    if kind == "tool":
        request.tool_choice = ToolChoice(choice.at, "named", [choice.need("name", str)])
    elif kind in ("auto", "none"):
        request.tool_choice = ToolChoice(choice.at, "auto" if kind == "auto" else "none")
    elif kind == "any":
        request.tool_choice = ToolChoice(choice.at, "required")
    else:
        raise wrong(choice.path("type"), "one of auto, any, tool, none")
    alone = choice.take("disable_parallel_tool_use", bool)
    if alone is not None and request.tools:
        request.parallel_tools = Setting(choice.path("disable_parallel_tool_use"), not alone)
    request.unread += choice.rest()


def _read_context(body: Fields, request: ModelRequest) -> None:
    management = body.object("context_management")
    if management is None:
        return
    for edit in management.objects("edits"):
        if edit.text("type").startswith(_CLEARING):
            request.hints.append(edit.at)
        else:
            request.foreign.append(Foreign(edit.at, f"of type {edit.text('type')!r} has no counterpart"))
    request.unread += management.rest()
