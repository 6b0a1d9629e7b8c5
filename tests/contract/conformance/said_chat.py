"""A chat completions answer: OpenAI's, and what Groq, Cerebras, Mistral, xAI, OpenRouter and Google add.

https://platform.openai.com/docs/api-reference/chat/object, https://docs.mistral.ai/capabilities/reasoning,
https://openrouter.ai/docs/use-cases/reasoning-tokens. The first choice counts: several cannot be translated.
"""

from __future__ import annotations

from typing import Any

from tests.contract.conformance.said import Said

_FINISH = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# Read below, or saying nothing of what was answered.
_READ = frozenset(
    {
        *("role", "content", "refusal", "reasoning", "reasoning_content", "reasoning_details", "tool_calls"),
        *("function_call", "annotations", "extra_content", "provider_content"),
        # Groq's word for reasoning or answer; Google's signature once more; OpenAI's padding.
        *("channel", "thought_signature", "obfuscation", "prefix"),
    }
)


def read(documents: list[dict[str, Any]]) -> Said:
    """One whole answer, or the chunks of a stream."""
    said, reader = Said(), _Reader()
    for document in documents:
        said.id = said.id or document.get("id") or ""
        said.model = said.model or document.get("model") or ""
        said.error = said.error or document.get("error")
        for choice in document.get("choices") or []:
            if choice.get("index"):
                continue
            said.error = said.error or choice.get("error")
            reader.message(choice.get("message") or choice.get("delta") or {}, said)
            said.logprobs += [(entry["token"], entry["logprob"]) for entry in _logprobs(choice)]
            if choice.get("finish_reason"):
                said.native = choice["finish_reason"]
                said.stop_sequence = choice.get("stop_sequence") or ""
    # Where reasoning comes as text and as details, both are the same words.
    said.thinking = reader.readable or reader.detailed
    for call in reader.calls:
        said.called(call["id"], call["name"], call["arguments"])
    said.finish = _FINISH.get(said.native, "stop")
    if said.finish == "stop" and said.calls:
        said.finish = "tool_calls"  # a forced call ends with `stop` at OpenAI
    elif said.finish == "stop" and said.refusal:
        said.finish = "refusal"
    return said


class _Reader:
    def __init__(self) -> None:
        self.readable, self.detailed = "", ""
        self.calls: list[dict[str, Any]] = []
        self._by_index: dict[int, dict[str, Any]] = {}

    def message(self, message: dict[str, Any], said: Said) -> None:
        details = message.get("reasoning_details") or []
        self.readable += message.get("reasoning_content") or message.get("reasoning") or ""
        self.detailed += "".join(one.get("text") or one.get("summary") or "" for one in details)
        said.seals += [seal for one in details if (seal := one.get("signature") or one.get("data"))]
        said.seals += _google(message)
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            self._part(part, said)
        said.say(content if isinstance(content, str) else "")
        said.refuse(message.get("refusal") or "")
        for annotation in message.get("annotations") or []:
            if "url_citation" in annotation:
                said.urls.append(annotation["url_citation"]["url"])
            else:
                said.foreign.append(annotation)
        for position, call in enumerate(message.get("tool_calls") or []):
            said.seals += _google(call)
            self._call(call, position)
        legacy = message.get("function_call")
        if legacy:
            self._call({"index": 0, "function": legacy}, 0)
        said.foreign += [value for name, value in message.items() if name not in _READ and value]

    def _part(self, part: dict[str, Any], said: Said) -> None:
        """Mistral's content as a list."""
        if part["type"] == "text":
            said.say(part["text"])
        elif part["type"] == "thinking":
            self.readable += "".join(piece.get("text") or "" for piece in part["thinking"])
        else:
            said.foreign.append(part)

    def _call(self, call: dict[str, Any], position: int) -> None:
        index = call.get("index")
        index = position if index is None else index
        function = call.get("function") or {}
        if index not in self._by_index:
            begun = {"id": call.get("id") or "", "name": function.get("name") or "", "arguments": ""}
            self._by_index[index] = begun
            self.calls.append(begun)
        known, more = self._by_index[index], function.get("arguments") or ""
        known["arguments"] = more if isinstance(more, dict) else known["arguments"] + more


def _google(holder: dict[str, Any]) -> list[str]:
    signature = ((holder.get("extra_content") or {}).get("google") or {}).get("thought_signature")
    return [signature] if signature else []


def _logprobs(choice: dict[str, Any]) -> list[dict[str, Any]]:
    """By token; one host of OpenRouter's sends a lone number."""
    given = choice.get("logprobs")
    return (given.get("content") or []) if isinstance(given, dict) else []
