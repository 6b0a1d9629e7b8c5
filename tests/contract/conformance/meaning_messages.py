"""A Messages request. https://docs.anthropic.com/en/api/messages

A user's results come first and are a turn of their own; neighbours of one role are one turn, as the API
itself reads them. A string and one block of text are the same.
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

_SETTINGS = ("max_tokens", "temperature", "top_p", "top_k", "service_tier")


def read(document: dict[str, Any]) -> Meaning:
    body, meaning = Document(document), Meaning()
    body.take("model")
    meaning.stream = bool(body.take("stream"))
    for name in _SETTINGS:
        value = body.take(name)
        if value is not None and (name, value) != ("service_tier", "auto"):
            meaning.settings[name] = value
    stop = body.take("stop_sequences")
    if stop:
        meaning.settings["stop"] = stop
    metadata = body.take("metadata") or {}
    if metadata.get("user_id"):
        meaning.bookkeeping["user"] = metadata["user_id"]
    cache = body.take("cache_control")
    if cache:
        meaning.bookkeeping["cache_control"] = cache
    meaning.say("system", blocks(body.take("system")))
    for position, one in enumerate(body.take("messages") or []):
        message = Document(one)
        role, parts = message.take("role"), blocks(message.take("content"))
        meaning.say("tool", [part for part in parts if "result" in part])
        meaning.say(role, [part for part in parts if "result" not in part])
        meaning.other |= message.rest(f"messages[{position}].")
    _tools(body, meaning)
    _thinking(body, meaning)
    meaning.other |= body.rest()
    return meaning


def blocks(given: Any) -> list[Part]:
    if isinstance(given, str):
        return [text(given)] if given else []
    return [_block(one) for one in given or []]


def _block(one: dict[str, Any]) -> Part:
    kind, mark = one["type"], one.get("cache_control")
    if kind == "text":
        part = marked(text(one["text"]), mark)
        return {**part, "citations": one["citations"]} if one.get("citations") else part
    if kind in ("image", "document"):
        return marked(_media(kind, one), mark)
    if kind == "tool_use":
        return marked(call(one["id"], one["name"], one["input"]), mark)
    if kind == "tool_result":
        parts = blocks(one.get("content"))
        return marked(result(one["tool_use_id"], parts, error=bool(one.get("is_error"))), mark)
    if kind == "thinking":
        return thinking(one["thinking"], one["signature"])
    if kind == "redacted_thinking":
        return thinking("", one["data"], redacted=True)
    if kind == "tool_reference":
        return text(f"Tool available: {one['tool_name']}")
    return {"other": one}


def _media(kind: str, one: dict[str, Any]) -> Part:
    source = one["source"]
    citations = True if (one.get("citations") or {}).get("enabled") else None
    more = {"name": one.get("title"), "context": one.get("context"), "citations": citations}
    if source["type"] == "text":
        return media(kind, plain=source["data"], **more)
    data = {"url": source.get("url"), "data": source.get("data"), "type": source.get("media_type")}
    return media(kind, file_id=source.get("file_id"), **data, **more)


def _tools(body: Document, meaning: Meaning) -> None:
    for position, one in enumerate(body.take("tools") or []):
        kind = one.get("type") or "custom"
        if kind.startswith("web_search_"):
            meaning.search = _search(one)
            continue
        if kind != "custom":
            meaning.other[f"tools[{position}]"] = one
            continue
        given = Document(one)
        given.take("type")
        mark = given.take("cache_control")
        said = tool(
            given.take("name"), given.take("description"), given.take("input_schema"), given.take("strict")
        )
        meaning.tools.append(marked(said, mark))
        deferred = given.take("defer_loading")
        if deferred:
            meaning.bookkeeping[f"tools[{position}].defer_loading"] = deferred
        meaning.other |= given.rest(f"tools[{position}].")
    choice = body.take("tool_choice") or {}
    kind = choice.get("type", "auto")
    if kind != "auto":
        mode = {"any": "required", "tool": "named", "none": "none"}[kind]
        meaning.choice = {"mode": mode, "names": [choice["name"]] if kind == "tool" else []}
    if choice.get("disable_parallel_tool_use") and meaning.tools:
        meaning.parallel = False


def _search(one: dict[str, Any]) -> dict[str, Any]:
    place = {name: value for name, value in (one.get("user_location") or {}).items() if name != "type"}
    return {
        "size": "",
        "place": place,
        "allowed": one.get("allowed_domains") or [],
        "blocked": one.get("blocked_domains") or [],
        "uses": one.get("max_uses"),
    }


def _thinking(body: Document, meaning: Meaning) -> None:
    given, config = body.take("thinking") or {}, Document(body.take("output_config") or {})
    kind = given.get("type")
    if kind == "disabled":
        meaning.reasoning["off"] = True
    elif kind == "enabled":
        meaning.reasoning["budget"] = given["budget_tokens"]
    elif kind == "adaptive":
        meaning.reasoning["adaptive"] = True
        if given.get("display"):
            meaning.reasoning["shown"] = given["display"] != "omitted"
    effort = config.take("effort")
    if effort:
        meaning.reasoning["effort"] = effort
    form = config.take("format")
    if form:
        meaning.output = {"schema": form["schema"], "name": "answer", "description": "", "strict": True}
    meaning.other |= config.rest("output_config.")
