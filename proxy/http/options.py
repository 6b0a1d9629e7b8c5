"""The `x-headgate-…` request headers: what a call says about itself, and what it asks of us.

An unknown or malformed one is a 400: a typing error must not silently change what a call costs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson

from headgate.rules.money import PICO_PER_USD
from headgate.rules.units import parse_decimal
from proxy.errors import CallError, invalid_request, not_supported_yet
from proxy.http.request import Request

MAX_LABEL_LENGTH = 256
MAX_METADATA_ENTRIES = 16

_LABELS = {"x-headgate-task": "task", "x-headgate-session": "session", "x-headgate-user": "user"}
_PLANNED = (
    "x-headgate-cache",
    "x-headgate-prompt",
    "x-headgate-prompt-variables",
)
MAX_TIMEOUT_MS = 3_600_000
_VARIANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}/[a-z0-9][a-z0-9._-]{0,62}")
# Not `isdigit`: it takes `²`, and `int` refuses what is longer than 4,300 digits.
_MILLISECONDS = re.compile(r"[0-9]{1,7}")


@dataclass(slots=True)
class Options:
    task: str = ""
    session: str = ""
    user: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float | None = None
    # What the answer may be expected to cost.
    max_picousd: int | None = None
    inline_receipt: bool = False
    # `experiment/variant`, for tests.
    variant: str = ""


def options_of(request: Request) -> Options | None:
    """None if the request has no `x-headgate-…` header, which is the usual case."""
    if not request.has_options:
        return None
    found = Options()
    for name, value in request.headers.items():
        if name[:11] == b"x-headgate-":
            try:
                _read(found, name.decode("ascii"), value.decode("utf-8").strip())
            except UnicodeDecodeError:
                raise _malformed(name.decode("latin-1"), "UTF-8 text") from None
    return found


def _read(options: Options, name: str, value: str) -> None:
    label = _LABELS.get(name)
    if label is not None:
        if not value or len(value) > MAX_LABEL_LENGTH or not value.isprintable():
            raise _malformed(name, f"1 to {MAX_LABEL_LENGTH} printable characters")
        setattr(options, label, value)
    elif name == "x-headgate-metadata":
        options.metadata = _metadata(name, value)
    elif name == "x-headgate-timeout-ms":
        if not _MILLISECONDS.fullmatch(value) or not 0 < int(value) <= MAX_TIMEOUT_MS:
            raise _malformed(name, f"a whole number of milliseconds up to {MAX_TIMEOUT_MS}")
        options.timeout_seconds = int(value) / 1000
    elif name == "x-headgate-max-cost-usd":
        try:
            options.max_picousd = int(parse_decimal(value) * PICO_PER_USD)
        except ValueError:
            raise _malformed(name, "a decimal number of dollars, zero or more, like 0.02") from None
    elif name == "x-headgate-variant":
        if not _VARIANT.fullmatch(value):
            raise _malformed(name, "EXPERIMENT/VARIANT")
        options.variant = value
    elif name == "x-headgate-receipt":
        if value != "inline":
            raise _malformed(name, "'inline'")
        options.inline_receipt = True
    elif name in _PLANNED:
        raise not_supported_yet(f"The header {name!r}", name)
    else:
        raise invalid_request(f"The header {name[:100]!r} is not known.", name[:100])


def _metadata(name: str, value: str) -> tuple[tuple[str, str], ...]:
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or len(document) > MAX_METADATA_ENTRIES:
        raise _malformed(name, f"a flat JSON object of at most {MAX_METADATA_ENTRIES} entries")
    entries = []
    for key, item in document.items():
        if isinstance(item, (dict, list)) or item is None:
            raise _malformed(name, "a flat JSON object of text, numbers and booleans")
        text = item if isinstance(item, str) else orjson.dumps(item).decode()
        if len(key) > MAX_LABEL_LENGTH or len(text) > MAX_LABEL_LENGTH:
            raise _malformed(name, f"keys and values of at most {MAX_LABEL_LENGTH} characters")
        entries.append((key, text))
    return tuple(sorted(entries))


def _malformed(name: str, expected: str) -> CallError:
    return invalid_request(f"The header {name!r} must be {expected}.", name)
