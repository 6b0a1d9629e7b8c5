"""What a client asks for in the OpenAI dialect, and the body that a provider is sent for it.

https://platform.openai.com/docs/api-reference/chat/create. The body is parsed once and forwarded as it
came but for the model's name and the provider's known differences (`providers/kinds.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from proxy.config.model import Target
from proxy.dialects.spans import Member, Splice, duplicate, insertion, members, spliced
from proxy.errors import CallError, invalid_request
from proxy.settings import MAX_STRUCTURAL_BYTES

# A body up to this size is parsed without counting its brackets first: it cannot hold too many.
_SURELY_FINE_BYTES = MAX_STRUCTURAL_BYTES
_REQUIRED: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "chat.completions": ("messages", list),
    "embeddings": ("input", (str, list)),
}
# Characters of `user` that are recorded; the provider gets all of it. As long as `x-headgate-user` may be:
# a record over 64 KiB would be refused by the control plane, one over 4 MiB has no place in the spool.
MAX_USER_LENGTH = 256
_INCLUDE_USAGE = b'"stream_options":{"include_usage":true}'


@dataclass(slots=True)
class OpenAIRequest:
    """A validated request. `document` is the parsed body and must not be changed."""

    operation: str
    body: bytes
    document: dict[str, Any]
    model: str
    stream: bool
    # The client asked for the usage chunk itself.
    wants_usage: bool
    user: str
    # Where the model's value stands, if it can be told without looking at every token.
    model_span: tuple[int, int] | None


def parse_request(operation: str, body: bytes) -> OpenAIRequest:
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
    user = document.get("user")
    if user is not None and not isinstance(user, str):
        raise invalid_request("'user' must be a string.", "user")
    return OpenAIRequest(
        operation=operation,
        body=body,
        document=document,
        model=model,
        stream=bool(stream) and operation != "embeddings",
        wants_usage=bool(options and options.get("include_usage")),
        user=user[:MAX_USER_LENGTH] if user else "",
        model_span=_model_span(body, document),
    )


def _check_types(operation: str, document: dict[str, Any]) -> None:
    required = _REQUIRED.get(operation)
    if required is not None:
        name, kind = required
        value = document.get(name)
        if value is None:
            raise invalid_request(f"'{name}' is missing.", name)
        if not isinstance(value, kind):
            raise invalid_request(
                f"'{name}' must be {'an array' if kind is list else 'a string or an array'}.", name
            )
        if isinstance(value, list) and operation == "chat.completions":
            for index, message in enumerate(value):
                if message.__class__ is not dict or message.get("role").__class__ is not str:
                    raise invalid_request(
                        f"'messages[{index}]' must be an object with a 'role'.", f"messages[{index}]"
                    )
    for name in ("max_tokens", "max_completion_tokens", "n"):
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


def body_for(request: OpenAIRequest, target: Target) -> bytes:
    """The bytes that this target's provider is sent."""
    kind = target.provider.kind
    document = request.document
    same_model = request.model == target.upstream_model
    add_usage = request.stream and not request.wants_usage and kind.takes_stream_options
    drop_options = "stream_options" in document and not kind.takes_stream_options
    options_given = "stream_options" in document
    renames = kind.renames and [
        (old, new)
        for old, new in kind.renames.items()
        if old in document
        and new not in document
        and (kind.renames_models is None or kind.renames_models.match(target.upstream_model))
    ]
    if same_model and not add_usage and not drop_options and not renames:
        return request.body
    body = request.body
    span = request.model_span
    if span is not None and not renames and not drop_options and not (add_usage and options_given):
        if not same_model:
            body = body[: span[0]] + target.upstream_json + body[span[1] :]
        return spliced(body, [insertion(body, _INCLUDE_USAGE)]) if add_usage else body
    return _rewritten(
        request, target, add_usage=add_usage, drop_options=drop_options, renames=list(renames or ())
    )


def _rewritten(
    request: OpenAIRequest,
    target: Target,
    *,
    add_usage: bool,
    drop_options: bool,
    renames: list[tuple[str, str]],
) -> bytes:
    body = request.body
    found = members(body)
    by_name = {member.name: member for member in found}
    splices: list[Splice] = []
    model = by_name["model"]
    splices.append((model.value_start, model.value_end, target.upstream_json))
    for old, new in renames:
        member = by_name[old]
        key_end = body.index(b":", member.start + 1 + len(orjson.dumps(old)) - 1)
        splices.append((member.start, key_end, orjson.dumps(new)))
    options = by_name.get("stream_options")
    if options is not None and drop_options:
        splices.append(_removal(found, options))
    elif add_usage and options is not None:
        value = {**(request.document["stream_options"] or {}), "include_usage": True}
        splices.append((options.value_start, options.value_end, orjson.dumps(value)))
    elif add_usage:
        splices.append(insertion(body, _INCLUDE_USAGE))
    return spliced(body, splices)


def _removal(found: list[Member], member: Member) -> Splice:
    """Cuts a member with one of its commas. There is always another member: the model."""
    index = found.index(member)
    if index + 1 < len(found):
        return member.start, found[index + 1].start, b""
    return found[index - 1].value_end, member.value_end, b""
