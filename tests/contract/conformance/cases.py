"""What is played: each recording of a generating endpoint × each client dialect, and the manifest for it.

Nothing depends on which recordings there are: providers, endpoints and features are taken from what is found.
A provider whose key would rest after a refusal is a resource of its own, so that no case hangs on another.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.fake_provider import FakeProvider
from tests.support.wire import Recording, recordings

Dialect = Literal["chat", "responses", "messages"]
DIALECTS: tuple[Dialect, ...] = ("chat", "responses", "messages")
# Endpoint → the dialect that its provider spoke.
NATIVE = {
    "chat.completions": "chat",
    "responses": "responses",
    "messages": "messages",
    "generateContent": "gemini",
    "streamGenerateContent": "gemini",
}
# Providers known by the product under the same name; a recording of any other could not be played.
_WITHOUT_VERSION = ("anthropic", "gemini")
# Kinds with more than one dialect, which have to be told which one was recorded.
_SEVERAL = ("openai", "xai", "openrouter", "gemini", "openai-compatible")
# After these a provider key rests.
_RESTING_STATUSES = (401, 402, 403, 429)


@dataclass(frozen=True, slots=True)
class Case:
    """One recording, called in one dialect. `quiet`: a chat stream whose client asks for no usage."""

    recording: Recording
    client: Dialect
    quiet: bool = False

    @property
    def id(self) -> str:
        return f"{self.recording.id}-{self.client}{'-quiet' if self.quiet else ''}"

    @property
    def native(self) -> str:
        return NATIVE[self.recording.endpoint]

    @property
    def passes_through(self) -> bool:
        return self.native == self.client

    @property
    def route(self) -> str:
        return route_name(self.recording)

    @property
    def provider_key(self) -> str:
        return f"key-of-{provider_name(self.recording)}"

    @property
    def upstream_path(self) -> str:
        """The recorded endpoint's path, below the root that the manifest gives."""
        recording = self.recording
        if recording.endpoint == "chat.completions" and recording.provider == "gemini":
            return "/v1beta/openai/chat/completions"
        if recording.endpoint == "generateContent":
            return f"/v1beta/models/{recording.model}:generateContent"
        if recording.endpoint == "streamGenerateContent":
            return f"/v1beta/models/{recording.model}:streamGenerateContent?alt=sse"
        return {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}[
            self.native
        ]


def route_name(recording: Recording) -> str:
    return recording.id.lower()


def provider_name(recording: Recording) -> str:
    return route_name(recording) if recording.status in _RESTING_STATUSES else recording.provider


@functools.cache
def generating() -> tuple[Recording, ...]:
    return tuple(_as_events(recording) for recording in recordings(None, tuple(NATIVE)))


def _as_events(recording: Recording) -> Recording:
    """Gemini streams an array to those who do not say `alt=sse`, which the gateway always does."""
    if recording.is_stream or recording.status != 200 or recording.endpoint != "streamGenerateContent":
        return recording
    documents = recording.document if isinstance(recording.document, list) else [recording.document]
    body = "".join(f"data: {json.dumps(one)}\r\n\r\n" for one in documents).encode()
    headers = {**recording.headers, "content-type": "text/event-stream"}
    return dataclasses.replace(recording, body=body, headers=headers, is_stream=True)


def asks_for_stream(recording: Recording) -> bool:
    """Whether the recorded client wanted events (an error may have been the answer to that)."""
    if recording.endpoint == "streamGenerateContent":
        return True
    return bool((recording.request_body or {}).get("stream"))


def cases(client: Dialect) -> list[Case]:
    found = [Case(recording, client) for recording in generating()]
    if client == "chat":
        found += [
            Case(recording, client, quiet=True)
            for recording in generating()
            if recording.is_stream and NATIVE[recording.endpoint] != "chat"
        ]
    return found


def providers() -> list[str]:
    return sorted({recording.provider for recording in generating()})


def manifest(provider: FakeProvider) -> dict[str, Any]:
    """One model and one route per recording, each at its provider and in its dialect."""
    found: dict[str, dict[str, Any]] = {}
    models: list[dict[str, Any]] = []
    routes: list[dict[str, Any]] = []
    for recording in generating():
        name = provider_name(recording)
        base_url = provider.url if recording.provider in _WITHOUT_VERSION else provider.base_url
        found[name] = {
            "name": name,
            "kind": recording.provider,
            "keys": [f"key-of-{name}"],
            "base_url": base_url,
            "private_network": True,
        }
        model: dict[str, Any] = {
            "name": f"model-{len(models)}",
            "provider": name,
            "upstream_model": recording.model or "none",
        }
        native = NATIVE[recording.endpoint]
        if native in ("chat", "responses") and recording.provider in _SEVERAL:
            model["dialects"] = [native]
        models.append(model)
        routes.append(
            {"name": route_name(recording), "policy": model["name"], "retry": {"attempts": 1}},
        )
    return {"providers": list(found.values()), "models": models, "routes": routes}
