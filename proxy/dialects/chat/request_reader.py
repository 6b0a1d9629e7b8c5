"""A chat completions request as a neutral one. Fields: the provider's reference, and what OpenRouter,
Mistral and Google add to it (`reasoning`, `reasoning_details`, `document_url`, `extra_content`).
https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.chat.thinking_reader import thinking_of
from proxy.dialects.documents import dumped
from proxy.dialects.neutral.fields import Fields, wrong
from proxy.dialects.neutral.media import data_url
from proxy.dialects.neutral.request import (
    Foreign,
    Media,
    ModelRequest,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Role,
    Setting,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    WebSearch,
)
from proxy.dialects.neutral.search import location_of
from proxy.dialects.neutral.settings import SOFT

# Wire name → neutral name.
_SETTINGS = {
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "n": "n",
    "seed": "seed",
    "random_seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "logit_bias": "logit_bias",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "user": "user",
    "service_tier": "service_tier",
    "verbosity": "verbosity",
    "prompt_cache_key": "prompt_cache_key",
    "prompt_cache_retention": "prompt_cache_retention",
    "safety_identifier": "safety_identifier",
}
# Values that say what happens anyway.
_DEFAULTS: dict[str, Any] = {
    "n": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "logprobs": False,
    "top_logprobs": 0,
    "service_tier": "auto",
}
_NUMBERS = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_WHOLE = ("max_tokens", "top_k", "n", "seed", "top_logprobs")
# Where the answer is kept, how it is cached or accounted for, or how fast it comes.
_HINTS = (
    "store",
    "metadata",
    "prompt_cache_options",
    "moderation",
    "prediction",
    "usage",
)
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def read_request(document: dict[str, Any]) -> ModelRequest:
    """Raises CallError (400) that names the field."""
    body = Fields(document, "")
    request = ModelRequest(model=body.text("model"), stream=bool(body.take("stream", bool)))
    body.ignore("stream_options")
    _read_settings(body, request)
    for message in body.objects("messages"):
        _read_message(message, request)
    _read_tools(body, request)
    options = body.object("web_search_options")
    if options is not None:
        request.search = WebSearch(
            options.at,
            location=location_of(options.object("user_location")),
            context_size=options.text("search_context_size"),
        )
        request.unread += options.rest()
    _read_output(body, request)
    _read_reasoning(body, request)
    modalities = body.take("modalities", list)
    if modalities not in (None, ["text"]):
        request.unread.append("modalities")
    for path in body.rest():
        (request.hints if path in _HINTS else request.unread).append(path)
    return request


def _read_settings(body: Fields, request: ModelRequest) -> None:
    for wire, name in _SETTINGS.items():
        value = body.raw(wire)
        if value is None or value == _DEFAULTS.get(name) or name in request.settings:
            continue
        number = value.__class__ in (int, float)
        if (name in _NUMBERS and not number) or (name in _WHOLE and value.__class__ is not int):
            raise wrong(wire, "a number" if name in _NUMBERS else "a whole number")
        if name in SOFT and value.__class__ is not str:
            raise wrong(wire, "a string")
        request.settings[name] = Setting(wire, value)
    stop = body.raw("stop")
    if stop is not None and stop != []:
        words = [stop] if isinstance(stop, str) else stop
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise wrong("stop", "a string or an array of strings")
        request.settings["stop"] = Setting("stop", words)


def _read_message(message: Fields, request: ModelRequest) -> None:
    word = message.need("role", str)
    role = _ROLES.get(word)
    if role is None:
        raise wrong(message.path("role"), "one of system, developer, user, assistant, tool")
    turn = Turn(message.at, role, [], name=message.text("name"))
    if role == "tool":
        turn.parts = [_result(message, request, legacy=word == "function")]
        turn.name = ""
        message.ignore("name")
    elif role == "assistant":
        turn.parts = _assistant(message, request)
    else:
        turn.parts = content_parts(message, request)
    message.ignore("prefix")
    request.turns.append(turn)
    request.unread += message.rest()


def _assistant(message: Fields, request: ModelRequest) -> list[Part]:
    parts: list[Part] = [*thinking_of(message)]
    parts += content_parts(message, request)
    refusal = message.text("refusal")
    if refusal:
        parts.append(Refusal(message.path("refusal"), refusal))
    for call in message.objects("tool_calls"):
        _read_call(call, parts, request)
    legacy = message.object("function_call")
    if legacy is not None:
        name = legacy.need("name", str)
        parts.append(ToolCall(legacy.at, f"call_{len(request.turns)}", name, legacy.text("arguments")))
    if message.raw("audio") is not None:
        parts.append(Foreign(message.path("audio"), "is audio that this provider stores"))
    if message.raw("annotations"):
        request.hints.append(message.path("annotations"))
    message.ignore("images", "provider_content", "extra_content", "thought_signature")
    return parts


def _read_call(call: Fields, parts: list[Part], request: ModelRequest) -> None:
    extra = call.object("extra_content")
    google = extra.object("google") if extra is not None else None
    if google is not None and google.text("thought_signature"):
        signature = google.text("thought_signature")
        parts.append(Thinking(google.path("thought_signature"), data=signature, origin="gemini"))
    custom = call.object("custom")
    call.ignore("type", "index")
    if custom is not None:
        parts.append(
            ToolCall(
                call.at, call.need("id", str), custom.need("name", str), custom.text("input"), custom=True
            )
        )
        return
    function = call.object("function")
    if function is None:
        raise wrong(call.path("function"), "an object")
    arguments = function.raw("arguments")
    if isinstance(arguments, dict):  # Mistral's clients may send the object itself
        arguments = dumped(arguments).decode()
    if arguments is not None and not isinstance(arguments, str):
        raise wrong(function.path("arguments"), "a string")
    parts.append(ToolCall(call.at, call.need("id", str), function.need("name", str), arguments or "{}"))
    request.unread += call.rest()


def _result(message: Fields, request: ModelRequest, *, legacy: bool) -> ToolResult:
    id = message.text("tool_call_id")
    if legacy:
        id = f"call_{len(request.turns) - 1}"
    elif not id:
        id = message.need("tool_call_id", str)
    parts = content_parts(message, request)
    kept = [part for part in parts if isinstance(part, (Text, Media))]
    return ToolResult(message.at, id, kept)


def content_parts(message: Fields, request: ModelRequest) -> list[Part]:
    content = message.raw("content")
    at = message.path("content")
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(at, content)] if content else []
    if not isinstance(content, list):
        raise wrong(at, "a string or an array of parts")
    return [part for item in message.objects("content") if (part := _part(item, request)) is not None]


def _part(item: Fields, request: ModelRequest) -> Part | None:
    kind = item.need("type", str)
    cache = item.take("cache_control", dict)
    part: Part | None
    if kind == "text":
        part = Text(item.at, item.need("text", str), cache)
    elif kind == "image_url":
        part = _image(item, cache)
    elif kind == "input_audio":
        audio = Fields(item.need("input_audio", dict), item.path("input_audio"))
        part = Media(
            item.at, "audio", data=audio.need("data", str), media_type=f"audio/{audio.need('format', str)}"
        )
    elif kind == "file":
        part = _file(Fields(item.need("file", dict), item.path("file")), item.at, cache)
    elif kind == "document_url":
        url = item.need("document_url", str)
        part = Media(item.at, "document", name=item.text("document_name"), cache=cache, **data_url(url))
    elif kind == "refusal":
        part = Refusal(item.at, item.need("refusal", str))
    elif kind == "thinking":  # Mistral
        texts = [piece.text("text") for piece in item.objects("thinking")]
        item.ignore("closed", "signature")
        part = Thinking(item.at, "".join(texts))
    else:
        part = Foreign(item.at, f"of type {kind!r} has no counterpart")
        return part
    request.unread += item.rest()
    return part


def _image(item: Fields, cache: dict[str, Any] | None) -> Media:
    value = item.raw("image_url")
    if isinstance(value, str):  # Mistral
        return Media(item.at, "image", cache=cache, **data_url(value))
    image = Fields(value, item.path("image_url"))
    return Media(
        item.at, "image", detail=image.text("detail"), cache=cache, **data_url(image.need("url", str))
    )


def _file(file: Fields, at: str, cache: dict[str, Any] | None) -> Media:
    data = file.text("file_data")
    where = data_url(data) if data else {}
    return Media(
        at, "document", file_id=file.text("file_id"), name=file.text("filename"), cache=cache, **where
    )


def _read_tools(body: Fields, request: ModelRequest) -> None:
    for item in body.objects("tools"):
        kind = item.text("type") or "function"
        cache = item.take("cache_control", dict)
        custom = item.object("custom")
        if kind == "custom" and custom is not None:
            tool = Tool(item.at, custom.need("name", str), custom.text("description"), custom=True)
            tool.format = custom.take("format", dict)
        elif kind == "function":
            tool = _function(Fields(item.need("function", dict), item.path("function")), item.at)
        else:
            request.foreign.append(Foreign(item.at, f"of type {kind!r} has no counterpart"))
            continue
        tool.cache = cache
        request.tools.append(tool)
        request.unread += item.rest()
    request.tools += [_function(item, item.at) for item in body.objects("functions")]
    choice = body.raw("tool_choice")
    if choice is None and (legacy := body.raw("function_call")) is not None:
        choice = legacy if isinstance(legacy, str) else {"type": "function", "function": legacy}
    if choice is not None:
        request.tool_choice = _choice(choice)
    parallel = body.take("parallel_tool_calls", bool)
    if parallel is not None and request.tools:
        request.parallel_tools = Setting("parallel_tool_calls", parallel)


def _function(item: Fields, at: str) -> Tool:
    return Tool(
        at,
        item.need("name", str),
        item.text("description"),
        item.take("parameters", dict),
        item.take("strict", bool),
    )


def _choice(choice: Any) -> ToolChoice:
    at = "tool_choice"
    if choice in ("auto", "none"):
        return ToolChoice(at, choice)
    if choice in ("required", "any"):
        return ToolChoice(at, "required")
    item = Fields(choice, at)
    kind = item.text("type")
    if kind in ("auto", "any", "none", "required"):  # as Groq's and Mistral's clients may write it
        return _choice(kind)
    if kind == "allowed_tools":
        allowed = item.object("allowed_tools") or item
        names = [_named(tool) for tool in allowed.objects("tools")]
        return ToolChoice(at, "required" if allowed.text("mode") == "required" else "auto", names)
    return ToolChoice(at, "named", [_named(item)])


def _named(item: Fields) -> str:
    inner = item.object("function") or item.object("custom") or item
    return inner.need("name", str)


def _read_output(body: Fields, request: ModelRequest) -> None:
    form = body.object("response_format")
    if form is None:
        return
    kind = form.need("type", str)
    if kind == "json_object":
        request.output = OutputFormat(form.at)
    elif kind == "json_schema":
        inner = Fields(form.need("json_schema", dict), form.path("json_schema"))
        schema = inner.take("schema", dict)
        if schema is None:
            schema = inner.take("schema_definition", dict)
        request.output = OutputFormat(
            form.at,
            schema if schema is not None else {},
            inner.text("name") or "answer",
            inner.text("description"),
            inner.take("strict", bool),
        )
    elif kind != "text":
        request.unread.append(form.path("type"))


def _read_reasoning(body: Fields, request: ModelRequest) -> None:
    effort = body.take("reasoning_effort", str)
    if effort is not None:
        request.reasoning = Reasoning("reasoning_effort", effort, off=effort == "none")
    form = body.text("reasoning_format")  # Groq: parsed, raw, hidden
    more = body.object("reasoning")
    if more is None:
        if form and request.reasoning is not None:
            request.reasoning.show = form != "hidden"
        return
    effort = more.text("effort")
    exclude = more.take("exclude", bool)
    enabled = more.take("enabled", bool)
    request.reasoning = Reasoning(
        more.at,
        effort,
        more.take("max_tokens", int),
        off=effort == "none" or enabled is False,
        show=None if exclude is None else not exclude,
    )
    request.unread += more.rest()
