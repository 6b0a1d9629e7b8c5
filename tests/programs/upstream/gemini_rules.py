"""What Gemini's generateContent refuses, as far as a translated request can get it wrong.

Sources: the API reference of models.generateContent and of Schema, the pages on function calling and on
thought signatures, and the 400s of the real API for unknown names, for turns out of order and for schemas
it cannot read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.programs.upstream.rules import (
    a_list,
    a_name,
    an_object,
    need,
    no_twins,
    one_of,
    only,
    words,
)

FIELDS = (
    "contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent model labels"
)
GENERATION_FIELDS = words(
    """
    stopSequences responseMimeType responseSchema responseJsonSchema responseModalities candidateCount
    maxOutputTokens temperature topP topK seed presencePenalty frequencyPenalty responseLogprobs
    logprobs speechConfig thinkingConfig imageConfig mediaResolution
    """
)
DATA = words(
    """
    text inlineData inline_data fileData file_data functionCall functionResponse executableCode
    codeExecutionResult toolCall toolResponse
    """
)
PART_FIELDS = [*DATA, "thought", "thoughtSignature", "partMetadata", "mediaResolution", "videoMetadata"]
SCHEMA_FIELDS = words(
    """
    type format title description nullable enum maxItems minItems properties required minProperties
    maxProperties minLength maxLength pattern example anyOf propertyOrdering default items minimum
    maximum
    """
)
DECLARATION_FIELDS = words(
    """
    name description behavior parameters parametersJsonSchema parameters_json_schema response
    responseJsonSchema
    """
)
TOOL_NAME = r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}"
TYPES = ["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"]
# For a history that another model wrote (page on thought signatures); as it is, or in base64, as bytes are.
DUMMY_SIGNATURES = ("skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=")


def check(headers: Mapping[str, str], document: dict[str, Any], signature: str | None = None) -> None:
    """`signature`: the only one that a part may have, besides the documented dummies (None: any)."""
    need(headers.get("x-goog-api-key"), "x-goog-api-key: is missing")
    only(document, FIELDS.split(), "body")
    contents = a_list(document.get("contents"), "contents")
    for index, content in enumerate(contents):
        _check_content(content, f"contents[{index}]", signature)
    need(contents[0].get("role", "user") == "user", "contents[0]: must be the user's")
    _check_turns(contents)
    if (system := document.get("systemInstruction")) is not None:
        for index, part in enumerate(a_list(system.get("parts"), "systemInstruction.parts")):
            need(part.get("text"), f"systemInstruction.parts[{index}]: must have text")
    _check_tools(document)
    _check_generation(document.get("generationConfig", {}))


def check_signed(document: dict[str, Any]) -> None:
    """Gemini 3: the first call of every step since the user last spoke carries its signature."""
    contents = document["contents"]
    spoken = [i for i, c in enumerate(contents) if c.get("role", "user") == "user" and not responses(c)]
    for index in range(spoken[-1] if spoken else 0, len(contents)):
        calls = [part for part in contents[index]["parts"] if "functionCall" in part]
        need(
            not calls or calls[0].get("thoughtSignature"),
            f"contents[{index}]: function call is missing a thought_signature in functionCall parts",
        )


def calls(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [part["functionCall"] for part in content["parts"] if "functionCall" in part]


def responses(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]


def _check_content(content: object, where: str, signature: str | None) -> None:
    document = an_object(content, where)
    only(document, ["role", "parts"], where)
    one_of(document.get("role", "user"), ["user", "model", "function"], f"{where}.role")
    for index, part in enumerate(a_list(document.get("parts"), f"{where}.parts")):
        here = f"{where}.parts[{index}]"
        only(an_object(part, here), PART_FIELDS, here)
        need(len(set(DATA) & set(part)) <= 1, f"{here}: more than one kind of data in {sorted(part)}")
        need(set(DATA) & set(part) or "thoughtSignature" in part, f"{here}: must have one initialized field")
        given = part.get("thoughtSignature")
        need(
            given in (None, *DUMMY_SIGNATURES) or signature in (None, given),
            f"{here}: thought signature invalid",
        )
        if (call := part.get("functionCall")) is not None:
            only(call, ["id", "name", "args"], f"{here}.functionCall")
            a_name(call.get("name"), f"{here}.functionCall.name", TOOL_NAME)
            an_object(call.get("args", {}), f"{here}.functionCall.args")
        if (response := part.get("functionResponse")) is not None:
            only(response, ["id", "name", "response", "parts", "willContinue", "scheduling"], here)
            a_name(response.get("name"), f"{here}.functionResponse.name", TOOL_NAME)
            an_object(response.get("response"), f"{here}.functionResponse.response")


def _check_turns(contents: list[dict[str, Any]]) -> None:
    """Responses come directly after the calls they answer: as many, of the same names and ids."""
    asked: list[dict[str, Any]] = []
    contents = _merged(contents)
    for index, content in enumerate(contents):
        where, given = f"contents[{index}]", responses(content)
        need(not calls(content) or content.get("role") == "model", f"{where}: functionCall from the user")
        need(
            len(given) == len(asked),
            f"{where}: the number of function response parts must equal the number of function call parts "
            f"of the function call turn: {len(given)}, {len(asked)}",
        )
        need(
            sorted(response["name"] for response in given) == sorted(call["name"] for call in asked),
            f"{where}: functionResponse for another function than was called",
        )
        ids = {call["id"] for call in asked if "id" in call}
        need(
            ids == {r["id"] for r in given if "id" in r} or not ids,
            f"{where}: functionResponse ids, not {ids}",
        )
        before = contents[index - 1].get("role", "user") if index else None
        need(
            not calls(content) or before in ("user", "function"),
            f"{where}: function call turn must come after a user turn or a function response turn",
        )
        asked = calls(content)
    need(not asked, "contents: the last function call has no response")


def _merged(contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of one role are one turn."""
    merged: list[dict[str, Any]] = []
    for content in contents:
        role = content.get("role", "user")
        if merged and merged[-1]["role"] == role:
            merged[-1]["parts"] = merged[-1]["parts"] + content["parts"]
        else:
            merged.append({"role": role, "parts": content["parts"]})
    return merged


def _check_tools(document: dict[str, Any]) -> None:
    tools = a_list(document.get("tools", []), "tools", empty=True)
    declared = [
        d for tool in tools for d in a_list(tool.get("functionDeclarations", []), "tools", empty=True)
    ]
    others = sorted({name for tool in tools for name in tool if name != "functionDeclarations"})
    config = an_object(document.get("toolConfig", {}), "toolConfig")
    only(
        config, ["functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations"], "toolConfig"
    )
    mixed = declared and others and not config.get("includeServerSideToolInvocations")
    need(not mixed, f"tools: {others} with function calling is unsupported")
    for index, declaration in enumerate(declared):
        where = f"tools.functionDeclarations[{index}]"
        only(an_object(declaration, where), DECLARATION_FIELDS, where)
        a_name(declaration.get("name"), f"{where}.name", TOOL_NAME)
        both = "parameters" in declaration and "parametersJsonSchema" in declaration
        need(not both, f"{where}: parameters and parametersJsonSchema are mutually exclusive")
        if (parameters := declaration.get("parameters")) is not None:
            _check_schema(parameters, f"{where}.parameters")
    no_twins([declaration["name"] for declaration in declared], "tools")
    if (mode := config.get("functionCallingConfig")) is not None:
        only(mode, ["mode", "allowedFunctionNames"], "toolConfig.functionCallingConfig")
        one_of(
            mode.get("mode"), ["AUTO", "ANY", "NONE", "VALIDATED"], "toolConfig.functionCallingConfig.mode"
        )
        named = mode.get("allowedFunctionNames")
        need(not named or mode["mode"] in ("ANY", "VALIDATED"), "allowedFunctionNames: only with ANY")


def _check_schema(schema: object, where: str) -> None:
    """`parameters` is a subset of OpenAPI's schema; JSON Schema goes into parametersJsonSchema."""
    document = an_object(schema, where)
    only(document, SCHEMA_FIELDS, where)
    kind = str(document.get("type", "")).upper()
    need(kind in TYPES or (not kind and "anyOf" in document), f"{where}.type: {document.get('type')!r}")
    if "enum" in document:
        need(kind == "STRING", f"{where}.enum: only allowed for STRING type")
        need(all(document["enum"]), f"{where}.enum: cannot be empty")
    if kind == "STRING" and "format" in document:
        one_of(document["format"], ["enum", "date-time"], f"{where}.format")
    need(kind != "ARRAY" or "items" in document, f"{where}.items: missing field")
    properties = an_object(document.get("properties", {}), f"{where}.properties")
    for name in document.get("required", []):
        need(name in properties, f"{where}.required: property is not defined: {name}")
    for name, below in properties.items():
        _check_schema(below, f"{where}.properties[{name}]")
    for below in (*document.get("anyOf", []), *([document["items"]] if "items" in document else [])):
        _check_schema(below, where)


def _check_generation(config: object) -> None:
    document = an_object(config, "generationConfig")
    only(document, GENERATION_FIELDS, "generationConfig")
    need(len(document.get("stopSequences", [])) <= 5, "generationConfig.stopSequences: at most 5")
    both = "responseSchema" in document and "responseJsonSchema" in document
    need(not both, "generationConfig: responseSchema and responseJsonSchema are mutually exclusive")
    thinking = document.get("thinkingConfig", {})
    only(thinking, ["includeThoughts", "thinkingBudget", "thinkingLevel"], "generationConfig.thinkingConfig")
    both = "thinkingBudget" in thinking and "thinkingLevel" in thinking
    need(not both, "thinkingConfig: thinkingBudget and thinkingLevel cannot both be set")
