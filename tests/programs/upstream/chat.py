"""OpenAI's chat completions, played: its path, its tool messages, its answers whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.programs.upstream import chat_rules
from tests.programs.upstream.rules import need
from tests.programs.upstream.script import Call, Turn, Usage, pieces
from tests.programs.upstream.server import event


class Chat:
    name = "chat"

    def base_url(self, url: str) -> str:
        return f"{url}/v1"

    def check(self, path: str, headers: Mapping[str, str], document: dict[str, Any]) -> None:
        need(path == "/v1/chat/completions", f"no such path: {path}")
        chat_rules.check(headers, document)

    def tools(self, document: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
        definitions = [tool[tool["type"]] for tool in document.get("tools") or ()]
        return {definition["name"]: definition.get("parameters") for definition in definitions}

    def results(self, document: dict[str, Any]) -> dict[str, str]:
        messages = [message for message in document["messages"] if message["role"] == "tool"]
        return {message["tool_call_id"]: _text(message["content"]) for message in messages}

    def streamed(self, path: str, document: dict[str, Any]) -> bool:
        return bool(document.get("stream"))

    def whole(self, turn: Turn, path: str, document: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": turn.text, "refusal": None}
        if turn.call is not None:
            message["tool_calls"] = [_call(turn.call)]
        choice = {"index": 0, "message": message, "finish_reason": _finish(turn), "logprobs": None}
        return _answer(document, "chat.completion", [choice], usage=_counts(turn.usage))

    def events(self, turn: Turn, path: str, document: dict[str, Any]) -> Iterator[bytes]:
        counted = bool((document.get("stream_options") or {}).get("include_usage"))

        def chunk(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
            more = {"usage": usage} if counted else {}
            return event(_answer(document, "chat.completion.chunk", choices, **more))

        for delta in _deltas(turn):
            yield chunk([_choice(delta)])
        yield chunk([_choice({}, _finish(turn))])
        if counted:
            yield chunk([], _counts(turn.usage))
        yield b"data: [DONE]\n\n"

    def refusal(self, message: str) -> dict[str, Any]:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        return {"error": error}


def _deltas(turn: Turn) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": "", "refusal": None}
    for piece in pieces(turn.text):
        yield {"content": piece}
    if turn.call is not None:
        call = _call(turn.call)
        kind = call["type"]
        field, text = list(call[kind].items())[-1]
        yield {"tool_calls": [{"index": 0, **call, kind: {"name": turn.call.name, field: ""}}]}
        for piece in pieces(text):
            yield {"tool_calls": [{"index": 0, kind: {field: piece}}]}


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _call(call: Call) -> dict[str, Any]:
    if isinstance(call.arguments, str):
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _answer(
    document: dict[str, Any], kind: str, choices: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    head = {"id": "chatcmpl-scripted", "object": kind, "created": 1700000000, "model": document["model"]}
    return {**head, "system_fingerprint": "fp_scripted", "choices": choices, **more}


def _counts(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0},
    }


def _finish(turn: Turn) -> str:
    return "stop" if turn.call is None else "tool_calls"


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    assert isinstance(content, list)
    return "".join(str(part.get("text", "")) for part in content)
