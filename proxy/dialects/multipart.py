"""Forms with files (audio, images): the model's name found and replaced, everything else as it came.

https://www.rfc-editor.org/rfc/rfc7578. Only what the interface needs: the fields' names and places.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.dialects.asked import MAX_USER_LENGTH, Asked
from proxy.dialects.spans import spliced
from proxy.errors import CallError, invalid_request

# Operations that are asked by form.
MULTIPART = frozenset({"audio.transcriptions", "audio.translations", "images.edits", "images.variations"})
# Used where the client names none, as OpenAI does. https://platform.openai.com/docs/api-reference/images
DEFAULT_MODELS = {"images.variations": "dall-e-2", "images.edits": "dall-e-2"}
MAX_PARTS = 200
_BOUNDARY = re.compile(r'boundary=(?:"([^"\r\n]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb'[;\s]name="([^"\r\n]*)"', re.IGNORECASE)
_FILE = re.compile(rb"[;\s]filename\*?=", re.IGNORECASE)
_MAX_PART_HEAD = 8 * 2**10


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    start: int
    end: int
    is_file: bool


def parse_form(operation: str, body: bytes, content_type: str) -> Asked:
    """The form as a request. Raises CallError (400) that names the field."""
    parts = parts_of(body, content_type)
    fields: dict[str, Part] = {}
    for part in parts:
        if part.name in ("model", "stream", "user"):
            if part.name in fields or part.is_file:
                raise invalid_request(f"'{part.name}' must occur once, as text.", part.name)
            fields[part.name] = part
    model = DEFAULT_MODELS.get(operation, "")
    span = None
    if "model" in fields:
        model = _text(body, fields["model"])
        span = (fields["model"].start, fields["model"].end)
    if not model:
        raise invalid_request("'model' is missing.", "model")
    stream = _text(body, fields["stream"]).lower() if "stream" in fields else "false"
    if stream not in ("true", "false", "1", "0", ""):
        raise invalid_request("'stream' must be true or false.", "stream")
    user = _text(body, fields["user"])[:MAX_USER_LENGTH] if "user" in fields else ""
    return Asked(
        operation=operation,
        body=body,
        document={},
        model=model,
        stream=stream in ("true", "1"),
        wants_usage=True,
        user=user,
        model_span=span,
        content_type=content_type,
    )


def with_model(asked: Asked, upstream_model: str) -> bytes:
    """The form with another model's name in it."""
    if asked.model_span is None:
        return _with_field(asked, "model", upstream_model)
    if asked.model == upstream_model:
        return asked.body
    start, end = asked.model_span
    name = upstream_model.replace("\r", "").replace("\n", "").encode()
    return spliced(asked.body, [(start, end, name)])


def _with_field(asked: Asked, name: str, value: str) -> bytes:
    """One more field, in front of the others."""
    match = _BOUNDARY.search(asked.content_type)
    boundary = (match.group(1) or match.group(2)) if match is not None else ""
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    start = asked.body.find(b"--" + boundary.encode("latin-1", "replace"))
    return asked.body[:start] + head.encode() + asked.body[start:]


def parts_of(body: bytes, content_type: str) -> list[Part]:
    """Names and spans of the parts in order. Raises CallError (400) where it is no form."""
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise invalid_request("The content type names no multipart boundary.", "content-type")
    boundary = b"--" + (match.group(1) or match.group(2)).encode("latin-1", "replace")
    found: list[Part] = []
    position = 0 if body.startswith(boundary) else body.find(b"\r\n" + boundary) + 2
    if position == 1:
        raise _no_form()
    while True:
        position += len(boundary)
        if body[position : position + 2] == b"--":
            return found
        if body[position : position + 2] != b"\r\n":
            raise _no_form()
        head_end = body.find(b"\r\n\r\n", position, position + _MAX_PART_HEAD)
        end = body.find(b"\r\n" + boundary, max(position, head_end))
        if head_end < 0 or end < 0 or len(found) >= MAX_PARTS:
            raise _no_form()
        head = body[position:head_end]
        name = _NAME.search(head)
        text = name.group(1).decode("utf-8", "replace") if name else ""
        found.append(Part(text, head_end + 4, end, _FILE.search(head) is not None))
        position = end + 2


def _no_form() -> CallError:
    return invalid_request("The request body is not a complete multipart form.")


def _text(body: bytes, part: Part) -> str:
    try:
        return body[part.start : part.end].decode("utf-8").strip()
    except UnicodeDecodeError:
        raise invalid_request(f"'{part.name}' must be UTF-8 text.", part.name) from None
