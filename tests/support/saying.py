"""What a model says, as values, and as the stream or document in which a provider of each dialect says it.

Written as the providers document them and the recordings show them: reasoning with what lets its maker
continue, text, parallel calls in pieces, usage at its place. `heartbeats` names the events before which a
comment stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Events = Iterator[dict[str, Any] | str]
SIGNATURE = "c2lnbmF0dXJl"


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    # JSON text, in the pieces in which it comes.
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> Any:
        return json.loads("".join(self.pieces) or "{}")


@dataclass(frozen=True)
class Said:
    reasoning: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    cut_short: bool = False
    input_tokens: int = 30
    cached_tokens: int = 10
    output_tokens: int = 20
    reasoning_tokens: int = 5


def chat_events(said: Said, reasoning_field: str = "reasoning_content") -> Events:
    def chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        front = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
        return {**front, "choices": [{"index": 0, "delta": delta, "finish_reason": None, **more}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in said.reasoning:
        yield chunk({reasoning_field: piece})
    for piece in said.text:
        yield chunk({"content": piece})
    for index, call in enumerate(said.calls):
        function = {"name": call.name, "arguments": ""}
        started = {"index": index, "id": call.id, "type": "function", "function": function}
        yield chunk({"tool_calls": [started]})
    # Pieces of parallel calls come in turns.
    for turn in range(max((len(call.pieces) for call in said.calls), default=0)):
        for index, call in enumerate(said.calls):
            if turn < len(call.pieces):
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": call.pieces[turn]}}]})
    yield chunk({}, finish_reason="length" if said.cut_short else "tool_calls" if said.calls else "stop")
    yield {**chunk({}), "choices": [], "usage": chat_usage(said)}
    yield "[DONE]"


def chat_usage(said: Said) -> dict[str, Any]:
    return {
        "prompt_tokens": said.input_tokens,
        "completion_tokens": said.output_tokens,
        "total_tokens": said.input_tokens + said.output_tokens,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
    }


def chat_whole(said: Said, reasoning_field: str = "reasoning_content") -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(said.text) or None, "refusal": None}
    if said.reasoning:
        message[reasoning_field] = "".join(said.reasoning)
    if said.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.pieces)},
            }
            for call in said.calls
        ]
    reason = "length" if said.cut_short else "tool_calls" if said.calls else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    front = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt"}
    return {**front, "choices": [choice], "usage": chat_usage(said)}


def messages_events(said: Said) -> Events:
    usage = messages_usage(said)
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": []}
    ends = {"stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**message, **ends, "usage": {**usage, "output_tokens": 1}}}
    yield {"type": "ping"}
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if said.reasoning:
        pieces = [{"type": "thinking_delta", "thinking": piece} for piece in said.reasoning]
        pieces.append({"type": "signature_delta", "signature": SIGNATURE})
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, pieces))
    if said.text:
        pieces = [{"type": "text_delta", "text": piece} for piece in said.text]
        blocks.append(({"type": "text", "text": ""}, pieces))
    for call in said.calls:
        pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *call.pieces)]
        blocks.append(({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, pieces))
    for index, (block, deltas) in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    reason = "max_tokens" if said.cut_short else "tool_use" if said.calls else "end_turn"
    yield {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}
    yield {"type": "message_stop"}


def messages_usage(said: Said) -> dict[str, Any]:
    return {
        "input_tokens": said.input_tokens - said.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": said.cached_tokens,
        "output_tokens": said.output_tokens,
        "output_tokens_details": {"thinking_tokens": said.reasoning_tokens},
    }


def messages_whole(said: Said) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if said.reasoning:
        thought = "".join(said.reasoning)
        content.append({"type": "thinking", "thinking": thought, "signature": SIGNATURE})
    if said.text:
        content.append({"type": "text", "text": "".join(said.text)})
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in said.calls
    ]
    reason = "max_tokens" if said.cut_short else "tool_use" if said.calls else "end_turn"
    front = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content}
    return {**front, "stop_reason": reason, "stop_sequence": None, "usage": messages_usage(said)}


def responses_events(said: Said) -> Events:
    base = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt", "output": []}
    yield {"type": "response.created", "response": {**base, "status": "in_progress"}}
    yield {"type": "response.in_progress", "response": {**base, "status": "in_progress"}}
    output: list[dict[str, Any]] = []
    for item, inner in _items(said):
        at = {"output_index": len(output)}
        empty = {**item, "status": "in_progress"}
        empty |= {name: [] for name in ("summary", "content") if name in item}
        empty |= {"arguments": ""} if "arguments" in item else {}
        yield {"type": "response.output_item.added", **at, "item": empty}
        for event in inner:
            yield {**event, **at, "item_id": item["id"]}
        output.append(item)
        yield {"type": "response.output_item.done", **at, "item": item}
    status = "incomplete" if said.cut_short else "completed"
    last = {**base, "status": status, "output": output, "usage": responses_usage(said)}
    last["incomplete_details"] = {"reason": "max_output_tokens"} if said.cut_short else None
    yield {"type": f"response.{status}", "response": last}


def responses_whole(said: Said) -> dict[str, Any]:
    *_, last = responses_events(said)
    assert isinstance(last, dict)
    whole: dict[str, Any] = last["response"]
    return whole


def _items(said: Said) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Whole items, and the events between their first and their last."""
    if said.reasoning:
        part: dict[str, Any] = {"type": "summary_text", "text": "".join(said.reasoning)}
        item = {"type": "reasoning", "id": "rs_1", "summary": [part], "encrypted_content": SIGNATURE}
        yield item, _part("reasoning_summary_part", "reasoning_summary_text", part, said.reasoning)
    if said.text:
        part = {"type": "output_text", "text": "".join(said.text), "annotations": [], "logprobs": []}
        front = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
        yield {**front, "content": [part]}, _part("content_part", "output_text", part, said.text)
    for index, call in enumerate(said.calls):
        front = {"type": "function_call", "id": f"fc_{index}", "call_id": call.id, "name": call.name}
        kind, text = "response.function_call_arguments", "".join(call.pieces) or "{}"
        deltas = [{"type": f"{kind}.delta", "delta": piece} for piece in call.pieces]
        yield {**front, "arguments": text}, [*deltas, {"type": f"{kind}.done", "arguments": text}]


def _part(
    part_kind: str, text_kind: str, part: dict[str, Any], pieces: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The events of an item's one part."""
    place = {"summary_index" if "summary" in part_kind else "content_index": 0}
    empty = {**part, "text": ""}
    return [
        {"type": f"response.{part_kind}.added", **place, "part": empty},
        *({"type": f"response.{text_kind}.delta", **place, "delta": piece} for piece in pieces),
        {"type": f"response.{text_kind}.done", **place, "text": part["text"]},
        {"type": f"response.{part_kind}.done", **place, "part": part},
    ]


def responses_usage(said: Said) -> dict[str, Any]:
    return {
        "input_tokens": said.input_tokens,
        "input_tokens_details": {"cached_tokens": said.cached_tokens},
        "output_tokens": said.output_tokens,
        "output_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
        "total_tokens": said.input_tokens + said.output_tokens,
    }


def gemini_events(said: Said) -> Events:
    def chunk(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
        candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}
        usage = gemini_usage(said) if more else {"promptTokenCount": said.input_tokens}
        front = {"modelVersion": "gemini", "responseId": "rid1", "usageMetadata": usage}
        return {"candidates": [candidate], **front}

    for piece in said.reasoning:
        yield chunk({"text": piece, "thought": True})
    for piece in said.text:
        yield chunk({"text": piece})
    for index, call in enumerate(said.calls):
        part: dict[str, Any] = {"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}}
        yield chunk({**part, "thoughtSignature": SIGNATURE} if index == 0 else part)
    yield chunk({"text": ""}, finishReason="MAX_TOKENS" if said.cut_short else "STOP")


def gemini_whole(said: Said) -> dict[str, Any]:
    *events, last = (event for event in gemini_events(said) if isinstance(event, dict))
    parts = [part for event in events for part in event["candidates"][0]["content"]["parts"]]
    (candidate,) = last["candidates"]
    return {**last, "candidates": [{**candidate, "content": {"role": "model", "parts": parts}}]}


def gemini_usage(said: Said) -> dict[str, Any]:
    return {
        "promptTokenCount": said.input_tokens,
        "cachedContentTokenCount": said.cached_tokens,
        "candidatesTokenCount": said.output_tokens - said.reasoning_tokens,
        "thoughtsTokenCount": said.reasoning_tokens,
        "totalTokenCount": said.input_tokens + said.output_tokens,
    }


EVENTS: dict[str, Callable[[Said], Events]] = {
    "chat": chat_events,
    "responses": responses_events,
    "messages": messages_events,
    "gemini": gemini_events,
}
WHOLE: dict[str, Callable[[Said], dict[str, Any]]] = {
    "chat": chat_whole,
    "responses": responses_whole,
    "messages": messages_whole,
    "gemini": gemini_whole,
}
_NAMED = ("responses", "messages")


def stream_of(
    dialect: str,
    said: Said,
    *,
    newline: str = "\n",
    heartbeats: Collection[int] = (),
    comment: str = ": keep-alive",
) -> bytes:
    """The provider's bytes."""
    lines: list[str] = []
    for number, event in enumerate(EVENTS[dialect](said)):
        if number in heartbeats:
            lines += [comment, ""]
        if isinstance(event, str):
            lines += [f"data: {event}", ""]
            continue
        if dialect in _NAMED:
            lines.append(f"event: {event['type']}")
        lines += ["data: " + json.dumps(event, ensure_ascii=False, separators=(",", ":")), ""]
    return (newline.join(lines) + newline).encode()


# Characters of one to four bytes, and what JSON must escape.
PIECES = st.text(alphabet='a \n"\\/é\u2028中\U0001f680\u0301', min_size=1, max_size=6)
ARGUMENTS: tuple[tuple[str, ...], ...] = (
    ('{"city":"Zürich"}',),
    ('{"ci', 'ty":"Z', 'ürich 🚀"}'),
    ("{", '"n"', ":", "1", "}"),
    ("{}",),
)


def what_a_model_says() -> st.SearchStrategy[Said]:
    """Something at least; at most three parallel calls."""
    calls = st.lists(st.sampled_from(ARGUMENTS), max_size=3).map(
        lambda found: tuple(Call(f"call_{i}", f"look_{i}", pieces) for i, pieces in enumerate(found))
    )
    pieces = st.lists(PIECES, max_size=3).map(tuple)
    return st.builds(
        Said,
        reasoning=pieces,
        text=pieces,
        calls=calls,
        cut_short=st.booleans(),
        output_tokens=st.integers(5, 99),
    ).filter(lambda said: bool(said.text or said.calls))
