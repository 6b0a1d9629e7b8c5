"""A client's request as what it asks for: body and the headers that belong to its dialect."""

from __future__ import annotations

import re

from proxy.dialects.asked import Asked, parse_request
from proxy.dialects.multipart import MULTIPART, parse_form
from proxy.errors import invalid_request
from proxy.http.request import Request, require_json

# https://docs.anthropic.com/en/api/versioning, …/beta-headers. They go into the head of our own request.
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")
_BETAS = re.compile(r"[\w.:, -]{1,2000}", re.ASCII)


def read_request(request: Request, operation: str) -> Asked:
    """Raises CallError (400, 415) that names the field or the header."""
    if operation in MULTIPART:
        content_type = request.header(b"content-type")
        if not content_type.lower().startswith("multipart/form-data"):
            raise invalid_request("The content type must be multipart/form-data here.", "content-type")
        return parse_form(operation, request.body, content_type)
    require_json(request)
    asked = parse_request(operation, request.body)
    if operation.startswith("messages"):
        asked.version = _checked(request, b"anthropic-version", _VERSION)
        asked.betas = _checked(request, b"anthropic-beta", _BETAS)
    return asked


def _checked(request: Request, name: bytes, form: re.Pattern[str]) -> str:
    value = request.header(name).strip()
    if value and not form.fullmatch(value):
        text = name.decode()
        raise invalid_request(f"The header {text!r} is malformed.", text)
    return value
