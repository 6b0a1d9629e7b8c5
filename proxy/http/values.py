"""Text from outside as it can stand in a header."""

from __future__ import annotations

# Control characters would end the line and begin another header (A5).
_FORBIDDEN = str.maketrans(dict.fromkeys(map(chr, [*range(32), 127]), " "))


def header_value(text: str) -> str:
    """On one line, in Latin-1; what does not fit becomes a space or a question mark."""
    return text.translate(_FORBIDDEN).encode("latin-1", "replace").decode("latin-1")
