"""A conversation that every dialect can express, and the one way in which each dialect's clients write it.

Written by hand from the APIs' references, not by the product: a translation of one rendering must be the
other rendering. What one dialect cannot say (stop sequences in the Responses API) the tests add themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st

from tests.unit.proxy.dialects.asking import CHAT, MESSAGES, RESPONSES

Document = dict[str, Any]
SCHEMA: Document = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "wo?"}, "n": {"enum": [1, 2]}},
    "required": ["city", "n"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Picture:
    url: str = ""
    data: str = ""


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: Document
    result: str


@dataclass(frozen=True)
class Exchange:
    """What the user says, what the assistant answers, with calls or without."""

    user: tuple[str | Picture, ...]
    said: str
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Conversation:
    system: str
    exchanges: tuple[Exchange, ...]
    last: str
    tools: tuple[tuple[str, str, Document], ...]
    choice: Literal["", "auto", "none", "required", "named"]
    one_call_at_a_time: bool
    structured: bool
    max_tokens: int
    temperature: float | None
    user_id: str
    stream: bool


_TEXT = st.text(alphabet='ab \n"\\é中\U0001f680', min_size=1, max_size=8).filter(
    lambda text: bool(text.strip())
)
_ID = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=40)
_VALUE = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT | st.lists(st.integers(0, 3), max_size=2)
)
_PICTURE = st.builds(Picture, url=st.just("https://e.example/p.png?q=1#f")) | st.builds(
    Picture, data=st.sampled_from(("iVBORw0KGgo=", "AA=="))
)
TOOLS = (("look", "Looks.", SCHEMA), ("walk-2", "", {"type": "object", "properties": {}}))


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    exchanges = []
    ids = draw(st.lists(_ID, min_size=6, max_size=6, unique=True))
    for _ in range(draw(st.integers(0, 2))):
        calls = tuple(
            Call(
                ids.pop(),
                draw(st.sampled_from([name for name, _, _ in TOOLS])),
                draw(st.dictionaries(_TEXT, _VALUE, max_size=2)),
                draw(_TEXT),
            )
            for _ in range(draw(st.integers(0, 2)))
        )
        said = draw(st.just("") | _TEXT) if calls else draw(_TEXT)
        user = tuple(draw(st.lists(_TEXT | _PICTURE, min_size=1, max_size=3)))
        exchanges.append(Exchange(user, said, calls))
    with_tools = draw(st.booleans()) or any(exchange.calls for exchange in exchanges)
    choices: tuple[Literal["", "auto", "none", "required", "named"], ...] = (
        ("", "auto", "none", "required", "named") if with_tools else ("",)
    )
    choice = draw(st.sampled_from(choices))
    # A schema is emulated by a forced tool where a tool is forced already: no rendering of the client's.
    structured = draw(st.booleans()) and choice in ("", "auto")
    return Conversation(
        system=draw(st.just("") | _TEXT),
        exchanges=tuple(exchanges),
        last=draw(_TEXT),
        tools=TOOLS if with_tools else (),
        choice=choice,
        one_call_at_a_time=choice not in ("", "none") and draw(st.booleans()),
        structured=structured,
        max_tokens=draw(st.integers(16, 4096)),
        temperature=draw(st.none() | st.sampled_from((0.0, 0.25, 0.5))),
        user_id=draw(st.just("") | _ID),
        stream=draw(st.booleans()),
    )


def compact(document: Document) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def data_url(picture: Picture) -> str:
    return picture.url or f"data:image/png;base64,{picture.data}"


def _shared(talk: Conversation, limit: str) -> Document:
    document: Document = {"model": "m", limit: talk.max_tokens}
    if talk.temperature is not None:
        document["temperature"] = talk.temperature
    if talk.stream:
        document["stream"] = True
    return document


def chat_document(talk: Conversation) -> Document:
    messages: list[Document] = []
    if talk.system:
        messages.append({"role": "system", "content": talk.system})
    for exchange in talk.exchanges:
        parts: list[Document] = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image_url", "image_url": {"url": data_url(part)}}
            for part in exchange.user
        ]
        alone = len(parts) == 1 and "text" in parts[0]
        messages.append({"role": "user", "content": parts[0]["text"] if alone else parts})
        said: Document = {"role": "assistant", "content": exchange.said or None}
        if exchange.calls:
            said["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": compact(call.arguments)},
                }
                for call in exchange.calls
            ]
        messages.append(said)
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": call.result} for call in exchange.calls
        ]
    messages.append({"role": "user", "content": talk.last})
    document = {**_shared(talk, "max_tokens"), "messages": messages}
    if talk.tools:
        document["tools"] = [
            {"type": "function", "function": _described({"name": name}, text) | {"parameters": schema}}
            for name, text, schema in talk.tools
        ]
    if talk.choice:
        named = {"type": "function", "function": {"name": talk.tools[0][0]}}
        document["tool_choice"] = named if talk.choice == "named" else talk.choice
    if talk.one_call_at_a_time:
        document["parallel_tool_calls"] = False
    if talk.structured:
        inner = {"name": "answer", "schema": SCHEMA, "strict": True}
        document["response_format"] = {"type": "json_schema", "json_schema": inner}
    if talk.user_id:
        document["user"] = talk.user_id
    return document


def messages_document(talk: Conversation) -> Document:
    messages: list[Document] = []
    results: list[Document] = []
    for exchange in talk.exchanges:
        blocks = results + [
            {"type": "text", "text": part} if isinstance(part, str) else _image_block(part)
            for part in exchange.user
        ]
        messages.append({"role": "user", "content": _simple(blocks)})
        said: list[Document] = [{"type": "text", "text": exchange.said}] if exchange.said else []
        said += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
            for call in exchange.calls
        ]
        messages.append({"role": "assistant", "content": _simple(said)})
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": call.result} for call in exchange.calls
        ]
    messages.append({"role": "user", "content": _simple([*results, {"type": "text", "text": talk.last}])})
    document = {**_shared(talk, "max_tokens"), "messages": messages}
    if talk.system:
        document["system"] = talk.system
    if talk.tools:
        document["tools"] = [
            _described({"name": name}, text) | {"input_schema": schema} for name, text, schema in talk.tools
        ]
    if talk.choice:
        kind = {"required": "any", "named": "tool"}.get(talk.choice, talk.choice)
        choice: Document = {"type": kind}
        if talk.choice == "named":
            choice["name"] = talk.tools[0][0]
        if talk.one_call_at_a_time:
            choice["disable_parallel_tool_use"] = True
        document["tool_choice"] = choice
    if talk.structured:
        document["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
    if talk.user_id:
        document["metadata"] = {"user_id": talk.user_id}
    return document


def _image_block(picture: Picture) -> Document:
    source: Document = {"type": "url", "url": picture.url}
    if picture.data:
        source = {"type": "base64", "media_type": "image/png", "data": picture.data}
    return {"type": "image", "source": source}


def _simple(blocks: list[Document]) -> Any:
    return blocks[0]["text"] if len(blocks) == 1 and blocks[0]["type"] == "text" else blocks


def responses_document(talk: Conversation) -> Document:
    items: list[Document] = []

    def message(role: str, *parts: Document) -> None:
        items.append({"type": "message", "role": role, "content": list(parts)})

    if talk.system:
        message("system", {"type": "input_text", "text": talk.system})
    for exchange in talk.exchanges:
        message(
            "user",
            *(
                {"type": "input_text", "text": part}
                if isinstance(part, str)
                else {"type": "input_image", "image_url": data_url(part), "detail": "auto"}
                for part in exchange.user
            ),
        )
        if exchange.said:
            message("assistant", {"type": "output_text", "text": exchange.said})
        items += [
            {
                "type": "function_call",
                "call_id": call.id,
                "name": call.name,
                "arguments": compact(call.arguments),
            }
            for call in exchange.calls
        ]
        items += [
            {"type": "function_call_output", "call_id": call.id, "output": call.result}
            for call in exchange.calls
        ]
    message("user", {"type": "input_text", "text": talk.last})
    document = {**_shared(talk, "max_output_tokens"), "input": items, "store": False}
    if talk.tools:
        document["tools"] = [
            _described({"type": "function", "name": name}, text) | {"parameters": schema, "strict": False}
            for name, text, schema in talk.tools
        ]
    if talk.choice:
        named = {"type": "function", "name": talk.tools[0][0] if talk.tools else ""}
        document["tool_choice"] = named if talk.choice == "named" else talk.choice
    if talk.one_call_at_a_time:
        document["parallel_tool_calls"] = False
    if talk.structured:
        form = {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}
        document["text"] = {"format": form}
    if talk.user_id:
        document["user"] = talk.user_id
    return document


def _described(tool: Document, description: str) -> Document:
    return {**tool, "description": description} if description else tool


RENDERED: dict[str, Callable[[Conversation], Document]] = {
    CHAT: chat_document,
    MESSAGES: messages_document,
    RESPONSES: responses_document,
}
