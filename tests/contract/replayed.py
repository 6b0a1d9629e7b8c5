"""Every OpenAI-dialect recording played through a running gateway, and what came of it on all four sides:
what the client got, what the provider was sent, what the provider served, what was recorded as usage.

One `headgate up`, one provider resource per kind (and one more for each recording that makes a key rest), one
replay server whose answer is chosen before each call. Calls go one after the other, so that each upstream
request is known to belong to its call.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import grpc

from headgate.v1 import admin_pb2, admin_pb2_grpc
from tests.support.fake_provider import Cuts, FakeProvider
from tests.support.processes import Headgate
from tests.support.wire import Recording, recordings, replay

PROVIDERS = ("openai", "groq", "cerebras", "mistral", "xai", "openrouter")
ENDPOINTS = ("chat.completions", "completions", "embeddings")
PATHS = {
    "chat.completions": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
}
ONE_BYTE_AT_A_TIME = Cuts((1,), repeat=True)
# Larger streams one byte at a time would only repeat what the smaller ones show.
BYTEWISE_STREAM_BYTES = 12_000
USAGE_TIMEOUT_SECONDS = 20.0
# After these a provider key rests, and the next recording would not reach its provider.
_RESTING_STATUSES = (401, 402, 403, 429)


@dataclass(frozen=True, slots=True)
class Play:
    """One way to play a recording: `as recorded`, `usage not asked for`, `byte by byte`."""

    recording: Recording
    way: str

    @property
    def id(self) -> str:
        return f"{self.recording.id}-{self.way.replace(' ', '-')}"

    @property
    def asked(self) -> dict[str, Any]:
        """The request as the client means it, its model included."""
        asked = dict(self.recording.request_body or {})
        if self.way == "usage not asked for":
            del asked["stream_options"]
        return asked

    @property
    def sent(self) -> bytes:
        """The request as the client sends it: the route's name as its model."""
        document = {**self.asked, "model": route_name(self.recording)}
        return json.dumps(document, ensure_ascii=False).encode()

    @property
    def cuts(self) -> Cuts | None:
        return ONE_BYTE_AT_A_TIME if self.way == "byte by byte" else None


@dataclass(slots=True)
class Played:
    status: int
    headers: Mapping[str, str]
    body: bytes
    # What the provider was sent, attempt by attempt.
    upstream: list[bytes]
    upstream_paths: list[str]
    call: admin_pb2.CallView = field(default_factory=admin_pb2.CallView)

    @property
    def request_id(self) -> str:
        return self.headers["x-request-id"]

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


def played_recordings() -> list[Recording]:
    return recordings(PROVIDERS, ENDPOINTS)


def plays() -> list[Play]:
    found = [Play(recording, "as recorded") for recording in played_recordings()]
    for recording in recordings(PROVIDERS, ENDPOINTS, stream=True):
        if "stream_options" in (recording.request_body or {}):
            found.append(Play(recording, "usage not asked for"))
    for provider in PROVIDERS:
        streams = recordings([provider], ENDPOINTS, stream=True)
        small = [recording for recording in streams if len(recording.body) <= BYTEWISE_STREAM_BYTES]
        found += [Play(recording, "byte by byte") for recording in small[:4]]
    return found


def manifest(base_url: str) -> dict[str, Any]:
    """Providers, one model per recorded model, one route per recording."""
    providers: dict[str, dict[str, Any]] = {}
    models: dict[tuple[str, str], dict[str, Any]] = {}
    routes = []
    for recording in played_recordings():
        name = _provider_name(recording)
        providers[name] = {
            "name": name,
            "kind": recording.provider,
            "keys": [f"key-of-{name}"],
            "base_url": base_url,
            "private_network": True,
        }
        model = models.setdefault(
            (name, recording.model),
            {"name": f"model-{len(models)}", "provider": name, "upstream_model": recording.model},
        )
        routes.append({"name": route_name(recording), "policy": model["name"], "retry": {"attempts": 1}})
    return {"providers": list(providers.values()), "models": list(models.values()), "routes": routes}


def route_name(recording: Recording) -> str:
    return recording.id


def _provider_name(recording: Recording) -> str:
    return recording.id if recording.status in _RESTING_STATUSES else recording.provider


def play_all(gateway: Headgate, provider: FakeProvider, chosen: Iterable[Play]) -> dict[str, Played]:
    address = urlsplit(gateway.http)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    found = {play.id: _play(connection, gateway.api_key, provider, play) for play in chosen}
    connection.close()
    calls = calls_by_request_id(gateway, len(found))
    for played in found.values():
        played.call = calls.get(played.request_id, played.call)
    return found


def _play(connection: http.client.HTTPConnection, key: str, provider: FakeProvider, play: Play) -> Played:
    provider.reset()
    provider.always("*", replay(play.recording, play.cuts))
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection.request("POST", PATHS[play.recording.endpoint], play.sent, headers)
    answer = connection.getresponse()
    body = answer.read()
    # Done, or its second entry would come after the next reset.
    attempts = provider.wait_done(1)
    return Played(
        status=answer.status,
        headers={name.lower(): value for name, value in answer.getheaders()},
        body=body,
        upstream=[attempt.body for attempt in attempts],
        upstream_paths=[attempt.path for attempt in attempts],
    )


def calls_by_request_id(gateway: Headgate, expected: int) -> dict[str, admin_pb2.CallView]:
    """All calls as the control plane knows them, once it knows as many as were made."""
    with grpc.insecure_channel(gateway.grpc) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)  # type: ignore[no-untyped-call]
        metadata = (("authorization", f"Bearer {gateway.admin_token}"),)
        deadline = time.monotonic() + USAGE_TIMEOUT_SECONDS
        while True:
            request = admin_pb2.ListCallsRequest(page_size=1000)
            found = list(stub.ListCalls(request, metadata=metadata, timeout=10).calls)
            if len(found) >= expected or time.monotonic() > deadline:
                return {call.request_id.replace("-", ""): call for call in found}
            time.sleep(0.1)
