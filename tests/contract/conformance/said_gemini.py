"""A generateContent answer, whole or as the chunks of a stream (both have one form).

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse. Calls of the older models have no
ids, which is as if any would do.
"""

from __future__ import annotations

from typing import Any

from tests.contract.conformance.said import Said

_BLOCKED = (
    *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
    *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
)
_METADATA = ("citationMetadata", "urlContextMetadata")
_MALFORMED = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE")


def read(documents: list[dict[str, Any]]) -> Said:
    said = Said()
    for document in documents:
        said.id = said.id or document.get("responseId") or ""
        said.model = said.model or document.get("modelVersion") or ""
        said.error = said.error or document.get("error")
        for candidate in (document.get("candidates") or [])[:1]:
            for part in (candidate.get("content") or {}).get("parts") or []:
                _part(part, said)
            _grounding(candidate.get("groundingMetadata") or {}, said)
            said.foreign += [candidate[name] for name in _METADATA if candidate.get(name)]
            said.native = candidate.get("finishReason") or said.native
        blocked = (document.get("promptFeedback") or {}).get("blockReason")
        if blocked:
            said.native, said.finish = blocked, "content_filter"
    if not said.finish:
        said.finish = _finish(said)
    return said


def _finish(said: Said) -> str:
    if said.native in ("MAX_TOKENS", "CONTINUATION"):
        return "length"
    if said.native in _BLOCKED:
        return "content_filter"
    if said.native in _MALFORMED:
        return "malformed"
    return "tool_calls" if said.calls else "stop"


def _part(part: dict[str, Any], said: Said) -> None:
    if part.get("thoughtSignature"):
        said.seals.append(part["thoughtSignature"])
    if part.get("thought"):
        said.think(part.get("text") or "")
    elif "text" in part:
        said.say(part["text"])
    elif "functionCall" in part:
        call = part["functionCall"]
        said.called(call.get("id") or "", call["name"], call.get("args"))
    else:
        said.foreign.append({name: value for name, value in part.items() if name != "thoughtSignature"})


def _grounding(grounding: dict[str, Any], said: Said) -> None:
    """Each support names the pages that it rests on; the whole of it is nobody else's."""
    pages = [chunk.get("web") or {} for chunk in grounding.get("groundingChunks") or []]
    for support in grounding.get("groundingSupports") or []:
        for number in support.get("groundingChunkIndices") or []:
            if number < len(pages) and pages[number].get("uri"):
                said.urls.append(pages[number]["uri"])
    if grounding:
        said.foreign.append(grounding)
