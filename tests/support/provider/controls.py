"""The provider's own paths below /_: what a test asks a provider in another process.

GET /_ledger and /_counts; POST /_script, /_reject_keys and /_reset. Never attempts, never in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.provider.behaviour import from_json
from tests.support.provider.connection import Request
from tests.support.provider.ledger import Ledger, attempt_to_json
from tests.support.provider.reply import parsed
from tests.support.provider.script import ANY, Script

Answer = tuple[int, dict[str, Any]]


class Controls:
    def __init__(self, ledger: Ledger, script: Script, counts: Callable[[], dict[str, int]]) -> None:
        self._ledger = ledger
        self._script = script
        self._counts = counts

    def answer(self, request: Request) -> Answer:
        """Status and document for one control request."""
        route = (request.method, request.path)
        if route == ("GET", "/_ledger"):
            return 200, {"attempts": [attempt_to_json(attempt) for attempt in self._ledger.attempts()]}
        if route == ("GET", "/_counts"):
            return 200, dict(self._counts())
        document = parsed(request.body)
        if route == ("POST", "/_script"):
            return self._take_script(document)
        if route == ("POST", "/_reject_keys"):
            self._script.reject_keys(document.get("keys", ()))
            return 200, {}
        if route == ("POST", "/_reset"):
            self._script.clear()
            self._ledger.clear()
            return 200, {}
        return 404, {"error": f"no such control: {request.method} {request.path}"}

    def _take_script(self, document: dict[str, Any]) -> Answer:
        try:
            behaviours = tuple(from_json(item) for item in document["behaviours"])
            model, key = document.get("model", ANY), document.get("key", ANY)
            if document.get("always"):
                self._script.stand(model, key, behaviours)
            else:
                self._script.push(model, key, behaviours)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            return 400, {"error": str(error)}
        return 200, {"waiting": self._script.waiting()}
