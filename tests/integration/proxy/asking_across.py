"""One question in each client dialect, as bytes, and what a provider of each dialect is scripted to answer.

For tests that look at the very bytes; those of whole conversations use the SDKs (`sdk_talk.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.raw_client import Answer
from tests.integration.proxy.translating_manifest import MODELS, PRICE
from tests.support.fake_provider import Behaviour
from tests.support.saying import WHOLE, Said, stream_of

CLIENTS = ("chat", "responses", "messages")
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
# One model per provider dialect.
PROVIDERS = ("claude", "gemini", "pro", "gpt-plain")
HELLO = Said(text=("Hel", "lo 🚀"))
ANTHROPIC = {"anthropic-version": "2023-06-01"}


def question(client: str, model: str, **fields: Any) -> dict[str, Any]:
    if client == "responses":
        return {"model": model, "input": "Hello?", **fields}
    limit = {"max_tokens": 100} if client == "messages" else {}
    return {"model": model, "messages": [{"role": "user", "content": "Hello?"}], **limit, **fields}


def ask(
    gateway: Gateway, client: str, model: str, *, headers: dict[str, str] | None = None, **fields: Any
) -> Answer:
    more = ANTHROPIC if client == "messages" else {}
    document = question(client, model, **fields)
    return gateway.post(document, PATHS[client], headers={**more, **(headers or {})})


def says(model: str, said: Said = HELLO, *, stream: bool = True, **more: Any) -> Behaviour:
    """That model's provider answers so."""
    dialect = MODELS[model][3]
    if stream:
        return Behaviour(body=stream_of(dialect, said), stream=True, **more)
    return Behaviour(body=WHOLE[dialect](said), stream=False, **more)


def events(*documents: dict[str, Any] | str) -> bytes:
    """A provider's stream, written by hand."""
    lines = [d if isinstance(d, str) else json.dumps(d, ensure_ascii=False) for d in documents]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def script(gateway: Gateway, model: str, *behaviours: Behaviour) -> None:
    gateway.provider.script(MODELS[model][1], *behaviours)


def text_of(client: str, answer: Answer) -> str:
    """The text of an answer, whole or streamed."""
    assert answer.status == 200, answer.body
    if (answer.header("content-type") or "").startswith("text/event-stream"):
        found = [_delta(client, event) for event in answer.events() if event != "[DONE]"]
        return "".join(found)
    document = answer.document()
    if client == "chat":
        return str(document["choices"][0]["message"]["content"])
    if client == "messages":
        return "".join(block["text"] for block in document["content"] if block["type"] == "text")
    return "".join(
        part["text"] for item in document["output"] if item["type"] == "message" for part in item["content"]
    )


def _delta(client: str, event: dict[str, Any]) -> str:
    if client == "chat":
        return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))
    if client == "messages":
        return str(event.get("delta", {}).get("text", ""))
    return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""


def error_of(client: str, answer: Answer) -> dict[str, Any]:
    """The error object of an answer that is one, in the client's dialect."""
    assert answer.status >= 400, (answer.status, answer.body[:300])
    document = answer.document()
    if client == "messages":
        assert document["type"] == "error"
        assert document["request_id"] == answer.header("request-id")
    else:
        assert set(document) == {"error"}
        assert {"message", "type", "code", "param"} <= set(document["error"])
    error: dict[str, Any] = document["error"]
    return error


def last_error(client: str, answer: Answer) -> dict[str, Any]:
    """The error event in which a begun stream ended."""
    assert answer.status == 200
    last = answer.events()[-1]
    assert last != "[DONE]"
    if client != "chat":
        assert last["type"] == "error"
    error: dict[str, Any] = last["error"]
    return error


def cost(
    plain: int = 0, output: int = 0, cache_read: int = 0, cache_write_5m: int = 0, cache_write_1h: int = 0
) -> Fraction:
    """USD by hand: `plain` is the input that was neither read from a cache nor written to one."""
    counts = {
        "input": plain,
        "output": output,
        "cache_read": cache_read,
        "cache_write_5m": cache_write_5m,
        "cache_write_1h": cache_write_1h,
    }
    return sum((Fraction(PRICE[name]) * count for name, count in counts.items()), Fraction()) / 10**6


def rows(gateway: Gateway, answer: Answer) -> Sequence[Any]:
    """The recorded attempts of a call."""
    found: Sequence[Any] = gateway.call(answer.request_id).attempt_list
    return found
