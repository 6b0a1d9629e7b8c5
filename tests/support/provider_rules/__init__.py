"""What each provider refuses with a 400, as far as a translated request can get it wrong, by dialect.

The rules of the wire (shapes, pairs of calls and results, names) are those that the scripted upstreams of
tests/programs apply; here come the ones that depend on the model and on what was said before. `Refused`
names the field.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tests.programs.upstream.rules import Refused
from tests.support.provider_rules import chat, gemini, messages, responses

__all__ = ["Refused", "check"]

_CREDENTIALS = {
    "authorization": "Bearer k",
    "x-api-key": "k",
    "x-goog-api-key": "k",
    "anthropic-version": "2023-06-01",
}


def check(
    dialect: str,
    document: dict[str, Any],
    *,
    model: str = "",
    headers: Mapping[str, str] | None = None,
    sealed: Collection[str] | None = None,
    kind: str = "openai",
) -> None:
    """Raises Refused. `model`: where the path has it; `sealed`: all opaque reasoning that the provider ever
    gave (None: not looked at); `kind`: of the chat provider."""
    given = _CREDENTIALS if headers is None else headers
    if dialect == "messages":
        messages.check(given, document, sealed)
    elif dialect == "responses":
        responses.check(given, document, sealed)
    elif dialect == "gemini":
        gemini.check(given, document, model, sealed)
    else:
        chat.check(given, document, kind)
