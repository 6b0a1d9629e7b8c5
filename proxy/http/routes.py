"""Which path is answered by what; everything else is a 404 or 405 in JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import unquote

from proxy.call import Calls
from proxy.config.model import Key, Snapshot
from proxy.config.resolve import callable_names, resolve
from proxy.errors import CallError, not_supported_yet
from proxy.http.request import Request
from proxy.http.responses import Raw, Streamed, error_response, json_response
from proxy.ids import Ids

OPERATIONS = {
    "/v1/chat/completions": "chat.completions",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
}
# Part of the interface, not built yet.
_PLANNED = (
    "/v1/responses",
    "/v1/moderations",
    "/v1/images/",
    "/v1/audio/",
    "/v1/messages",
    "/providers/",
    "/headgate/v1/feedback",
)
_RECEIPTS = "/headgate/v1/receipts/"
_MODELS = "/v1/models"

# Looks a receipt up in all workers of the proxy: (request id, tenant, key).
FindReceipt = Callable[[bytes, str, str], Awaitable[dict[str, Any] | None]]


class Routes:
    def __init__(self, calls: Calls, find_receipt: FindReceipt, ids: Ids) -> None:
        self._calls = calls
        self._find_receipt = find_receipt
        self._ids = ids

    def handle(self, request: Request) -> Coroutine[Any, Any, Raw | Streamed]:
        """A coroutine that answers. No coroutine of its own: calls are what matters."""
        operation = OPERATIONS.get(request.path)
        if operation is not None and request.method == "POST":
            return self._calls.handle(request, operation)
        return self._handle_other(request, operation)

    async def _handle_other(self, request: Request, operation: str | None) -> Raw:
        request_id = self._ids.new().hex()
        try:
            return await self._other(request, request_id, operation)
        except CallError as error:
            return error_response(error, request, request_id)

    def check_early(self, request: Request) -> CallError | None:
        """Before a large body is read: is there such a path, and may this client use it?"""
        if request.path not in OPERATIONS:
            return CallError(404, "not_found", f"There is nothing at {request.path[:200]!r}.")
        try:
            self._calls.authenticate(request)
        except CallError as error:
            return error
        return None

    async def _other(self, request: Request, request_id: str, operation: str | None) -> Raw:
        path = request.path
        if operation is not None:
            raise _method_not_allowed(request, "POST")
        if path == "/" and request.method in ("GET", "HEAD"):
            return json_response({"headgate": "ok"}, request_id)
        if path == _MODELS or path.startswith(f"{_MODELS}/"):
            if request.method not in ("GET", "HEAD"):
                raise _method_not_allowed(request, "GET")
            snapshot, key = self._calls.authenticate(request)
            # SDKs write the slash of `provider/model` as %2F.
            name = unquote(path[len(_MODELS) + 1 :])
            return json_response(_models(snapshot, key, name), request_id)
        if path.startswith(_RECEIPTS):
            if request.method != "GET":
                raise _method_not_allowed(request, "GET")
            _, key = self._calls.authenticate(request)
            return await self._receipt(path[len(_RECEIPTS) :], key, request_id)
        if path.startswith(_PLANNED):
            self._calls.authenticate(request)
            raise not_supported_yet(f"{request.method} {path[:100]}")
        raise CallError(404, "not_found", f"There is nothing at {path[:200]!r}.")

    async def _receipt(self, text: str, key: Key, request_id: str) -> Raw:
        try:
            wanted = bytes.fromhex(text.replace("-", ""))
        except ValueError:
            wanted = b""
        receipt = await self._find_receipt(wanted, key.tenant, key.name) if len(wanted) == 16 else None
        if receipt is None:
            raise CallError(
                404,
                "not_found",
                f"There is no receipt {text[:80]!r} here; receipts are kept for 10 minutes. "
                f"'headgate calls show' knows older calls.",
            )
        return json_response(receipt, request_id)


def _models(snapshot: Snapshot, key: Key, name: str) -> dict[str, Any]:
    """The list, or one entry. https://platform.openai.com/docs/api-reference/models"""
    if name:
        resolve(snapshot, key, name)
        owner = next((o for n, o in callable_names(snapshot, key) if n == name), "headgate")
        return _model(name, owner)
    return {"object": "list", "data": [_model(n, o) for n, o in sorted(callable_names(snapshot, key))]}


def _model(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def _method_not_allowed(request: Request, allowed: str) -> CallError:
    return CallError(
        405,
        "method_not_allowed",
        f"{request.method} is not possible here; use {allowed}.",
        headers={"allow": allowed},
    )
