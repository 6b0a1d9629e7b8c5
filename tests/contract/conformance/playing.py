"""Plays cases through one running gateway, one after the other, and keeps what came of each on every side.

Each upstream request is known to belong to its call, because no two are in the air together.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import grpc

from headgate.v1 import admin_pb2, admin_pb2_grpc
from tests.contract.conformance.asking import Asking, asking
from tests.contract.conformance.cases import Case
from tests.contract.conformance.sdk import CopyingTransport, Heard, Sdks, Taken
from tests.support.fake_provider import Attempt, FakeProvider
from tests.support.processes import Headgate
from tests.support.wire import replay

USAGE_TIMEOUT_SECONDS = 20.0
_PAGE_SIZE = 1_000


@dataclass(slots=True)
class Played:
    """`asked.document` None: nothing was sent, and the rest is empty."""

    case: Case
    asked: Asking
    taken: Taken = field(default_factory=Taken)
    heard: Heard = field(default_factory=Heard)
    upstream: list[Attempt] = field(default_factory=list)
    call: admin_pb2.CallView = field(default_factory=admin_pb2.CallView)

    @property
    def request_id(self) -> str:
        return self.taken.headers.get("x-request-id", "")


def play_all(gateway: Headgate, provider: FakeProvider, chosen: list[Case]) -> list[Played]:
    transport = CopyingTransport()
    with Sdks(gateway.http, gateway.api_key, transport) as sdks:
        found = [_play(sdks, transport, provider, case) for case in chosen]
    # A request that the gateway itself refuses is nobody's call.
    calls = _calls(gateway, {played.request_id for played in found if played.upstream})
    for played in found:
        played.call = calls.get(played.request_id, played.call)
    return found


def _play(sdks: Sdks, transport: CopyingTransport, provider: FakeProvider, case: Case) -> Played:
    asked = asking(case)
    if asked.document is None:
        return Played(case, asked)
    transport.taken = Taken()
    provider.reset()
    provider.always("*", replay(case.recording))
    heard = sdks.call(case.client, asked.document, headers_of(case))
    played = Played(case, asked, transport.taken, heard)
    if "x-headgate-model" in played.taken.headers or provider.attempts():
        # Done, or its second entry would come after the next reset.
        played.upstream = provider.wait_done(1)
    return played


def headers_of(case: Case) -> dict[str, str]:
    """What the recorded client said beside the body, where its provider is spoken to in its dialect."""
    if not (case.passes_through and case.client == "messages"):
        return {}
    recorded = {name.lower(): value for name, value in case.recording.request_headers.items()}
    return {name: recorded[name] for name in ("anthropic-version", "anthropic-beta") if name in recorded}


def _calls(gateway: Headgate, expected: set[str]) -> dict[str, admin_pb2.CallView]:
    """All calls as the control plane knows them, by request id, once it knows those."""
    deadline = time.monotonic() + USAGE_TIMEOUT_SECONDS
    with grpc.insecure_channel(gateway.grpc) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)  # type: ignore[no-untyped-call]
        metadata = (("authorization", f"Bearer {gateway.admin_token}"),)
        while True:
            found: dict[str, admin_pb2.CallView] = {}
            token: Any = ""
            while True:
                request = admin_pb2.ListCallsRequest(page_size=_PAGE_SIZE, page_token=token)
                answer = stub.ListCalls(request, metadata=metadata, timeout=10)
                found |= {call.request_id.replace("-", ""): call for call in answer.calls}
                token = answer.next_page_token
                if not token:
                    break
            if expected <= found.keys() or time.monotonic() > deadline:
                return found
            time.sleep(0.1)
