"""OpenAI's embeddings on Gemini's batchEmbedContents. https://ai.google.dev/api/embeddings"""

from __future__ import annotations

import base64
import struct
from typing import Any

from proxy.dialects.neutral.fields import Fields, wrong
from proxy.dialects.neutral.request import Unsupported


def write_request(document: dict[str, Any], model: str, left_out: list[str]) -> dict[str, Any]:
    """Raises CallError for what makes no sense, Unsupported for what has no counterpart."""
    body = Fields(document, "")
    body.ignore("model", "encoding_format")
    given = body.raw("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise wrong("input", "a string or a non-empty array")
    if not all(isinstance(text, str) for text in texts):
        raise Unsupported("input", "cannot be token ids at gemini")
    one: dict[str, Any] = {"model": f"models/{model}"}
    dimensions = body.take("dimensions", int)
    if dimensions is not None:
        one["outputDimensionality"] = dimensions
    for path in body.rest():
        if path != "user":
            raise Unsupported(path, "has no counterpart at gemini")
        left_out.append(path)
    return {"requests": [{**one, "content": {"parts": [{"text": text}]}} for text in texts]}


def answer_document(document: dict[str, Any], asked: dict[str, Any], model: str) -> dict[str, Any]:
    """Gemini's answer as an OpenAI one; `asked` says whether as numbers or as base64."""
    found = document.get("embeddings")
    vectors: list[list[float]] = [
        e["values"]
        for e in (found if isinstance(found, list) else ())
        if isinstance(e, dict) and isinstance(e.get("values"), list)
    ]
    as_base64 = asked.get("encoding_format") == "base64"
    usage = document.get("usageMetadata")
    count = usage.get("promptTokenCount") if isinstance(usage, dict) else 0
    tokens = count if isinstance(count, int) else 0
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _base64(vector) if as_base64 else vector,
            }
            for index, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _base64(vector: list[float]) -> str:
    """Little-endian 32-bit floats, as OpenAI sends them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
