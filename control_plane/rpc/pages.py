"""Page sizes and page tokens. A token is opaque outside: base64 of a JSON list."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TypeVar

from control_plane.errors import InvalidField

T = TypeVar("T")
# A place among groups of a report names them: up to 8 texts of 512 characters.
MAX_TOKEN_CHARACTERS = 65_536


def page_size(asked: int, default: int, most: int) -> int:
    return min(asked, most) if asked else default


def encode(*place: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode()).decode()


def decode(token: str, *types: type) -> list[str | int] | None:
    """None for the first page. Raises InvalidField."""
    if not token:
        return None
    try:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise ValueError
        place = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, RecursionError, binascii.Error):
        raise InvalidField("page_token", "is not one of ours") from None
    if not isinstance(place, list) or [type(part) for part in place] != list(types):
        raise InvalidField("page_token", "is not one of ours")
    return place
