"""A Gemini answer, whole or as events (both have one form), told to a sink.

A thought signature belongs to the part that carries it; it is told before that part.
https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse,
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

from typing import Any

import orjson

from proxy.dialects.failures import failure_in_answer
from proxy.dialects.gemini.usage import tokens_of
from proxy.dialects.neutral.reader import ReaderState
from proxy.dialects.neutral.sink import FinishReason, Sink

# https://ai.google.dev/api/generate-content#FinishReason
FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
# It gave up. With nothing said, that is no answer: another target may have one.
_GAVE_UP = frozenset(
    {
        *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"),
        *("MISSING_THOUGHT_SIGNATURE", "OTHER", "IMAGE_OTHER", "NO_IMAGE", "ESCALATION"),
    }
)


class GeminiReader(ReaderState):
    __slots__ = ("_calls", "_id", "_said")

    def __init__(self, sink: Sink, seed: str = "") -> None:
        super().__init__(sink, seed)
        self._calls = 0
        self._id = ""
        # Length of the text so far, for citations that point into it by bytes.
        self._said = ""

    def read(self, document: dict[str, Any]) -> None:
        error = document.get("error")
        if error:
            self.error = failure_in_answer(error)
            return
        usage = document.get("usageMetadata")
        if isinstance(usage, dict):
            self.usage = usage
            tier = usage.get("serviceTier")
            self.service_tier = tier.lower() if isinstance(tier, str) else self.service_tier
            self.sink.usage(tokens_of(usage)[0], tier=self.service_tier)
        if not self.begun:
            self.begun = True
            self._id = str(document.get("responseId") or "")
            self.sink.begin(self._id, str(document.get("modelVersion") or ""))
        candidates = document.get("candidates")
        first = candidates[0] if isinstance(candidates, list) and candidates else None
        if isinstance(first, dict):
            self._candidate(first)
        elif isinstance(document.get("promptFeedback"), dict):
            self._blocked(document["promptFeedback"])

    def read_whole(self, document: dict[str, Any]) -> None:
        self.read(document)
        if self.error is None:
            self.finish_at_end()

    def _candidate(self, candidate: dict[str, Any]) -> None:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._part(part)
        for name in ("citationMetadata", "urlContextMetadata", "safetyRatings"):
            if candidate.get(name):
                self.sink.foreign({name: candidate[name]})
        grounding = candidate.get("groundingMetadata")
        if isinstance(grounding, dict):
            self._grounding(grounding)
        logprobs = candidate.get("logprobsResult")
        if isinstance(logprobs, dict):
            self._logprobs(logprobs)
        native = candidate.get("finishReason")
        if isinstance(native, str) and native != "FINISH_REASON_UNSPECIFIED":
            if native in _GAVE_UP and not self.started:
                said = str(candidate.get("finishMessage") or "the model gave no answer")
                self.error = failure_in_answer({"message": f"{native}: {said}", "code": native})
                return
            self._finish(native)

    def _part(self, part: dict[str, Any]) -> None:
        sink = self.sink
        signature = part.get("thoughtSignature")
        text = part.get("text")
        if part.get("thought") and isinstance(text, str):
            self.started = True
            if text:
                sink.thinking(text)
            if signature:
                sink.seal(str(signature), "gemini")
            return
        call = part.get("functionCall")
        if signature:
            self.started = True
            id = self._call_id(call) if isinstance(call, dict) else ""
            sink.seal(str(signature), "gemini", id=id)
        if isinstance(call, dict):
            self._call(call)
        elif isinstance(text, str):
            if text:
                self.started = True
                self._said += text
                sink.text(text)
        else:
            more = {name: value for name, value in part.items() if name != "thoughtSignature"}
            if more:
                self.started = True
                sink.foreign(more)

    def _call(self, call: dict[str, Any]) -> None:
        self.started = True
        index, id = self._calls, self._call_id(call)
        self._calls += 1
        self.sink.call(index, id, str(call.get("name") or ""))
        self.sink.arguments(index, orjson.dumps(call.get("args") or {}).decode())

    def _call_id(self, call: dict[str, Any]) -> str:
        """Of the next call. Older models give none."""
        return str(call.get("id") or self.made_id(self._calls))

    def _finish(self, native: str) -> None:
        self.started = self.finished = True
        reason = "malformed" if native in _GAVE_UP else FINISH.get(native, "stop")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        self.sink.finish(reason, native=native)

    def _blocked(self, feedback: dict[str, Any]) -> None:
        """The prompt was refused: there is no candidate at all."""
        native = feedback.get("blockReason")
        if isinstance(native, str):
            self.sink.foreign({"promptFeedback": feedback})
            self.started = self.finished = True
            self.sink.finish("content_filter", native=native)

    def _grounding(self, grounding: dict[str, Any]) -> None:
        """https://ai.google.dev/gemini-api/docs/google-search: segments point into the text by bytes."""
        chunks = grounding.get("groundingChunks")
        supports = grounding.get("groundingSupports")
        webs = (
            [c.get("web") if isinstance(c, dict) else None for c in chunks]
            if isinstance(chunks, list)
            else []
        )
        said = self._said.encode("utf-8", "surrogatepass")
        for support in supports if isinstance(supports, list) else ():
            if not isinstance(support, dict):
                continue
            segment = support.get("segment")
            segment = segment if isinstance(segment, dict) else {}
            for number in support.get("groundingChunkIndices") or ():
                web = webs[number] if isinstance(number, int) and 0 <= number < len(webs) else None
                if isinstance(web, dict):
                    self.sink.citation(
                        {
                            "kind": "url",
                            "url": web.get("uri") or "",
                            "title": web.get("title") or "",
                            "start": _character(said, segment.get("startIndex")),
                            "end": _character(said, segment.get("endIndex")),
                            "cited_text": segment.get("text") or "",
                        }
                    )
        self.sink.foreign({"groundingMetadata": grounding})

    def _logprobs(self, result: dict[str, Any]) -> None:
        chosen = result.get("chosenCandidates")
        tops = result.get("topCandidates")
        entries = []
        for index, one in enumerate(chosen if isinstance(chosen, list) else ()):
            if not isinstance(one, dict):
                continue
            top = tops[index] if isinstance(tops, list) and index < len(tops) else None
            others = top.get("candidates") if isinstance(top, dict) else None
            listed = others if isinstance(others, list) else ()
            entries.append(
                {**_logprob(one), "top_logprobs": [_logprob(t) for t in listed if isinstance(t, dict)]}
            )
        if entries:
            self.sink.logprobs(entries)


def _character(said: bytes, offset: object) -> int:
    """Byte offset → character offset."""
    if not isinstance(offset, int) or offset <= 0:
        return 0
    return len(said[:offset].decode("utf-8", "ignore"))


def _logprob(one: dict[str, Any]) -> dict[str, Any]:
    token = str(one.get("token") or "")
    return {"token": token, "logprob": one.get("logProbability"), "bytes": list(token.encode())}
