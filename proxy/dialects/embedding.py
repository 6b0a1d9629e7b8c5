"""OpenAI embeddings answered by Gemini. Its usage says nothing for older models: then it is estimated."""

from __future__ import annotations

import struct
from typing import Any

import orjson

from headgate.rules.money import Tokens
from headgate.v1 import usage_pb2
from proxy.config.model import Target
from proxy.dialects.asked import Asked
from proxy.dialects.bridge import Whole, parsed
from proxy.dialects.failures import failure_in_answer
from proxy.dialects.gemini import embeddings
from proxy.dialects.gemini.usage import tokens_of
from proxy.dialects.sse import Stream
from proxy.upstream.failure import broken


class GeminiEmbeddings:
    """A Bridge."""

    operation = "gemini.embeddings"
    headers = b""

    def __init__(self, asked: Asked, target: Target) -> None:
        self.left_out: list[str] = []
        self._asked = asked
        self._model = target.upstream_model
        document = embeddings.write_request(asked.document, target.upstream_model, self.left_out)
        self.body = orjson.dumps(document)

    def stream(self) -> Stream | None:
        return None

    def whole(self, body: bytes) -> Whole:
        document = parsed(body)
        if document.get("error"):
            raise failure_in_answer(document["error"])
        try:
            made = orjson.dumps(embeddings.answer_document(document, self._asked.document, self._model))
        except (struct.error, TypeError, ValueError, OverflowError):
            raise broken(usage_pb2.REASON_PROTOCOL_ERROR, "the provider's vectors are none") from None
        usage = document.get("usageMetadata")
        return Whole(made, usage if isinstance(usage, dict) else None, content_type=b"application/json")

    def tokens_of(self, usage: dict[str, Any]) -> tuple[Tokens, bool]:
        return tokens_of(usage)
