"""URLs, data URLs and media types of images, documents and sounds. https://www.rfc-editor.org/rfc/rfc2397"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import unquote_to_bytes

from proxy.dialects.neutral.request import Media
from proxy.errors import invalid_request

# Words for audio formats → the type's second half, where they differ.
_AUDIO = {"mp3": "mpeg"}


def data_url(url: str) -> dict[str, Any]:
    """`url`, or `media_type` and base64 `data`, as arguments for a Media."""
    if not url.startswith("data:"):
        return {"url": url}
    head, _, data = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return {"media_type": media_type or "text/plain", "data": data}


def plain_text(part: Media) -> str:
    """The text of a document that came as base64. Raises CallError (400) where it is none."""
    try:
        return base64.b64decode(part.data, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise invalid_request(f"'{part.at}' must be UTF-8 text in base64.", part.at) from None


def as_data_url(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"


def audio_type(media_type: str) -> str:
    """The registered name: audio/mp3 is audio/mpeg."""
    word = media_type.removeprefix("audio/")
    return f"audio/{_AUDIO.get(word, word)}"


def audio_format(media_type: str) -> str:
    """OpenAI's word for it."""
    word = media_type.removeprefix("audio/").removeprefix("x-")
    return {"mpeg": "mp3", "wave": "wav"}.get(word, word)


# What is a picture by the end of its URL, for providers that must be told.
_ENDINGS = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
}


def type_by_url(url: str) -> str:
    """The type that the URL's ending stands for; empty if it has none that is known."""
    path = url.partition("?")[0].partition("#")[0]
    return _ENDINGS.get(path.rpartition(".")[2].lower(), "")
