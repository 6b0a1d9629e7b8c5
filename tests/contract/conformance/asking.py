"""What a client of dialect X sends so that the gateway should ask the provider what was recorded.

Made with the product's own pure functions in reverse: the recorded dialect's request reader, then the
client dialect's request writer. What the writer would change because providers want it so (a forced tool
for a schema, a flattened image) is put right in `speaking`. Where the client's dialect has no words for it
the case is refused by design, with the reason; settings that change no form of the answer (a seed) are left
unsaid instead, and counted as refused alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from proxy.dialects.chat import request_reader as chat_reader
from proxy.dialects.messages import request_reader as messages_reader
from proxy.dialects.neutral.request import (
    Foreign,
    Media,
    ModelRequest,
    OutputFormat,
    Reasoning,
    Refusal,
    Setting,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Unsupported,
    WebSearch,
)
from proxy.dialects.neutral.request import Part as NeutralPart
from proxy.dialects.responses import request_reader as responses_reader
from proxy.errors import CallError
from tests.contract.conformance import meaning_gemini
from tests.contract.conformance.cases import Case, Dialect, asks_for_stream
from tests.contract.conformance.meaning import Meaning, Part
from tests.contract.conformance.speaking import speak

_READERS: dict[str, Callable[[dict[str, Any]], ModelRequest]] = {
    "chat": chat_reader.read_request,
    "responses": responses_reader.read_request,
    "messages": messages_reader.read_request,
}
# Settings that a dialect has no field for, and the feature of the recordings that asks for them.
UNSPOKEN: dict[Dialect, dict[str, str]] = {
    "chat": {},
    "responses": {
        "seed": "seed",
        "stop": "stop",
        "top_k": "",
        "frequency_penalty": "",
        "presence_penalty": "",
    },
    "messages": {
        "seed": "seed",
        "frequency_penalty": "",
        "presence_penalty": "",
        "logprobs": "logprobs",
        "top_logprobs": "logprobs",
        "service_tier": "service_tier",
        "verbosity": "",
    },
}
# Whose encrypted reasoning a Responses recording holds, where it is not OpenAI's.
_MAKERS = {"xai": "xai"}
# Where an answer is kept and how it is accounted for: the same word in both of OpenAI's dialects.
SHARED_BOOKKEEPING = ("store", "metadata", "prompt_cache_key", "safety_identifier")


@dataclass(frozen=True, slots=True)
class Asking:
    """`document` None: not expressible, for `reason`, or `broken` where the product's own reader or writer
    failed. `unsaid`: settings that were left out, `unsaid_features`: what of the recording shows them."""

    document: dict[str, Any] | None
    reason: str = ""
    broken: bool = False
    unsaid: frozenset[str] = field(default_factory=frozenset)
    unsaid_features: frozenset[str] = field(default_factory=frozenset)


def asking(case: Case) -> Asking:
    recorded = dict(case.recording.request_body or {})
    if case.passes_through:
        return Asking({**recorded, "model": case.route})
    try:
        return _translated(case, recorded)
    except (Unsupported, CallError) as refusal:
        return Asking(None, _reason(refusal))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return Asking(None, f"{type(error).__name__}: {error}", broken=True)


def _translated(case: Case, recorded: dict[str, Any]) -> Asking:
    """Raises Unsupported or CallError for what cannot be said."""
    request = _neutral(case, recorded)
    lacking = UNSPOKEN[case.client]
    unsaid = frozenset(request.settings.keys() & lacking.keys())
    for name in unsaid:
        del request.settings[name]
    features = {lacking[name] for name in unsaid} | _unspoken(request, case.client)
    document = speak(request, case.client)
    document["model"] = case.route
    if case.client != "messages":
        shared = {name: recorded[name] for name in SHARED_BOOKKEEPING if recorded.get(name) is not None}
        document |= {name: value for name, value in shared.items() if case.native != "gemini"}
    features |= {name for name in SHARED_BOOKKEEPING if recorded.get(name) is not None} - document.keys()
    if case.client == "chat" and case.recording.is_stream and not case.quiet:
        document["stream_options"] = {"include_usage": True}
    return Asking(document, unsaid=unsaid, unsaid_features=frozenset(features))


def _unspoken(request: ModelRequest, client: Dialect) -> set[str]:
    """Features that the rest of a request can do without: marks for the cache, a result's `is_error`, and
    betas, which are words of Anthropic's alone."""
    found = {"anthropic_beta"}
    parts = [part for turn in request.turns for part in turn.parts]
    marked = any(getattr(one, "cache", None) for one in [*parts, *request.tools])
    if client == "responses" and marked:
        found.add("cache_control")
    if client != "messages" and any(isinstance(part, ToolResult) and part.is_error for part in parts):
        found.add("tool_result_error")
    return found


def _reason(refusal: Unsupported | CallError) -> str:
    """Without positions, so that equal reasons count together."""
    words = str(refusal) if isinstance(refusal, Unsupported) else refusal.message
    return re.sub(r"\[\d+\]", "[]", words).replace(" at the client", "")


def _neutral(case: Case, recorded: dict[str, Any]) -> ModelRequest:
    if case.native == "gemini":
        meant = meaning_gemini.read(recorded, stream=asks_for_stream(case.recording))
        return request_of(meant)
    request = _READERS[case.native](recorded)
    if case.native == "responses" and case.recording.provider in _MAKERS:
        thoughts = [part for turn in request.turns for part in turn.parts if isinstance(part, Thinking)]
        for thought in thoughts:
            thought.origin = _MAKERS[case.recording.provider] if thought.data else ""
    return request


def request_of(meant: Meaning) -> ModelRequest:
    """Gemini's own request as a neutral one. Raises Unsupported for what no other dialect knows."""
    for path in meant.other:
        if not path.startswith(("toolConfig.",)):  # how calls are checked and shown, not which are wanted
            raise Unsupported(path, "has no counterpart")
    request = ModelRequest(stream=meant.stream)
    for role, parts in meant.turns:
        request.turns.append(Turn("contents[]", role, _parts(parts)))  # type: ignore[arg-type]
    for one in meant.tools:
        request.tools.append(Tool("tools[]", one["name"], one["description"], one["schema"] or None))
    if meant.search is not None:
        request.search = WebSearch("tools[]")
    if meant.choice is not None:
        request.tool_choice = ToolChoice("toolConfig", meant.choice["mode"], meant.choice["names"])
    if meant.output is not None:
        request.output = OutputFormat("generationConfig", meant.output["schema"])
    for name, value in meant.settings.items():
        # Gemini's top_k is a float; the others' is whole.
        value = int(value) if name == "top_k" and float(value).is_integer() else value
        request.settings[name] = Setting(f"generationConfig.{name}", value)
    thought = meant.reasoning
    if thought:
        request.reasoning = Reasoning(
            "generationConfig.thinkingConfig",
            thought.get("effort", ""),
            thought.get("budget"),
            off="off" in thought,
            show=thought.get("shown"),
            adaptive="effort" not in thought and "budget" not in thought,
        )
    return request


def _parts(parts: list[Part]) -> list[NeutralPart]:
    found: list[NeutralPart] = []
    for part in parts:
        if "signature" not in part:
            found.append(_part(part))
        elif "thinking" in part:
            found.append(Thinking("contents[]", part["thinking"], part["signature"], "gemini"))
        else:
            found += [Thinking("contents[]", data=part["signature"], origin="gemini"), _part(part)]
    return found


def _part(part: Part) -> NeutralPart:
    at = "contents[].parts[]"
    if "text" in part:
        return Text(at, part["text"])
    if "refusal" in part:
        return Refusal(at, part["refusal"])
    if "thinking" in part:
        return Thinking(at, part["thinking"])
    if "call" in part:
        return ToolCall(at, part["call"], part["name"], json.dumps(part["arguments"]))
    if "result" in part:
        inner = [one for one in map(_part, part["parts"]) if isinstance(one, (Text, Media))]
        return ToolResult(at, part["result"], inner, part["error"])
    if "media" in part and part["media"] != "other":
        more = {"url": part.get("url", ""), "data": part.get("data", "")}
        return Media(at, part["media"], media_type=part.get("type", ""), **more)
    return Foreign(at, f"of type {part.get('type') or sorted(part.get('other', ()))} has no counterpart")
