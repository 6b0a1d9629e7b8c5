"""A Responses request as a neutral one. Items that follow each other without a client's word between them
(reasoning, text, calls) are one turn of the assistant.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.neutral.fields import Fields, wrong
from proxy.dialects.neutral.request import (
    Foreign,
    ModelRequest,
    OutputFormat,
    Reasoning,
    Setting,
    Text,
    Tool,
    ToolChoice,
    Turn,
)
from proxy.dialects.neutral.search import read_search
from proxy.dialects.responses.item_reader import read_item

_SETTINGS: dict[str, tuple[str, type]] = {
    "max_output_tokens": ("max_tokens", int),
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
    "top_logprobs": ("top_logprobs", int),
    "user": ("user", str),
    "service_tier": ("service_tier", str),
    "prompt_cache_key": ("prompt_cache_key", str),
    "prompt_cache_retention": ("prompt_cache_retention", str),
    "safety_identifier": ("safety_identifier", str),
}
_HINTS = (
    *("store", "metadata", "prompt_cache_options"),
    *("client_metadata", "stream_options", "moderation"),
)
# What `include` may ask for that comes anyway, or that cannot come without the tool it belongs to.
_INCLUDES = (
    "reasoning.encrypted_content",
    "web_search_call.results",
    "web_search_call.action.sources",
    "file_search_call.results",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "message.input_image.image_url",
)


def read_request(document: dict[str, Any]) -> ModelRequest:
    """Raises CallError (400) that names the field."""
    body = Fields(document, "")
    request = ModelRequest(model=body.text("model"), stream=bool(body.take("stream", bool)))
    for wire, (name, kind) in _SETTINGS.items():
        value = body.take(wire, kind)
        if value is not None and (name, value) not in (("service_tier", "auto"), ("top_logprobs", 0)):
            request.settings[name] = Setting(wire, value)
    _read_state(body, request)
    instructions = body.raw("instructions")
    if isinstance(instructions, str):
        if instructions:
            request.turns.append(Turn("instructions", "developer", [Text("instructions", instructions)]))
    elif instructions is not None:
        raise wrong("instructions", "a string")
    given = body.raw("input")
    if isinstance(given, str):
        request.turns.append(Turn("input", "user", [Text("input", given)]))
    elif isinstance(given, list):
        for item in body.objects("input"):
            read_item(item, request)
    else:
        raise wrong("input", "a string or an array of items")
    for item in body.objects("tools"):
        _read_tool(item, request)
    _read_choice(body, request)
    _read_text(body, request)
    _read_reasoning(body, request)
    for path in body.rest():
        (request.hints if path in _HINTS else request.unread).append(path)
    return request


def _read_state(body: Fields, request: ModelRequest) -> None:
    """What needs a provider that keeps answers."""
    for name in ("previous_response_id", "conversation"):
        if body.raw(name) is not None:
            request.foreign.append(
                Foreign(
                    name,
                    "needs a provider that keeps state; send the whole conversation instead: not possible",
                )
            )
    if body.take("background", bool):
        request.foreign.append(Foreign("background", "needs a provider that keeps state: not possible"))
    if body.text("truncation") not in ("", "disabled"):
        request.unread.append("truncation")
    for position, name in enumerate(body.take("include", list) or []):
        if name == "message.output_text.logprobs":
            request.settings["logprobs"] = Setting(f"include[{position}]", True)
        elif name not in _INCLUDES:
            request.unread.append(f"include[{position}]")


def _read_tool(item: Fields, request: ModelRequest, namespace: str = "") -> None:
    kind = item.need("type", str)
    if kind == "namespace" and not namespace:
        name = item.need("name", str)
        item.ignore("description")
        for inner in item.objects("tools"):
            _read_tool(inner, request, name)
        return
    if kind.startswith("web_search"):
        read_search(item, request)
        return
    if kind not in ("function", "custom"):
        request.foreign.append(Foreign(item.at, f"of type {kind!r} has no counterpart"))
        return
    inner = item.object("function") or item  # in the chat form, or half in it, as some clients send it
    item.ignore("name", "description", "parameters", "strict")
    tool = Tool(
        item.at,
        inner.need("name", str),
        inner.text("description"),
        inner.take("parameters", dict),
        inner.take("strict", bool),
        namespace=namespace,
        custom=kind == "custom",
        format=inner.take("format", dict),
    )
    if item.raw("defer_loading"):
        request.hints.append(item.path("defer_loading"))
    item.ignore("output_schema", "async")
    callers = item.take("allowed_callers", list)
    if callers not in (None, ["direct"]):
        request.unread.append(item.path("allowed_callers"))
    request.tools.append(tool)
    request.unread += item.rest()


def _read_choice(body: Fields, request: ModelRequest) -> None:
    choice = body.raw("tool_choice")
    parallel = body.take("parallel_tool_calls", bool)
    if parallel is not None and request.tools:
        request.parallel_tools = Setting("parallel_tool_calls", parallel)
    body.ignore("max_tool_calls")  # counts the provider's own tools alone
    if choice is None:
        return
    at = "tool_choice"
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise wrong(at, "one of auto, none, required, or an object")
        request.tool_choice = ToolChoice(at, choice)  # type: ignore[arg-type]
        return
    item = Fields(choice, at)
    kind = item.need("type", str)
    if kind in ("function", "custom"):
        inner = item.object("function") or item
        request.tool_choice = ToolChoice(at, "named", [inner.need("name", str)])
    elif kind == "allowed_tools":
        names = [tool.text("name") for tool in item.objects("tools")]
        request.tool_choice = ToolChoice(at, "required" if item.text("mode") == "required" else "auto", names)
    else:
        request.foreign.append(Foreign(at, f"of type {kind!r} has no counterpart"))


def _read_text(body: Fields, request: ModelRequest) -> None:
    text = body.object("text")
    if text is None:
        return
    verbosity = text.text("verbosity")
    if verbosity and verbosity != "medium":
        request.settings["verbosity"] = Setting(text.path("verbosity"), verbosity)
    form = text.object("format")
    if form is None:
        return
    kind = form.need("type", str)
    if kind == "json_schema":
        request.output = OutputFormat(
            form.at,
            form.need("schema", dict),
            form.text("name") or "answer",
            form.text("description"),
            form.take("strict", bool),
        )
    elif kind == "json_object":
        request.output = OutputFormat(form.at)
    elif kind != "text":
        request.unread.append(form.path("type"))


def _read_reasoning(body: Fields, request: ModelRequest) -> None:
    reasoning = body.object("reasoning")
    if reasoning is None:
        return
    effort = reasoning.text("effort")
    summary = reasoning.text("summary") or reasoning.text("generate_summary")
    reasoning.ignore("context")
    if effort or summary:
        request.reasoning = Reasoning(
            reasoning.at,
            effort,
            off=effort == "none",
            show=True if summary else None,
            adaptive=not effort,
        )
    if reasoning.text("mode") not in ("", "standard"):
        request.unread.append(reasoning.path("mode"))
    request.unread += reasoning.rest()
