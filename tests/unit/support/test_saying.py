"""What the scripted providers say is what the official SDKs take.

Without this, the tests of translated streams would compare with something that no provider says.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support.provider.connection import Request
from tests.support.provider.server import model_elsewhere
from tests.support.saying import EVENTS, WHOLE, Call, Said, stream_of

SAID = Said(
    reasoning=("a", "b"),
    text=("c", "é"),
    calls=(Call("c1", "look", ('{"x":', "1}")), Call("c2", "look", ("{}",))),
)
TYPES: dict[str, tuple[Any, Any]] = {
    "chat": (ChatCompletion, ChatCompletionChunk),
    "responses": (Response, ResponseStreamEvent),
    "messages": (Message, RawMessageStreamEvent),
}
# What the types demand beyond what any translation reads.
REST: dict[str, Any] = {
    "error": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
}


@pytest.mark.parametrize("dialect", TYPES)
def test_whole_answers_are_of_the_sdks_types(dialect: str) -> None:
    document = WHOLE[dialect](SAID)
    if dialect == "responses":
        usage = document["usage"]
        usage["input_tokens_details"]["cache_write_tokens"] = 0
        document = {**REST, **document}
    TypeAdapter(TYPES[dialect][0]).validate_python(document)


@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_events_are_of_the_sdks_types(dialect: str) -> None:
    adapter = TypeAdapter(TYPES[dialect][1])
    for event in EVENTS[dialect](SAID):
        if isinstance(event, dict) and event.get("type") != "ping":
            adapter.validate_python(event)


@pytest.mark.parametrize("dialect", EVENTS)
def test_a_stream_is_its_events_and_heartbeats_between_them(dialect: str) -> None:
    raw = stream_of(dialect, SAID, newline="\r\n", heartbeats={0, 1}, comment=": é")
    assert raw.count(": é\r\n\r\n".encode()) == 2
    assert b"\n" not in raw.replace(b"\r\n", b"")
    told = [line[6:] for line in raw.decode().split("\r\n") if line.startswith("data: {")]
    assert [json.loads(line) for line in told] == [e for e in EVENTS[dialect](SAID) if isinstance(e, dict)]


def test_the_provider_finds_the_model_where_each_dialect_has_it() -> None:
    path = Request("POST", "/v1beta/models/gemini-3:streamGenerateContent?alt=sse", (), b"{}")
    assert model_elsewhere(path) == "gemini-3"
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'
    assert model_elsewhere(Request("POST", "/v1/audio/transcriptions", (), form)) == "whisper-1"
    assert model_elsewhere(Request("POST", "/v1/moderations", (), b"{}")) == ""
