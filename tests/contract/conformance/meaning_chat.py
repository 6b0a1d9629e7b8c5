"""A chat completions request, as OpenAI, Groq, Cerebras, Mistral, xAI, OpenRouter and Google's door take it.

https://platform.openai.com/docs/api-reference/chat/create, https://docs.mistral.ai/api,
https://openrouter.ai/docs/api-reference/chat-completion. Old and new names of one setting are one setting.
"""

from __future__ import annotations

from typing import Any

from tests.contract.conformance.meaning import (
    Document,
    Meaning,
    Part,
    call,
    marked,
    media,
    result,
    text,
    thinking,
    tool,
)

_SETTINGS: dict[str, tuple[str, ...]] = {
    "max_tokens": ("max_completion_tokens", "max_tokens"),
    "seed": ("seed", "random_seed"),
    **{name: (name,) for name in ("temperature", "top_p", "top_k", "n", "service_tier", "verbosity")},
    **{name: (name,) for name in ("frequency_penalty", "presence_penalty")},
    **{name: (name,) for name in ("logprobs", "top_logprobs", "logit_bias")},
}
# What happens without them.
DEFAULTS: dict[str, Any] = {
    "n": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logprobs": False,
    "service_tier": "auto",
}
_BOOKKEEPING = ("store", "metadata", "user", "prompt_cache_key", "safety_identifier", "usage", "prediction")
_ROLES = {"developer": "system", "function": "tool"}


def read(document: dict[str, Any]) -> Meaning:
    body, meaning = Document(document), Meaning()
    body.take("model", "stream_options")
    meaning.stream = bool(body.take("stream"))
    for name, spellings in _SETTINGS.items():
        value = body.take(*spellings)
        if value is not None and value != DEFAULTS.get(name):
            meaning.settings[name] = value
    stop = body.take("stop")
    if stop:
        meaning.settings["stop"] = [stop] if isinstance(stop, str) else stop
    for name in _BOOKKEEPING:
        value = body.take(name)
        if value is not None:
            meaning.bookkeeping[name] = value
    for position, message in enumerate(body.take("messages") or []):
        _message(Document(message), meaning, f"messages[{position}].")
    _tools(body, meaning)
    form = body.take("response_format")
    if form and form.get("type") != "text":
        meaning.output = _output(form)
    _reasoning(body, meaning)
    meaning.other |= body.rest()
    return meaning


def _message(message: Document, meaning: Meaning, at: str) -> None:
    role = message.take("role")
    role = _ROLES.get(role, role)
    parts = [*_thinking(message), *content(message.take("content"))]
    if role == "tool":
        message.take("name")
        meaning.say("tool", [result(message.take("tool_call_id") or f"call_{_legacy(meaning)}", parts)])
    else:
        refusal = message.take("refusal")
        parts += [{"refusal": refusal}] if refusal else []
        parts += [_call(one) for one in message.take("tool_calls") or []]
        legacy = message.take("function_call")
        if legacy:
            parts.append(call(f"call_{_legacy(meaning)}", legacy["name"], legacy["arguments"]))
        message.take("prefix")
        meaning.say(role, parts)
    meaning.other |= message.rest(at)


def _legacy(meaning: Meaning) -> int:
    """Functions of old have no ids: the first call is answered first."""
    return sum("result" in part for part in meaning.parts())


def _call(one: dict[str, Any]) -> Part:
    function = one.get("function") or {}
    part = call(one["id"], function.get("name", ""), function.get("arguments"))
    google = (one.get("extra_content") or {}).get("google") or {}
    signature = google.get("thought_signature")
    return {**part, "signature": signature} if signature else part


def _thinking(message: Document) -> list[Part]:
    """`reasoning_details` are compared as they are: OpenRouter wants them back unmodified."""
    details = message.take("reasoning_details")
    words = message.take("reasoning_content", "reasoning")
    if details:
        return [{"thinking": "", "details": details}]
    return [thinking(words)] if words else []


def content(given: Any) -> list[Part]:
    """A string and one part of text are the same, and an empty text is none."""
    if isinstance(given, str):
        return [text(given)] if given else []
    return [_part(one) for one in given or [] if one.get("text") != ""]


def _part(one: dict[str, Any]) -> Part:
    kind, mark = one.get("type"), one.get("cache_control")
    if kind == "text":
        return marked(text(one["text"]), mark)
    if kind == "image_url":
        image = one["image_url"] if isinstance(one["image_url"], dict) else {"url": one["image_url"]}
        detail = image.get("detail")
        return marked(media("image", url=image["url"], detail=None if detail == "auto" else detail), mark)
    if kind == "input_audio":
        sound = one["input_audio"]
        return media("audio", data=sound["data"], type=sound["format"])
    if kind == "file":
        file = one["file"]
        name, data = file.get("filename"), file.get("file_data")
        return marked(media("document", url=data, name=name, file_id=file.get("file_id")), mark)
    if kind == "document_url":
        return media("document", url=one["document_url"], name=one.get("document_name"))
    if kind == "thinking":
        return thinking("".join(piece.get("text", "") for piece in one["thinking"]))
    return {"other": one}


def _tools(body: Document, meaning: Meaning) -> None:
    functions = [{"type": "function", "function": one} for one in body.take("functions") or []]
    for position, one in enumerate([*(body.take("tools") or []), *functions]):
        if one.get("type", "function") != "function":
            meaning.other[f"tools[{position}]"] = one
            continue
        function = Document(one["function"])
        said = tool(
            function.take("name"),
            function.take("description"),
            function.take("parameters"),
            function.take("strict"),
        )
        meaning.tools.append(marked(said, one.get("cache_control")))
        meaning.other |= function.rest(f"tools[{position}].")
    options = body.take("web_search_options")
    if options is not None:
        place = (options.get("user_location") or {}).get("approximate")
        meaning.search = {"size": options.get("search_context_size") or "", "place": place or {}}
    choice = body.take("tool_choice", "function_call")
    if isinstance(choice, dict):
        name = choice.get("name") or (choice.get("function") or {}).get("name")
        kind = choice.get("type")
        meaning.choice = {"mode": "named", "names": [name]} if name else _mode(kind)
    else:
        meaning.choice = _mode(choice)
    if body.take("parallel_tool_calls") is False and meaning.tools:
        meaning.parallel = False


def _mode(word: Any) -> dict[str, Any] | None:
    """Mistral's `any` is what others call `required`."""
    if word in (None, "auto"):
        return None
    return {"mode": "required" if word == "any" else word, "names": []}


def _output(form: dict[str, Any]) -> dict[str, Any]:
    if form["type"] != "json_schema":
        return {"schema": None}
    inner = form["json_schema"]
    schema = inner.get("schema", inner.get("schema_definition"))
    return {
        "schema": schema,
        "name": inner.get("name") or "answer",
        "description": inner.get("description") or "",
        "strict": bool(inner.get("strict")),
    }


def _reasoning(body: Document, meaning: Meaning) -> None:
    effort = body.take("reasoning_effort")
    more = body.take("reasoning") or {}
    effort = more.get("effort") or effort
    found = {"effort": effort, "budget": more.get("max_tokens"), "hidden": more.get("exclude")}
    if effort == "none" or more.get("enabled") is False:
        found = {"off": True}
    elif more.get("enabled") and not effort and not more.get("max_tokens"):
        found["effort"] = "as it likes"
    meaning.reasoning = {name: value for name, value in found.items() if value}
