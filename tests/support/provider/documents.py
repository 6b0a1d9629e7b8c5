"""Whole JSON documents in the OpenAI form: answers, embeddings, model lists, errors, usage.

Pure functions of an `Answer` or a request document. Ids and times are fixed, so that bytes can be compared.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Any

from tests.support.provider.answer import Answer, Choice
from tests.support.provider.behaviour import Behaviour, ErrorEvent, Usage
from tests.support.provider.tokens import count_prompt

CREATED_UNIX_SECONDS = 1_760_000_000
DEFAULT_DIMENSIONS = 32
FINGERPRINT = "fp_fake"

_ERRORS = {
    400: ("invalid_request_error", "invalid_value", "Invalid value for one of the parameters."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: ("insufficient_quota", "insufficient_credits", "Insufficient credits."),
    403: ("permission_error", "forbidden", "The key may not do this."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    408: ("timeout_error", "timeout", "The request timed out."),
    415: ("invalid_request_error", "unsupported_content_encoding", "Compressed requests are not accepted."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached."),
}


def error_document(status: int) -> dict[str, Any]:
    kind, code, message = _ERRORS.get(status, ("server_error", None, "The server had an error."))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def in_body_error(event: ErrorEvent, model: str) -> dict[str, Any]:
    """The error object that a 200 carries, in the form of the provider."""
    error: dict[str, Any] = {
        "message": event.message,
        "type": "server_error",
        "code": event.code,
        "param": None,
    }
    if event.form == "groq":
        return {"error": {**error, "status_code": event.status}}
    if event.form == "openai":
        return {"error": error}
    inner = {"code": event.status, "message": event.message, "metadata": {"raw": event.message}}
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
    frame = {
        "id": "gen-fake",
        "object": "chat.completion.chunk",
        "created": CREATED_UNIX_SECONDS,
        "model": model,
        "provider": "Fake",
    }
    if event.form == "openrouter_top":
        return {**frame, "error": inner, "choices": [choice]}
    return {**frame, "choices": [{**choice, "error": inner}]}


def usage_document(usage: Usage, behaviour: Behaviour) -> dict[str, Any]:
    completion = usage.completion_tokens - (usage.reasoning_tokens if behaviour.reasoning_apart else 0)
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "audio_tokens": usage.audio_prompt_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_completion_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        **behaviour.usage_extra,
    }


def answer_document(answer: Answer, behaviour: Behaviour) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": answer.id,
        "object": "text_completion" if answer.legacy else "chat.completion",
        "created": CREATED_UNIX_SECONDS,
        "model": answer.model,
        "choices": [_choice_document(choice, answer, behaviour) for choice in answer.choices],
        "system_fingerprint": FINGERPRINT,
    }
    if behaviour.usage_place != "none":
        document["usage"] = usage_document(answer.usage, behaviour)
    return document


def _choice_document(choice: Choice, answer: Answer, behaviour: Behaviour) -> dict[str, Any]:
    tail = {"logprobs": logprobs_of(choice.pieces, answer), "finish_reason": choice.finish_reason}
    if answer.legacy:
        return {"index": choice.index, "text": choice.text, **tail}
    message: dict[str, Any] = {"role": "assistant", "content": choice.text or None, "refusal": choice.refusal}
    if choice.reasoning:
        message[behaviour.reasoning_field] = "".join(choice.reasoning)
    if choice.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.tool_calls
        ]
    return {"index": choice.index, "message": message, **tail}


def logprobs_of(pieces: tuple[str, ...], answer: Answer) -> dict[str, Any] | None:
    if not answer.logprobs:
        return None
    if answer.legacy:
        offsets = [len("".join(pieces[:position])) for position in range(len(pieces))]
        values = [-0.25] * len(pieces)
        tops = [{piece: -0.25} for piece in pieces] if answer.top_logprobs else None
        return {
            "tokens": list(pieces),
            "token_logprobs": values,
            "top_logprobs": tops,
            "text_offset": offsets,
        }
    content = []
    for piece in pieces:
        token = {"token": piece, "logprob": -0.25, "bytes": list(piece.encode())}
        others = [
            {"token": f"{piece}{rank or ''}", "logprob": -0.25 - rank, "bytes": None}
            for rank in range(answer.top_logprobs)
        ]
        content.append({**token, "top_logprobs": others})
    return {"content": content, "refusal": None}


def embeddings_document(request: dict[str, Any], usage: Usage) -> dict[str, Any]:
    given = request.get("input", "")
    one = isinstance(given, str) or (isinstance(given, list) and bool(given) and isinstance(given[0], int))
    inputs = [given] if one else list(given)
    dimensions = int(request.get("dimensions") or DEFAULT_DIMENSIONS)
    data = []
    for index, text in enumerate(inputs):
        vector = embedding_of(str(text), dimensions)
        packed = struct.pack(f"<{dimensions}f", *vector)
        in_base64 = request.get("encoding_format") == "base64"
        value = (
            base64.b64encode(packed).decode() if in_base64 else list(struct.unpack(f"<{dimensions}f", packed))
        )
        data.append({"object": "embedding", "index": index, "embedding": value})
    counts = {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens}
    return {"object": "list", "data": data, "model": request.get("model"), "usage": counts}


def embeddings_usage(request: dict[str, Any]) -> Usage:
    return Usage(prompt_tokens=count_prompt(request))


def embedding_of(text: str, dimensions: int) -> list[float]:
    """A unit vector that depends on the text alone."""
    stream = hashlib.shake_256(text.encode()).digest(dimensions * 2)
    raw = [value / 32768 for value in struct.unpack(f"<{dimensions}h", stream)]
    norm = sum(value * value for value in raw) ** 0.5 or 1.0
    return [value / norm for value in raw]


def models_document(names: list[str]) -> dict[str, Any]:
    return {"object": "list", "data": [model_document(name) for name in names]}


def model_document(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED_UNIX_SECONDS, "owned_by": "fake"}
