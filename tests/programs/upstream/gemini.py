"""Gemini's generateContent, played: its paths, its function responses, its answers whole and streamed.

Two generations behind one address, told apart by the model in the path: before Gemini 3 calls have no id
and a signature is welcome; from then on calls have ids and their signatures are required back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.programs.upstream import gemini_rules
from tests.programs.upstream.rules import Refused, need
from tests.programs.upstream.script import SIGNATURE, Turn, Usage, pieces
from tests.programs.upstream.server import event

PATH = re.compile(r"/v1beta/models/([a-z0-9.-]+):(generateContent|streamGenerateContent\?alt=sse)")


class Gemini:
    name = "gemini"

    def base_url(self, url: str) -> str:
        return url

    def check(self, path: str, headers: Mapping[str, str], document: dict[str, Any]) -> None:
        need(PATH.fullmatch(path), f"no such path: {path}")
        gemini_rules.check(headers, document, SIGNATURE)
        if _has_ids(path):
            gemini_rules.check_signed(document)

    def tools(self, document: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
        declared = [
            found for tool in document.get("tools", []) for found in tool.get("functionDeclarations", [])
        ]
        return {
            found["name"]: found.get("parameters") or found.get("parametersJsonSchema") for found in declared
        }

    def results(self, document: dict[str, Any]) -> dict[str, str]:
        """By name where calls have no id."""
        found = [given for content in document["contents"] for given in gemini_rules.responses(content)]
        return {given.get("id", given["name"]): _text(given["response"]) for given in found}

    def streamed(self, path: str, document: dict[str, Any]) -> bool:
        return "stream" in path

    def whole(self, turn: Turn, path: str, document: dict[str, Any]) -> dict[str, Any]:
        parts = [part for part, _ in _parts(turn, path, document, 1)]
        return _answer(path, parts, turn.usage, finished=True)

    def events(self, turn: Turn, path: str, document: dict[str, Any]) -> Iterator[bytes]:
        """The last event has a part and the finish; usage so far is in each."""
        for part, last in _parts(turn, path, document, 3):
            yield event(_answer(path, [part], turn.usage, finished=last), ending="\r\n")

    def refusal(self, message: str) -> dict[str, Any]:
        return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}


def model_of(path: str) -> str:
    found = PATH.fullmatch(path)
    if found is None:
        raise Refused(f"no such path: {path}")
    return found[1]


def _has_ids(path: str) -> bool:
    return model_of(path).startswith("gemini-3")


def _parts(
    turn: Turn, path: str, document: dict[str, Any], count: int
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Each part, and whether it is the last."""
    parts: list[dict[str, Any]] = []
    thinking = document.get("generationConfig", {}).get("thinkingConfig", {})
    if turn.thought and thinking.get("includeThoughts"):
        parts.append({"text": turn.thought, "thought": True})
    parts += [{"text": piece} for piece in pieces(turn.text, count)]
    if turn.call is not None:
        call: dict[str, Any] = {"name": turn.call.name, "args": turn.call.arguments}
        if _has_ids(path):
            call["id"] = turn.call.id
        parts.append({"functionCall": call, "thoughtSignature": turn.signature})
    for index, part in enumerate(parts):
        yield part, index == len(parts) - 1


def _answer(path: str, parts: list[dict[str, Any]], usage: Usage, *, finished: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    counts = {"promptTokenCount": usage.input, "totalTokenCount": usage.input}
    if finished:
        candidate["finishReason"] = "STOP"
        counts = {
            "promptTokenCount": usage.input,
            "cachedContentTokenCount": usage.cached,
            "candidatesTokenCount": usage.output - usage.reasoning,
            "thoughtsTokenCount": usage.reasoning,
            "totalTokenCount": usage.input + usage.output,
        }
    version = {"modelVersion": model_of(path), "responseId": "scripted"}
    return {"candidates": [candidate], "usageMetadata": counts, **version}


def _text(response: dict[str, Any]) -> str:
    return "".join(str(value) for value in response.values())
