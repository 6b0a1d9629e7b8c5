"""A neutral request in a client's dialect, as a client with everything at hand would say it.

The product's request writers write for providers: they flatten, force and leave out what a provider would
refuse. A client of the gateway need not; what they would change is put in place of their words afterwards.
Reasoning of another maker is replayed as the gateway hands it to clients of that dialect.
"""

from __future__ import annotations

import base64
import copy
import re
from dataclasses import replace
from typing import Any

from proxy.dialects.chat import request_writer as chat
from proxy.dialects.messages import request_writer as messages
from proxy.dialects.neutral.media import as_data_url
from proxy.dialects.neutral.reasoning import wrapped
from proxy.dialects.neutral.request import (
    Media,
    ModelRequest,
    Origin,
    Reasoning,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unsupported,
)
from proxy.dialects.responses import request_writer as responses
from proxy.providers.families import Claude
from proxy.providers.manners import ChatManners
from tests.contract.conformance.cases import Dialect

_EVERYTHING = ("max_tokens", "temperature", "top_p", "top_k", "stop", "seed", "frequency_penalty", "n")
_MORE = ("presence_penalty", "logit_bias", "logprobs", "top_logprobs", "user", "service_tier", "verbosity")
# A chat client that knows the additions of OpenRouter and Mistral, as the gateway reads them.
_CHAT = ChatManners(
    settings={name: name for name in (*_EVERYTHING, *_MORE)},
    developer=True,
    cache_control=True,
    documents="file or url",
    call_id=re.compile(r".*", re.DOTALL),
    reasoning_back="reasoning_details",
)
# A Messages client that lets the gateway worry about the model's generation.
_CLAUDE = Claude("none", (), 4_096, json_schema=True, system_turns=True, prefill=True)
_WHO = "the client"


def speak(request: ModelRequest, client: Dialect) -> dict[str, Any]:
    """Raises Unsupported where the dialect has no words for it."""
    request = copy.deepcopy(request)
    held = _Held()
    _own_thoughts(request, client)
    for turn in request.turns:
        for part in turn.parts:
            if isinstance(part, (ToolCall, ToolResult)):
                part.id = held.id(part.id)
            if isinstance(part, ToolResult):
                part.is_error = part.is_error and client == "messages"
                part.parts = [_in_result(one, client, held) for one in part.parts]
        if client == "chat":
            turn.parts = [_plain(part, held) if isinstance(part, Media) else part for part in turn.parts]
        elif client == "responses":
            turn.parts = [_filed(part) if isinstance(part, Media) else part for part in turn.parts]
    if any(tool.namespace or tool.custom for tool in request.tools):
        raise Unsupported("tools[]", "are in a namespace or take free text, which other dialects do not know")
    write = {"chat": _chat, "responses": _responses, "messages": _messages}[client]
    document: dict[str, Any] = held.back(write(request))
    return document


def _own_thoughts(request: ModelRequest, client: Dialect) -> None:
    """Each dialect has a field for its own maker's opaque reasoning; others' stands in it, marked."""
    natives: dict[str, Origin] = {"responses": "openai", "messages": "anthropic"}
    native = natives.get(client)
    if native is None:
        return
    for turn in request.turns:
        for part in turn.parts:
            if isinstance(part, Thinking) and part.origin != native:
                part.data = wrapped(
                    part.data, part.origin, native, redacted=part.redacted and part.origin != "", id=part.id
                )
                part.origin, part.redacted, part.id = native, False, ""


class _Held:
    """Parts that the writers would change, kept aside under words of their own."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, Any]] = {}
        # Ids that fit every dialect → the recorded ones, which a client sends back as it got them.
        self._ids: dict[str, str] = {}

    def id(self, id: str) -> str:
        known = next((ours for ours, theirs in self._ids.items() if theirs == id), "")
        found = known or f"callheld{len(self._ids)}"
        self._ids[found] = id
        return found

    def media(self, part: Media) -> Text:
        """As a chat client writes it, also inside a tool's result."""
        written: dict[str, Any] | None = None
        if part.kind == "image" and not part.file_id:
            image = {"url": part.url or as_data_url(part.media_type, part.data)}
            written = {"type": "image_url", "image_url": image}
        elif part.kind == "document" and not part.file_id and part.text is None and not part.citations:
            url = part.url or as_data_url(part.media_type, part.data)
            file = {"filename": part.name or "document.pdf", "file_data": url}
            written = {"type": "file", "file": file}
        if written is not None:
            return self.hold({**written, "cache_control": part.cache} if part.cache else written)
        raise Unsupported(part.at, "cannot be said in this form")

    def hold(self, part: dict[str, Any]) -> Text:
        words = f"held aside: {len(self._parts)}"
        self._parts[words] = part
        return Text("", words)

    def back(self, document: Any) -> Any:
        if isinstance(document, dict):
            if document.get("type") == "text" and document.get("text") in self._parts:
                return self._parts[document["text"]]
            found = {name: self.back(value) for name, value in document.items()}
            words = found.get("content")
            if isinstance(words, str) and words in self._parts:
                found["content"] = [self._parts[words]]
            return found
        if isinstance(document, list):
            return [self.back(one) for one in document]
        return self._ids.get(document, document) if isinstance(document, str) else document


def _in_result(part: Text | Media, client: Dialect, held: _Held) -> Text | Media:
    if isinstance(part, Text) or client == "messages":
        return part
    return _filed(part) if client == "responses" else held.media(_filed(part))


def _filed(part: Media) -> Media:
    """A document of plain text as a file of such."""
    if part.text is None or part.context:
        return part
    data = base64.b64encode(part.text.encode()).decode()
    return replace(part, data=data, media_type="text/plain", text=None)


def _plain(part: Media, held: _Held) -> Media | Text:
    """Documents of plain text, which the writer would make part of the message."""
    filed = _filed(part)
    own = filed.kind == "document" and filed.media_type.startswith("text/") and filed.data
    return held.media(filed) if own and not part.citations else part


def _chat(request: ModelRequest) -> dict[str, Any]:
    reasoning, request.reasoning = request.reasoning, None
    search, request.search = request.search, None
    if search is not None:
        if search.allowed_domains or search.blocked_domains or search.max_uses is not None:
            raise Unsupported(search.at, "limits a search of the web, for which chat has no words")
        if request.tools:
            raise Unsupported(search.at, "is a search beside functions, which chat does not know")
    document = chat.write_request(
        request, model="", provider=_WHO, manners=_CHAT, thinks=True, json_schema=True, left_out=[]
    )
    if search is not None:
        options: dict[str, Any] = {}
        if search.context_size:
            options["search_context_size"] = search.context_size
        if search.location:
            options["user_location"] = {"type": "approximate", "approximate": search.location}
        document["web_search_options"] = options
    if reasoning is not None:
        document |= _chat_reasoning(reasoning)
    return document


def _chat_reasoning(reasoning: Reasoning) -> dict[str, Any]:
    if reasoning.off:
        return {"reasoning_effort": "none"}
    if reasoning.effort and reasoning.show is None:
        return {"reasoning_effort": reasoning.effort}
    wanted: dict[str, Any] = {"effort": reasoning.effort} if reasoning.effort else {}
    if reasoning.budget is not None and not reasoning.effort:
        wanted["max_tokens"] = reasoning.budget
    if reasoning.show is not None:
        wanted["exclude"] = not reasoning.show
    return {"reasoning": wanted if wanted.keys() - {"exclude"} else {**wanted, "enabled": True}}


def _settings(request: ModelRequest, names: dict[str, str]) -> dict[str, Any]:
    """As the client means them: the writers raise or drop what a provider would refuse."""
    return {wire: request.value(name) for name, wire in names.items() if name in request.settings}


def _responses(request: ModelRequest) -> dict[str, Any]:
    reasoning, request.reasoning = request.reasoning, None
    document = responses.write_request(
        request, model="", provider=_WHO, maker="openai", thinks=True, json_schema=True, left_out=[]
    )
    del document["store"]
    document |= _settings(
        request, {"max_tokens": "max_output_tokens", "temperature": "temperature", "top_p": "top_p"}
    )
    if reasoning is None:
        return document
    wanted: dict[str, Any] = {}
    if reasoning.off:
        wanted["effort"] = "none"
    elif reasoning.effort or reasoning.budget is not None:
        wanted["effort"] = reasoning.effort or "medium"  # a budget has no words here
    if not reasoning.off and (reasoning.show or (reasoning.show is None and not wanted)):
        wanted["summary"] = "auto"
    if wanted:
        document["reasoning"] = wanted
    return document


def _messages(request: ModelRequest) -> dict[str, Any]:
    reasoning, request.reasoning = request.reasoning, None
    output, request.output = request.output, None
    if output is not None and output.schema is None:
        raise Unsupported(output.at, "is any JSON object, for which Messages have no words")
    marked_before = str(request).count("<system-reminder>")
    document = messages.write_request(
        request,
        model="",
        provider=_WHO,
        claude=_CLAUDE,
        max_output_tokens=0,
        json_schema=True,
        left_out=[],
    )
    if str(document).count("<system-reminder>") != marked_before:
        raise Unsupported("messages[]", "has a system message where Messages allow none")
    document |= _settings(request, {name: name for name in ("max_tokens", "temperature", "top_p", "top_k")})
    strict = {tool.wire_name for tool in request.tools if tool.strict}
    for tool in document.get("tools", ()):
        if tool["name"] in strict:
            tool["strict"] = True
    config: dict[str, Any] = {}
    if output is not None:
        config["format"] = {"type": "json_schema", "schema": output.schema}
    if reasoning is not None:
        if reasoning.off:
            document["thinking"] = {"type": "disabled"}
        elif reasoning.budget is not None and not reasoning.effort:
            document["thinking"] = {"type": "enabled", "budget_tokens": reasoning.budget}
        elif not reasoning.effort or reasoning.show is not None:
            document["thinking"] = {"type": "adaptive"}
        if reasoning.show is not None and "thinking" in document and not reasoning.off:
            document["thinking"]["display"] = "summarized" if reasoning.show else "omitted"
        if reasoning.effort and not reasoning.off:
            config["effort"] = reasoning.effort
    if config:
        document["output_config"] = config
    return document
