"""A generateContent request, in both spellings (camelCase and the SDKs' snake_case).

https://ai.google.dev/api/generate-content, …/gemini-api/docs/thought-signatures. A signature belongs to the
part that carries it. Calls of the older models have no ids: they and their results find each other by name
and order.
"""

from __future__ import annotations

import json
from typing import Any

from tests.contract.conformance.meaning import (
    Document,
    Meaning,
    Part,
    call,
    compact,
    media,
    result,
    text,
    tool,
)

_SETTINGS: dict[str, tuple[str, ...]] = {
    "temperature": ("temperature",),
    "top_p": ("topP", "top_p"),
    "top_k": ("topK", "top_k"),
    "max_tokens": ("maxOutputTokens", "max_output_tokens"),
    "stop": ("stopSequences", "stop_sequences"),
    "seed": ("seed",),
    "presence_penalty": ("presencePenalty", "presence_penalty"),
    "frequency_penalty": ("frequencyPenalty", "frequency_penalty"),
    "logprobs": ("responseLogprobs", "response_logprobs"),
    "top_logprobs": ("logprobs",),
    "n": ("candidateCount", "candidate_count"),
}
_KNOWN_TOOLS = {"functionDeclarations", "function_declarations", "googleSearch", "google_search"}
_KINDS = {"image": "image", "audio": "audio", "application": "document", "text": "document"}


def read(document: dict[str, Any], *, stream: bool) -> Meaning:
    body, meaning = Document(document), Meaning(stream=stream)
    system = body.take("systemInstruction", "system_instruction") or {}
    meaning.say("system", [text(part["text"]) for part in _list(system.get("parts"))])
    calls: list[tuple[str, str]] = []
    for one in body.take("contents") or []:
        role = "assistant" if one.get("role") == "model" else "user"
        parts = [_part(part, calls) for part in _list(one.get("parts"))]
        meaning.say("tool", [part for part in parts if "result" in part])
        meaning.say(role, [part for part in parts if "result" not in part])
    _tools(body, meaning)
    _config(Document(body.take("generationConfig", "generation_config") or {}), meaning)
    tier = body.take("serviceTier", "service_tier")
    if tier:
        meaning.settings["service_tier"] = tier
    body.take("model", "stream")
    meaning.other |= body.rest()
    return meaning


def _list(given: Any) -> list[dict[str, Any]]:
    return [given] if isinstance(given, dict) else given or []


def _part(one: dict[str, Any], calls: list[tuple[str, str]]) -> Part:
    signature = one.get("thoughtSignature") or one.get("thought_signature")
    part = _unsigned(one, calls)
    return {**part, "signature": signature} if signature else part


def _unsigned(one: dict[str, Any], calls: list[tuple[str, str]]) -> Part:
    """`calls`: (name, id) of those that wait for their result; the number is the id where there is none."""
    if one.get("thought"):
        return {"thinking": one.get("text", "")}
    if "text" in one:
        return text(one["text"])
    given = one.get("functionCall") or one.get("function_call")
    if given:
        id = given.get("id") or f"call_{given['name']}_{len(calls)}"
        calls.append((given["name"], id))
        return call(id, given["name"], given.get("args"))
    given = one.get("functionResponse") or one.get("function_response")
    if given:
        id = given.get("id") or next((id for name, id in calls if name == given["name"]), "")
        # Answered: the next result of that name is the next call's. Kept, so that numbers stay apart.
        calls[:] = [("" if called == id else name, called) for name, called in calls]
        return _result(given, id)
    given = one.get("inlineData") or one.get("inline_data")
    if given:
        kind = given.get("mimeType") or given.get("mime_type") or ""
        return media(_KINDS.get(kind.partition("/")[0], "other"), data=given["data"], type=kind)
    given = one.get("fileData") or one.get("file_data")
    if given:
        kind = given.get("mimeType") or given.get("mime_type") or ""
        uri = given.get("fileUri") or given.get("file_uri")
        return media(_KINDS.get(kind.partition("/")[0], "other"), url=uri, type=kind)
    return {"other": one}


def _result(given: dict[str, Any], id: str) -> Part:
    """`output` and `error` alone are what they hold; any other object is the output itself."""
    response = given["response"]
    error = response.keys() == {"error"}
    alone = error or response.keys() == {"output"}
    value = next(iter(response.values())) if alone else response
    words = value if isinstance(value, str) else compact(json.dumps(value))
    inner = [_unsigned(part, []) for part in given.get("parts") or []]
    return {**result(id, [text(words), *inner], error=error), "of": given["name"]}


def _tools(body: Document, meaning: Meaning) -> None:
    for position, one in enumerate(body.take("tools") or []):
        given = Document(one)
        for function in given.take("functionDeclarations", "function_declarations") or []:
            meaning.tools.append(_function(Document(function), meaning, position))
        search = given.take("googleSearch", "google_search")
        if search is not None:
            meaning.search = {"size": "", "place": {}, **search}
        meaning.other |= given.rest(f"tools[{position}].")
        if not one.keys() & _KNOWN_TOOLS:  # `fileSearch: {}` says something by being there
            meaning.other[f"tools[{position}]"] = one
    config = Document(body.take("toolConfig", "tool_config") or {})
    calling = config.take("functionCallingConfig", "function_calling_config") or {}
    mode = calling.get("mode", "AUTO")
    names = calling.get("allowedFunctionNames") or calling.get("allowed_function_names") or []
    if mode == "ANY" and len(names) == 1:
        meaning.choice = {"mode": "named", "names": names}
    elif mode in ("ANY", "NONE"):
        meaning.choice = {"mode": {"ANY": "required", "NONE": "none"}[mode], "names": []}
    elif mode != "AUTO":
        meaning.other["toolConfig.mode"] = mode
    if names and len(names) != 1:
        # Any of some: the others need not be told at all.
        meaning.tools = [one for one in meaning.tools if one["name"] in names]
    meaning.other |= config.rest("toolConfig.")


def _function(given: Document, meaning: Meaning, position: int) -> dict[str, Any]:
    schema = given.take("parametersJsonSchema", "parameters_json_schema", "parameters")
    found = tool(given.take("name"), given.take("description"), json_schema(schema), None)
    meaning.other |= given.rest(f"tools[{position}].")
    return found


def json_schema(schema: Any) -> Any:
    """Gemini's own schemas (OpenAPI's, types in capitals) as JSON Schema."""
    if isinstance(schema, list):
        return [json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.lower() if name == "type" and isinstance(value, str) else json_schema(value)
        for name, value in schema.items()
        if not (name == "nullable" and value is False)
    }


def _config(config: Document, meaning: Meaning) -> None:
    for name, spellings in _SETTINGS.items():
        value = config.take(*spellings)
        if value not in (None, []) and (name, value) != ("n", 1):
            meaning.settings[name] = value
    modalities = config.take("responseModalities", "response_modalities")
    if modalities not in (None, ["TEXT"]):
        meaning.other["responseModalities"] = modalities
    kind = config.take("responseMimeType", "response_mime_type")
    schema = config.take("responseJsonSchema", "response_json_schema", "responseSchema", "response_schema")
    if schema is not None or kind == "application/json":
        meaning.output = {"schema": json_schema(schema)}
    given = config.take("thinkingConfig", "thinking_config") or {}
    level = (given.get("thinkingLevel") or given.get("thinking_level") or "").lower()
    budget = given.get("thinkingBudget", given.get("thinking_budget"))
    found = {"effort": level, "budget": budget}
    shown = given.get("includeThoughts", given.get("include_thoughts"))
    meaning.reasoning = {name: value for name, value in found.items() if value}
    if shown is not None:
        meaning.reasoning["shown"] = shown
    if budget == 0:
        meaning.reasoning = {"off": True}
    meaning.other |= config.rest("generationConfig.")
