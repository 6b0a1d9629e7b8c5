"""Documents to bytes. orjson reads 1,024 levels and writes 254: what a client sends may fall between."""

from __future__ import annotations

from typing import Any

import orjson

from proxy.errors import invalid_request


def dumped(document: Any) -> bytes:
    """Raises CallError (400) for what a client nested too deeply."""
    try:
        return orjson.dumps(document)
    except TypeError:
        raise invalid_request("The request body is nested too deeply.") from None
