"""One attempt whose client and provider speak different dialects.

The request is read once into a neutral one and written for the target; the answer is read event by event
and written at once: nothing waits for the whole of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import orjson

from headgate.v1 import usage_pb2
from proxy.config.model import Target
from proxy.dialects.asked import Asked
from proxy.dialects.bridge import ANTHROPIC_VERSION, CountTokens, Whole, anthropic_headers, parsed
from proxy.dialects.chat import answer_reader as chat_reader
from proxy.dialects.chat import answer_writer as chat_writer
from proxy.dialects.chat import request_reader as chat_request
from proxy.dialects.chat import usage as chat_usage
from proxy.dialects.documents import dumped
from proxy.dialects.failures import failure_in_answer
from proxy.dialects.gemini import answer_reader as gemini_reader
from proxy.dialects.gemini import usage as gemini_usage
from proxy.dialects.messages import answer_reader as messages_reader
from proxy.dialects.messages import answer_writer as messages_writer
from proxy.dialects.messages import request_reader as messages_request
from proxy.dialects.messages import usage as messages_usage
from proxy.dialects.neutral.answer import Answer
from proxy.dialects.neutral.emulation import ForcedToolSink
from proxy.dialects.neutral.names import NamesSink, renamed
from proxy.dialects.neutral.reader import Reader
from proxy.dialects.neutral.request import ModelRequest
from proxy.dialects.neutral.sink import Sink
from proxy.dialects.outgoing import Outgoing, write_for
from proxy.dialects.responses import answer_reader as responses_reader
from proxy.dialects.responses import answer_writer as responses_writer
from proxy.dialects.responses import request_reader as responses_request
from proxy.dialects.responses import usage as responses_usage
from proxy.dialects.sse import DONE, EventStream, Stream, data_of, document_of
from proxy.settings import MAX_ANSWER_BYTES
from proxy.upstream.failure import AttemptFailed, broken

# Bytes of JSON per token, for the count that `message_start` needs before the provider has counted.
_BYTES_PER_TOKEN = 4


# What reading a document of another shape than its dialect's comes to: fields of other types, events out of
# order, nesting beyond what can be written. In a protocol callback anything else would hang the call.
_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError)


def _unreadable() -> AttemptFailed:
    return broken(usage_pb2.REASON_PROTOCOL_ERROR, "the provider's answer is not of its dialect's form")


class Writer(Sink, Protocol):
    """Writes a client's events."""

    out: list[bytes]

    def error_event(self, error: dict[str, object]) -> bytes: ...


_REQUEST_READERS: dict[str, Callable[[dict[str, Any]], ModelRequest]] = {
    "chat.completions": chat_request.read_request,
    "responses": responses_request.read_request,
    "responses.input_tokens": responses_request.read_request,
    "messages": messages_request.read_request,
    "messages.count_tokens": messages_request.read_request,
}
_READERS: dict[str, tuple[Callable[[Sink, str], Reader], CountTokens]] = {
    "chat": (chat_reader.ChatReader, chat_usage.tokens_of),
    "responses": (responses_reader.ResponsesReader, responses_usage.tokens_of),
    "messages": (messages_reader.MessagesReader, messages_usage.tokens_of),
    "gemini": (gemini_reader.GeminiReader, gemini_usage.tokens_of),
}


def neutral_request(asked: Asked) -> ModelRequest:
    """The request as all dialects understand it. Raises CallError (400) that names the field."""
    if asked.neutral is None:
        asked.neutral = _REQUEST_READERS[asked.operation](asked.document)
    return asked.neutral


class Translation:
    """A Bridge; `dialect` is the provider's."""

    def __init__(
        self, asked: Asked, target: Target, dialect: str, request_id: str, *, hold_end: bool
    ) -> None:
        request = neutral_request(asked)
        outgoing: Outgoing = write_for(request, target, dialect)
        self.operation = outgoing.operation
        self.left_out = outgoing.left_out
        self.headers = anthropic_headers(ANTHROPIC_VERSION) if dialect == "messages" else b""
        self.body = dumped(outgoing.document)
        self._make_reader, self.tokens_of = _READERS[dialect]
        self._emulated = outgoing.emulated
        self._maker = target.provider.kind.maker
        # The Responses writer knows the client's tools itself: it needs their namespaces too.
        self._names = renamed(request) if asked.operation != "responses" else {}
        self._asked = asked
        self._request = request
        self._request_id = request_id
        self._created = int(time.time())
        self._hold_end = hold_end

    def stream(self) -> Stream | None:
        if not self._asked.stream:
            return None
        writer = self._writer()
        return TranslatedStream(self._reader(writer), writer, hold_end=self._hold_end)

    def whole(self, body: bytes) -> Whole:
        document = parsed(body)
        if document.get("error"):
            raise failure_in_answer(document["error"])
        if self._asked.stream:
            # The provider does not stream: the client gets its events all the same.
            writer = self._writer()
            reader = self._read(document, writer)
            events = b"".join(writer.out)
            content_type = b"text/event-stream; charset=utf-8"
            return Whole(events, reader.usage, reader.service_tier, content_type)
        made, usage, tier = self._document(document)
        try:
            return Whole(orjson.dumps(made), usage, tier, b"application/json")
        except _UNREADABLE:
            raise _unreadable() from None

    def _document(self, document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None, str]:
        """(the client's document, the provider's usage, its service tier)."""
        if self._asked.operation == "responses":
            writer = self._responses_writer()
            reader = self._read(document, writer)
            return writer.final, reader.usage, reader.service_tier
        answer = Answer()
        reader = self._read(document, answer)
        if self._asked.operation == "messages":
            made = messages_writer.answer_document(answer, id=f"msg_{self._request_id}")
        else:
            made = chat_writer.answer_document(
                answer, id=f"chatcmpl-{self._request_id}", created=self._created
            )
        return made, reader.usage, reader.service_tier

    def _read(self, document: dict[str, Any], sink: Sink) -> Reader:
        reader = self._reader(sink)
        try:
            reader.read_whole(document)
        except _UNREADABLE:
            raise _unreadable() from None
        if reader.error is not None:
            raise reader.error
        if not reader.finished:
            raise broken(usage_pb2.REASON_PROTOCOL_ERROR, "the provider's answer has no end")
        return reader

    def _reader(self, sink: Sink) -> Reader:
        if self._names:
            sink = NamesSink(sink, self._names)
        sink = ForcedToolSink(sink) if self._emulated else sink
        reader = self._make_reader(sink, self._request_id)
        reader.maker = self._maker
        return reader

    def _writer(self) -> Writer:
        operation = self._asked.operation
        if operation == "responses":
            return self._responses_writer()
        if operation == "messages":
            estimate = len(self._asked.body) // _BYTES_PER_TOKEN
            return messages_writer.MessagesStreamWriter(
                id=f"msg_{self._request_id}", estimated_input=estimate
            )
        return chat_writer.ChatStreamWriter(
            id=f"chatcmpl-{self._request_id}",
            created=self._created,
            include_usage=self._asked.wants_usage,
        )

    def _responses_writer(self) -> responses_writer.ResponsesWriter:
        return responses_writer.ResponsesWriter(
            id=f"resp_{self._request_id}",
            created=self._created,
            asked=self._asked.document,
            tools={tool.wire_name: tool for tool in self._request.tools},
        )


class TranslatedStream(EventStream):
    """A provider's events in, a client's events out. Comments and pings end here."""

    __slots__ = ("_fed_bytes", "_reader", "_writer")

    def __init__(self, reader: Reader, writer: Writer, *, hold_end: bool) -> None:
        super().__init__(hold_end=hold_end)
        self._reader = reader
        self._writer = writer
        self._fed_bytes = 0

    def feed(self, data: bytes) -> bytes:
        # A Responses client gets the whole answer again in the last event: what is kept has a limit.
        self._fed_bytes += len(data)
        if self._fed_bytes > MAX_ANSWER_BYTES:
            raise broken(usage_pb2.REASON_RESPONSE_TOO_LARGE, "the answer is too large to be translated")
        return super().feed(data)

    def error_event(self, error: dict[str, object]) -> bytes:
        return self._writer.error_event(error)

    def _event(self, event: bytes, out: list[bytes]) -> None:
        payload = data_of(event)
        if payload is None or self.error is not None:
            return
        reader = self._reader
        had_started = self.started
        try:
            if payload == DONE:
                reader.finish_at_end()
            else:
                reader.read(document_of(payload))
        except _UNREADABLE:
            raise _unreadable() from None
        if reader.error is not None:
            self._fail(reader.error, had_started=had_started)
            self._writer.out.append(self._writer.error_event(reader.error.error))
        # What comes before something is said (a role, `message_start`, pings) is no output.
        self.events += reader.started
        self._take(out)

    def _at_end(self, out: list[bytes]) -> None:
        if self._reader.finished and self.error is None:
            try:
                self._reader.finish_at_end()
            except _UNREADABLE:
                raise _unreadable() from None
            self._take(out)

    def _take(self, out: list[bytes]) -> None:
        """What the writer wrote, and how far the reader is."""
        reader = self._reader
        self.started = reader.started
        if reader.finished:
            self.finished = True
        self.done = reader.done
        self.usage = reader.usage
        self.service_tier = reader.service_tier
        written = self._writer.out
        if written:
            for event in written:
                self._emit(event, out)
            written.clear()
