"""Which path is answered by what; everything else is a 404 or 405 in JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import unquote

from proxy.call import Calls
from proxy.config.model import Key, Snapshot
from proxy.config.resolve import callable_names, resolve
from proxy.errors import CallError, body_too_large
from proxy.http.request import Request
from proxy.http.responses import Raw, Streamed, error_response, json_response, speaks_anthropic
from proxy.ids import Ids
from proxy.judging.feedback import MAX_FEEDBACK_BYTES, Feedback
from proxy.passthrough import PREFIX, PassthroughCalls

OPERATIONS = {
    "/v1/chat/completions": "chat.completions",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/messages/count_tokens": "messages.count_tokens",
    "/v1/responses/input_tokens": "responses.input_tokens",
    "/v1/responses/compact": "responses.compact",
    "/v1/moderations": "moderations",
    "/v1/images/generations": "images.generations",
    "/v1/images/edits": "images.edits",
    "/v1/images/variations": "images.variations",
    "/v1/audio/speech": "audio.speech",
    "/v1/audio/transcriptions": "audio.transcriptions",
    "/v1/audio/translations": "audio.translations",
}
_FEEDBACK = "/headgate/v1/feedback"
_STORED = "/v1/responses/"
_RECEIPTS = "/headgate/v1/receipts/"
_MODELS = "/v1/models"

# Looks a receipt up in all workers of the proxy: (request id, tenant, key).
FindReceipt = Callable[[bytes, str, str], Awaitable[dict[str, Any] | None]]


class Routes:
    def __init__(
        self,
        calls: Calls,
        passthrough: PassthroughCalls,
        feedback: Feedback,
        find_receipt: FindReceipt,
        ids: Ids,
    ) -> None:
        self._feedback = feedback
        self._calls = calls
        self._passthrough = passthrough
        self._find_receipt = find_receipt
        self._ids = ids

    def handle(self, request: Request) -> Coroutine[Any, Any, Raw | Streamed]:
        """A coroutine that answers. No coroutine of its own: calls are what matters."""
        operation = OPERATIONS.get(request.path)
        if operation is not None and request.method == "POST":
            return self._calls.handle(request, operation)
        return self._handle_other(request, operation)

    async def _handle_other(self, request: Request, operation: str | None) -> Raw | Streamed:
        new_id = self._ids.new()
        request_id = new_id.hex()
        try:
            if request.path.startswith(PREFIX):
                return await self._passthrough.handle(request, new_id)
            return await self._other(request, request_id, operation)
        except CallError as error:
            if request.response_begun:
                raise ConnectionAbortedError("the answer cannot be finished") from error
            return error_response(error, request, request_id)

    def streams(self, request: Request) -> bool:
        """Whether its body is passed on as it comes in."""
        return request.path.startswith(PREFIX)

    def check_early(self, request: Request) -> CallError | None:
        """Before a large body is read: is there such a path, and may this client use it?"""
        if request.path not in OPERATIONS and request.path != _FEEDBACK:
            return CallError(404, "not_found", f"There is nothing at {request.path[:200]!r}.")
        try:
            self._calls.authenticate(request)
        except CallError as error:
            return error
        length = int(request.headers.get(b"content-length", b"0"))
        if request.path == _FEEDBACK and length > MAX_FEEDBACK_BYTES:
            return body_too_large(MAX_FEEDBACK_BYTES)
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
            document = _models(snapshot, key, name, anthropic=speaks_anthropic(request))
            return json_response(document, request_id)
        if path.startswith(_RECEIPTS):
            if request.method != "GET":
                raise _method_not_allowed(request, "GET")
            _, key = self._calls.authenticate(request)
            return await self._receipt(path[len(_RECEIPTS) :], key, request_id)
        if path.startswith(_STORED):
            self._calls.authenticate(request)
            raise CallError(
                404,
                "not_found",
                "Answers are stored at a provider, not here: a proxy does not know at which. A key with "
                "'passthrough' reaches them below /providers/NAME/.",
            )
        if path == _FEEDBACK:
            if request.method != "POST":
                raise _method_not_allowed(request, "POST")
            return self._feedback.take(request, request_id)
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


def _models(snapshot: Snapshot, key: Key, name: str, *, anthropic: bool) -> dict[str, Any]:
    """The list, or one entry. https://platform.openai.com/docs/api-reference/models,
    https://docs.anthropic.com/en/api/models-list"""
    form = _anthropic_model if anthropic else _model
    if name:
        resolve(snapshot, key, name)
        owner = next((o for n, o in callable_names(snapshot, key) if n == name), "headgate")
        return form(name, owner)
    found = [form(n, o) for n, o in sorted(callable_names(snapshot, key))]
    if not anthropic:
        return {"object": "list", "data": found}
    ids = [model["id"] for model in found]
    return {
        "data": found,
        "has_more": False,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
    }


def _model(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def _anthropic_model(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "type": "model", "display_name": name, "created_at": "1970-01-01T00:00:00Z"}


def _method_not_allowed(request: Request, allowed: str) -> CallError:
    return CallError(
        405,
        "method_not_allowed",
        f"{request.method} is not possible here; use {allowed}.",
        headers={"allow": allowed},
    )
