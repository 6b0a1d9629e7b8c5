"""What a client asks for, in its own dialect: parsed once, checked as far as this proxy relies on it.

The rest is the provider's to judge where both speak the same dialect, and the reader's of the dialect where
the request must be translated. The place of the model's name is noted, so that a body can be forwarded as
it came.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson

from proxy.dialects.documents import dumped
from proxy.dialects.neutral.request import ModelRequest
from proxy.dialects.spans import duplicate, insertion, members, spliced
from proxy.errors import CallError, invalid_request
from proxy.settings import MAX_STRUCTURAL_BYTES

# A body up to this size is parsed without counting its brackets first: it cannot hold too many.
_SURELY_FINE_BYTES = MAX_STRUCTURAL_BYTES
_TEXT_OR_LIST = (str, list)
_REQUIRED: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "chat.completions": ("messages", list),
    "messages": ("messages", list),
    "messages.count_tokens": ("messages", list),
    "embeddings": ("input", _TEXT_OR_LIST),
    "moderations": ("input", _TEXT_OR_LIST),
    "images.generations": ("prompt", str),
    "audio.speech": ("input", str),
}
# What is called where the client does not say, as the provider documents it.
_DEFAULT_MODELS = {"moderations": "omni-moderation-latest"}
# Operations whose answer comes as events if the client says so.
STREAMABLE = frozenset({"chat.completions", "completions", "responses", "messages", "images.generations"})
# Those that make an answer of a model → the client's dialect.
GENERATING = {"chat.completions": "chat", "responses": "responses", "messages": "messages"}
# Those whose answer is no text: vectors and scores, whose bytes say nothing about tokens.
TEXTLESS = ("embeddings", "moderations")
# Those that count tokens and cost nothing.
COUNTING = ("messages.count_tokens", "responses.input_tokens")
# Characters of `user` that are recorded; the provider gets all of it. As long as `x-headgate-user` may be:
# a record over 64 KiB would be refused by the control plane, one over 4 MiB has no place in the spool.
MAX_USER_LENGTH = 256


@dataclass(slots=True)
class Asked:
    """A validated request. `document` is the parsed body and must not be changed."""

    operation: str
    body: bytes
    document: dict[str, Any]
    model: str
    stream: bool
    # Chat: the client asked for the usage chunk itself.
    wants_usage: bool
    user: str
    # Where the model's value stands, if it can be told without looking at every token.
    model_span: tuple[int, int] | None
    # Headers that go to a provider of the same dialect.
    version: str = ""
    betas: str = ""
    # Of a form, with its boundary.
    content_type: str = ""
    # As a neutral request, once somebody needed it.
    neutral: ModelRequest | None = None


def parse_request(operation: str, body: bytes) -> Asked:
    """Raises CallError (400) that names the field."""
    if len(body) > _SURELY_FINE_BYTES:
        count = body.count(b",") + body.count(b"[") + body.count(b"{")
        if count > MAX_STRUCTURAL_BYTES:
            raise invalid_request(
                f"The request body has {count} values; at most {MAX_STRUCTURAL_BYTES} are accepted."
            )
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _not_json(error) from None
    except RecursionError:
        raise invalid_request("The request body is nested too deeply.") from None
    if not isinstance(document, dict):
        raise invalid_request("The request body must be a JSON object.")
    model = document.get("model")
    if model is None and operation in _DEFAULT_MODELS:
        model = _DEFAULT_MODELS[operation]
    if not isinstance(model, str) or not model:
        what = "is missing" if "model" not in document else "must be a non-empty string"
        raise invalid_request(f"'model' {what}.", "model")
    stream = document.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise invalid_request("'stream' must be true or false.", "stream")
    _check_types(operation, document)
    options = document.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise invalid_request("'stream_options' must be an object.", "stream_options")
    return Asked(
        operation=operation,
        body=body,
        document=document,
        model=model,
        stream=bool(stream) and operation in STREAMABLE,
        wants_usage=bool(options and options.get("include_usage")),
        user=_user(operation, document)[:MAX_USER_LENGTH],
        model_span=_model_span(body, document) if "model" in document else None,
    )


def _user(operation: str, document: dict[str, Any]) -> str:
    if operation.startswith("messages"):
        metadata = document.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            raise invalid_request("'metadata' must be an object.", "metadata")
        user, name = (metadata or {}).get("user_id"), "metadata.user_id"
    else:
        user, name = document.get("user"), "user"
    if user is not None and not isinstance(user, str):
        raise invalid_request(f"'{name}' must be a string.", name)
    return user or ""


def anew(asked: Asked, document: dict[str, Any]) -> Asked:
    """The same request with another document."""
    body = dumped(document)
    return replace(asked, document=document, body=body, model_span=None, neutral=None)


def with_model(asked: Asked, upstream_model: str, upstream_json: bytes) -> bytes:
    """The body with another model's name in it, and nothing else changed."""
    if asked.model == upstream_model and "model" in asked.document:
        return asked.body
    span = asked.model_span
    if span is None:
        found = next((m for m in members(asked.body) if m.name == "model"), None)
        if found is None:  # the client left it to us
            return spliced(asked.body, [insertion(asked.body, b'"model":' + upstream_json)])
        span = (found.value_start, found.value_end)
    return spliced(asked.body, [(span[0], span[1], upstream_json)])


def _check_types(operation: str, document: dict[str, Any]) -> None:
    required = _REQUIRED.get(operation)
    if required is not None:
        name, kind = required
        value = document.get(name)
        if value is None:
            raise invalid_request(f"'{name}' is missing.", name)
        if not isinstance(value, kind):
            what = "an array" if kind is list else "a string" if kind is str else "a string or an array"
            raise invalid_request(f"'{name}' must be {what}.", name)
        if name == "messages":
            for index, message in enumerate(document["messages"]):
                if message.__class__ is not dict or message.get("role").__class__ is not str:
                    raise invalid_request(
                        f"'messages[{index}]' must be an object with a 'role'.", f"messages[{index}]"
                    )
    if operation == "messages" and document.get("max_tokens") is None:
        raise invalid_request("'max_tokens' is missing.", "max_tokens")
    if operation in ("responses", "responses.compact"):
        given = document.get("input")
        if given is not None and not isinstance(given, _TEXT_OR_LIST):
            raise invalid_request("'input' must be a string or an array.", "input")
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens", "n"):
        value = document.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise invalid_request(f"'{name}' must be a whole number.", name)


def _model_span(body: bytes, document: dict[str, Any]) -> tuple[int, int] | None:
    """The span of the model's value; None if tokens must be looked at. Raises on duplicates.

    Every top-level name stands in the body once, in quotes and without escaped letters: then each of them
    is the top-level key itself, and none is there twice. (Escapes from \\u0050 to \\u007f could spell a name;
    `\\u00e9` in a text cannot.) Anything less clear is decided by `members`.
    """
    clear = b"\\u006" not in body and b"\\u007" not in body and b"\\u005" not in body
    if clear:
        for name in document:
            if body.count(_quoted(name)) > 1:
                clear = False
                break
    if clear:
        start = body.index(b'"', body.index(b":", body.index(b'"model"') + 7))
        end = body.index(b'"', start + 1)
        if b"\\" not in body[start:end]:
            return start, end + 1
    twice = duplicate(members(body))
    if twice is not None:
        raise invalid_request(f"'{twice}' occurs twice in the request body.", twice)
    return None


@lru_cache(maxsize=1_000)
def _quoted(name: str) -> bytes:
    return b'"%b"' % name.encode()


def _not_json(error: orjson.JSONDecodeError) -> CallError:
    return invalid_request(
        f"The request body is not valid JSON: {error.msg} at line {error.lineno} column {error.colno}."
    )
