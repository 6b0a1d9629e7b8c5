"""A Responses request. https://platform.openai.com/docs/api-reference/responses/create

A message
without a type is a message; ids of items name what the provider keeps and mean nothing without it.
"""

from __future__ import annotations

from typing import Any

from tests.contract.conformance.meaning import (
    Document,
    Meaning,
    Part,
    call,
    media,
    result,
    text,
    thinking,
    tool,
)

_SETTINGS = {
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_logprobs": "top_logprobs",
    "service_tier": "service_tier",
}
_BOOKKEEPING = ("store", "metadata", "user", "prompt_cache_key", "prompt_cache_options", "safety_identifier")
_ROLES = {"developer": "system"}


def read(document: dict[str, Any]) -> Meaning:
    body, meaning = Document(document), Meaning()
    body.take("model")
    meaning.stream = bool(body.take("stream"))
    for name, canonical in _SETTINGS.items():
        value = body.take(name)
        if value is not None and (name, value) != ("service_tier", "auto"):
            meaning.settings[canonical] = value
    for name in _BOOKKEEPING:
        value = body.take(name)
        if value is not None:
            meaning.bookkeeping[name] = value
    include = [one for one in body.take("include") or [] if one != "reasoning.encrypted_content"]
    if "message.output_text.logprobs" in include:
        include.remove("message.output_text.logprobs")
        meaning.settings["logprobs"] = True
    if include:
        meaning.other["include"] = include
    instructions = body.take("instructions")
    meaning.say("system", [text(instructions)] if instructions else [])
    given = body.take("input")
    for position, one in enumerate([{"role": "user", "content": given}] if isinstance(given, str) else given):
        _item(one, meaning, f"input[{position}]")
    _tools(body, meaning)
    _text(body, meaning)
    reasoning = body.take("reasoning") or {}
    effort = reasoning.get("effort")
    found = {"effort": effort, "summary": reasoning.get("summary"), "context": reasoning.get("context")}
    meaning.reasoning = {"off": True} if effort == "none" else {k: v for k, v in found.items() if v}
    meaning.other |= body.rest()
    return meaning


def _item(one: dict[str, Any], meaning: Meaning, at: str) -> None:
    kind = one.get("type") or "message"
    if kind == "message":
        role = _ROLES.get(one["role"], one["role"])
        meaning.say(role, content(one.get("content"), meaning, at))
    elif kind == "function_call":
        part = call(one["call_id"], one["name"], one.get("arguments"))
        meaning.more("assistant", [{**part, "namespace": one["namespace"]} if one.get("namespace") else part])
    elif kind == "custom_tool_call":
        meaning.more("assistant", [{**call(one["call_id"], one["name"], {}), "input": one["input"]}])
    elif kind in ("function_call_output", "custom_tool_call_output"):
        meaning.more("tool", [result(one["call_id"], content(one.get("output"), meaning, at))])
    elif kind == "reasoning":
        pieces = [piece["text"] for piece in (*(one.get("summary") or ()), *(one.get("content") or ()))]
        part = thinking("\n\n".join(pieces), one.get("encrypted_content") or "")
        meaning.more("assistant", [part] if part != thinking("") else [])
    else:
        meaning.more("assistant", [{"other": one}])


def content(given: Any, meaning: Meaning, at: str) -> list[Part]:
    if isinstance(given, str):
        return [text(given)] if given else []
    return [_part(one, meaning, at) for one in given or []]


def _part(one: dict[str, Any], meaning: Meaning, at: str) -> Part:
    kind = one["type"]
    if one.get("prompt_cache_breakpoint"):
        meaning.bookkeeping[f"{at}.prompt_cache_breakpoint"] = one["prompt_cache_breakpoint"]
    if kind in ("input_text", "output_text"):
        part = text(one["text"])
        return {**part, "citations": one["annotations"]} if one.get("annotations") else part
    if kind == "refusal":
        return {"refusal": one["refusal"]}
    if kind == "input_image":
        detail = one.get("detail")
        more = {"detail": None if detail == "auto" else detail, "file_id": one.get("file_id")}
        return media("image", url=one.get("image_url"), **more)
    if kind == "input_file":
        data = one.get("file_data") or one.get("file_url")
        return media("document", url=data, name=one.get("filename"), file_id=one.get("file_id"))
    if kind == "input_audio":
        sound = one["input_audio"]
        return media("audio", data=sound["data"], type=sound["format"])
    return {"other": one}


def _tools(body: Document, meaning: Meaning) -> None:
    for position, one in enumerate(body.take("tools") or []):
        kind = one["type"]
        if kind == "function":
            _function(one, meaning, position)
        elif kind.startswith("web_search"):  # dated names and the preview are the same tool
            place = {**(one.get("user_location") or {})}
            place.pop("type", None)
            allowed = (one.get("filters") or {}).get("allowed_domains") or []
            size = one.get("search_context_size") or ""
            meaning.search = {"size": size, "place": place, "allowed": allowed}
        else:
            meaning.other[f"tools[{position}]"] = one
    choice = body.take("tool_choice")
    if isinstance(choice, dict):
        name = choice.get("name") or (choice.get("function") or {}).get("name")
        meaning.choice = {"mode": "named", "names": [name]} if name else {"mode": choice, "names": []}
    elif choice not in (None, "auto"):
        meaning.choice = {"mode": choice, "names": []}
    if body.take("parallel_tool_calls") is False and meaning.tools:
        meaning.parallel = False


def _function(one: dict[str, Any], meaning: Meaning, position: int) -> None:
    given = Document(one)
    given.take("type")
    # Some clients send the chat form, whole or in part; what stands inside is what they mean.
    inner = Document({**{k: v for k, v in one.items() if k != "function"}, **(given.take("function") or {})})
    inner.take("type")
    names = (inner.take(name) for name in ("name", "description", "parameters", "strict"))
    meaning.tools.append(tool(*names))
    deferred = inner.take("defer_loading")
    if deferred:
        meaning.bookkeeping[f"tools[{position}].defer_loading"] = deferred
    meaning.other |= inner.rest(f"tools[{position}].")


def _text(body: Document, meaning: Meaning) -> None:
    given = body.take("text") or {}
    if given.get("verbosity") not in (None, "medium"):
        meaning.settings["verbosity"] = given["verbosity"]
    form = given.get("format") or {}
    if form.get("type") == "json_schema":
        meaning.output = {
            "schema": form["schema"],
            "name": form.get("name") or "answer",
            "description": form.get("description") or "",
            "strict": bool(form.get("strict")),
        }
    elif form.get("type") == "json_object":
        meaning.output = {"schema": None}
