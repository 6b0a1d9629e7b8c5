"""One running Headgate with the fake provider behind it, and what tests ask of the two.

Calls go over sockets of their own; usage rows come from the control plane's gRPC API, where an automation
user reads them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import grpc

from headgate.v1 import admin_pb2, admin_pb2_grpc, usage_pb2
from tests.integration.proxy.raw_client import Answer, RawClient, request_bytes
from tests.support.fake_provider import Attempt, FakeProvider
from tests.support.processes import Headgate

QUESTION = [{"role": "user", "content": "What is six by seven?"}]
ROW_TIMEOUT_SECONDS = 10.0
RPC_TIMEOUT_SECONDS = 10.0


def chat(model: str = "chat", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": QUESTION, **fields}


class Gateway:
    """`headgate` is the program, `provider` what it calls."""

    def __init__(self, headgate: Headgate, provider: FakeProvider) -> None:
        self.headgate = headgate
        self.provider = provider
        self.url = headgate.http
        self.base_url = headgate.base_url
        self.key = headgate.api_key
        self._channel = grpc.insecure_channel(headgate.grpc)
        self._admin: Any = admin_pb2_grpc.AdminServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._credentials = [("authorization", f"Bearer {headgate.admin_token}")]

    def close(self) -> None:
        self._channel.close()

    def connect(self, source: str = "127.0.0.1") -> RawClient:
        return RawClient(self.url, source=source)

    def post(
        self,
        document: Mapping[str, Any] | bytes,
        path: str = "/v1/chat/completions",
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        source: str = "127.0.0.1",
    ) -> Answer:
        """One call on a connection of its own. `key` "": the quickstart key; None: no credential."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.request("POST", path, body, key=key, headers=headers, source=source)

    def get(self, path: str, *, key: str | None = "", headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, b"", key=key, headers={"content-length": "", **(headers or {})})

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        source: str = "127.0.0.1",
    ) -> Answer:
        with self.connect(source) as client:
            client.send(request_bytes(body, self.key if key == "" else key, path, method, headers))
            return client.answer(head_only=method == "HEAD")

    def receipt(self, request_id: str) -> dict[str, Any]:
        answer = self.get(f"/headgate/v1/receipts/{request_id}")
        assert answer.status == 200, answer.body
        receipt: dict[str, Any] = answer.document()
        return receipt

    def tried(self, request_id: str) -> list[dict[str, Any]]:
        """The attempts of a call as its receipt lists them: the rows, without waiting for them."""
        attempts: list[dict[str, Any]] = self.receipt(request_id)["attempts"]
        return attempts

    def forget_connections(self) -> None:
        """The proxy's next attempt opens a connection of its own."""
        self.provider.drop_connections()

    def apply(self, request: admin_pb2.ApplyResourcesRequest) -> None:
        """Raises grpc.RpcError; nothing of a manifest's own checks comes before."""
        self._admin.ApplyResources(request, metadata=self._credentials, timeout=RPC_TIMEOUT_SECONDS)

    # The ledgers.

    def attempts(self, count: int) -> list[Attempt]:
        """What the provider saw in this test: exactly `count` attempts, all of them over."""
        attempts = self.provider.wait_done(count)
        assert len(attempts) == count, [(attempt.model, attempt.status) for attempt in attempts]
        return attempts

    def calls(self, limit: int | None = None) -> Iterator[Any]:
        """The calls that the control plane knows, newest first, without attempts."""
        request = admin_pb2.ListCallsRequest()
        while limit is None or limit > 0:
            page = self._admin.ListCalls(request, metadata=self._credentials, timeout=RPC_TIMEOUT_SECONDS)
            yield from page.calls[:limit]
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
            limit = None if limit is None else limit - len(page.calls)

    def call(self, request_id: str) -> Any:
        """The CallView with all its attempts, as soon as the last one's row is there."""
        receipt = self.get(f"/headgate/v1/receipts/{request_id}")
        attempts = len(receipt.document()["attempts"]) if receipt.status == 200 else 1
        deadline = time.monotonic() + ROW_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                call = self.call_now(request_id)
                if call.status and call.attempts >= attempts:
                    return call
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.NOT_FOUND:
                    raise
            time.sleep(0.03)
        raise TimeoutError(f"no row for call {request_id}")

    def call_now(self, request_id: str) -> Any:
        request = admin_pb2.GetCallRequest(request_id=request_id)
        return self._admin.GetCall(request, metadata=self._credentials, timeout=RPC_TIMEOUT_SECONDS).call

    def row_of(self, attempt: Attempt) -> Any:
        """The AttemptView of what the provider saw, found by its id, whoever asked for it."""
        deadline = time.monotonic() + ROW_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            for call in self.calls(limit=20):
                for row in self.call_now(call.request_id).attempt_list:
                    if same_id(row.id, attempt.client_request_id):
                        return row
            time.sleep(0.1)
        raise TimeoutError(f"no row for attempt {attempt.client_request_id}")


def same_id(one: str, other: str) -> bool:
    """Ids are UUIDs; one side writes them with hyphens, the other without."""
    return bool(one) and one.replace("-", "") == other.replace("-", "")


def outcome(view: Any) -> str:
    return str(usage_pb2.Outcome.Name(view.outcome)).removeprefix("OUTCOME_").lower()


def reason(view: Any) -> str:
    return str(usage_pb2.Reason.Name(view.reason)).removeprefix("REASON_").lower()
