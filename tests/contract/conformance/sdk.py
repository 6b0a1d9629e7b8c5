"""The official SDKs as clients: openai for chat and Responses, anthropic for Messages.

`call` makes the call over a real socket and keeps the very bytes of the answer beside what the SDK made of
them; `accumulated` gives the same bytes to the SDK's helper that puts a stream together. Everything the SDK
says about them (exceptions, pydantic's warnings about unexpected values) is a complaint.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2
import openai
import pydantic

from tests.contract.conformance.cases import Dialect

TIMEOUT_SECONDS = 30.0
# Filled in by every SDK call; the request is in `extra_body`, unchanged.
_NOTHING: list[Any] = []


@dataclass(frozen=True, slots=True)
class Raised:
    """`kind`: the exception's class. `status`: of HTTP; None for an error inside a stream at OpenAI's SDK."""

    kind: str
    status: int | None
    message: str
    body: Any = None


@dataclass(slots=True)
class Heard:
    """What the SDK made of one answer: an object, or events; or the exception that it raised."""

    whole: dict[str, Any] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    raised: Raised | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Taken:
    """The raw answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _Copied(httpx2.SyncByteStream):
    def __init__(self, inner: Iterable[bytes], taken: Taken) -> None:
        self._inner = inner
        self._taken = taken

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._inner:
            self._taken.body += piece
            yield piece

    def close(self) -> None:
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()


class CopyingTransport(httpx2.BaseTransport):
    """A real connection that remembers the last answer's bytes."""

    def __init__(self) -> None:
        self._inner = httpx2.HTTPTransport()
        self.taken = Taken()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._inner.handle_request(request)
        self.taken = Taken(answer.status_code, {k.lower(): v for k, v in answer.headers.items()})
        stream = _Copied(answer.stream, self.taken)  # type: ignore[arg-type]
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=stream)

    def close(self) -> None:
        self._inner.close()


class Sdks:
    """Both SDKs on one transport; a context manager."""

    def __init__(self, address: str, key: str, transport: httpx2.BaseTransport) -> None:
        self._http = httpx2.Client(transport=transport, trust_env=False)
        common: dict[str, Any] = {"api_key": key, "max_retries": 0, "http_client": self._http}
        common["timeout"] = TIMEOUT_SECONDS
        self._openai = openai.OpenAI(base_url=f"{address}/v1", **common)
        self._anthropic = anthropic.Anthropic(base_url=address, **common)

    def __enter__(self) -> Sdks:
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def call(self, client: Dialect, document: dict[str, Any], headers: Mapping[str, str]) -> Heard:
        """One call, every event of it read."""
        heard = Heard()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                answer = self._create(client, document, headers)
                if document.get("stream"):
                    for event in answer:
                        heard.events.append(_dumped(event))
                else:
                    heard.whole = _dumped(answer)
            except Exception as error:
                heard.raised = _raised(error)
        heard.warnings = [str(warning.message) for warning in caught]
        return heard

    def _create(self, client: Dialect, document: dict[str, Any], headers: Mapping[str, str]) -> Any:
        more: dict[str, Any] = {"extra_body": document, "extra_headers": headers, "model": document["model"]}
        if "stream" in document:
            more["stream"] = document["stream"]
        if client == "chat":
            return self._openai.chat.completions.create(messages=_NOTHING, **more)
        if client == "responses":
            return self._openai.responses.create(**more)
        return self._anthropic.messages.create(max_tokens=1, messages=_NOTHING, **more)

    def put_together(self, client: Dialect, model: str) -> Any:
        """The whole answer by the SDK's own streaming helper."""
        if client == "chat":
            with self._openai.chat.completions.stream(model=model, messages=_NOTHING) as chunks:
                for _ in chunks:
                    pass
                return chunks.get_final_completion()
        if client == "responses":
            with self._openai.responses.stream(model=model, input="") as events:
                for _ in events:
                    pass
                return events.get_final_response()
        with self._anthropic.messages.stream(model=model, max_tokens=1, messages=_NOTHING) as stream:
            for _ in stream:
                pass
            return stream.get_final_message()


def accumulated(client: Dialect, taken: Taken) -> Heard:
    """The same bytes through the SDK's helper that accumulates."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        kind = taken.headers.get("content-type", "")
        return httpx2.Response(taken.status, headers={"content-type": kind}, content=taken.body)

    heard = Heard()
    with (
        warnings.catch_warnings(record=True) as caught,
        Sdks("http://recorded.invalid", "key", httpx2.MockTransport(answer)) as sdks,
    ):
        warnings.simplefilter("always")
        try:
            heard.whole = _dumped(sdks.put_together(client, "model"))
        except Exception as error:
            heard.raised = _raised(error)
    heard.warnings = [str(warning.message) for warning in caught]
    return heard


def _raised(error: Exception) -> Raised:
    status = getattr(error, "status_code", None)
    return Raised(type(error).__name__, status, str(error), getattr(error, "body", None))


def _dumped(found: Any) -> dict[str, Any]:
    """As a plain document, with the fields that were there; pydantic warns of what it did not expect."""
    if not isinstance(found, pydantic.BaseModel):
        raise TypeError(f"the SDK made {type(found).__name__} of it")
    return found.model_dump(mode="json", exclude_unset=True)
