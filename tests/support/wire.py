"""The recorded provider traffic of `shared/wire`: loaded in place, and replayed as an upstream.

Found by HEADGATE_WIRE, default `../shared/wire` beside the checkout; tests that need it carry `needs_wire`
and are skipped without it. Nothing of it is copied into the project. JSON bodies are re-serialised (their key
order was not recorded faithfully); streams are the recorded bytes with the recorded cuts.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_provider import Behaviour, Cuts, FakeProvider, Usage

# Headers that described the recorded bytes; what is replayed is decoded and framed anew.
_FRAMING_HEADERS = {"content-encoding", "content-length", "transfer-encoding", "connection"}

OPENAI_DIALECT_ENDPOINTS = ("chat.completions", "completions", "embeddings", "models")
OPENAI_DIALECT_PROVIDERS = (
    "openai",
    "groq",
    "cerebras",
    "deepinfra",
    "mistral",
    "xai",
    "openrouter",
    "nvidia",
)


@dataclass(frozen=True, slots=True)
class Recording:
    """One exchange. `body` is what the client would read after HTTP: JSON or the stream's bytes."""

    id: str
    provider: str
    endpoint: str
    model: str
    method: str
    path: str
    request_headers: Mapping[str, str]
    request_body: Mapping[str, Any] | None
    status: int
    headers: Mapping[str, str]
    body: bytes
    is_stream: bool
    cuts: tuple[int, ...]  # sizes of the network's pieces; empty where unknown
    features: frozenset[str]
    usage: Mapping[str, Any] | None

    @property
    def document(self) -> Any:
        """The whole JSON body; raises ValueError for a stream."""
        return json.loads(self.body)

    @property
    def tokens(self) -> Usage | None:
        """The usage as reported, by class, in the OpenAI form; None where none was."""
        if self.usage is None:
            return None
        prompt = self.usage.get("prompt_tokens_details") or {}
        completion = self.usage.get("completion_tokens_details") or {}
        return Usage(
            prompt_tokens=self.usage.get("prompt_tokens") or 0,
            completion_tokens=self.usage.get("completion_tokens") or 0,
            cached_tokens=prompt.get("cached_tokens") or 0,
            reasoning_tokens=completion.get("reasoning_tokens") or 0,
            audio_prompt_tokens=prompt.get("audio_tokens") or 0,
            audio_completion_tokens=completion.get("audio_tokens") or 0,
        )


def wire_folder() -> Path:
    default = Path(__file__).resolve().parents[2].parent / "shared" / "wire"
    return Path(os.environ.get("HEADGATE_WIRE") or default)


def wire_available() -> bool:
    return (wire_folder() / "recordings").is_dir()


needs_wire = pytest.mark.skipif(
    not wire_available(), reason="no wire recordings: set HEADGATE_WIRE or put them at ../shared/wire"
)


def recordings(
    providers: Collection[str] | None = None,
    endpoints: Collection[str] | None = None,
    features: Collection[str] = (),
    stream: bool | None = None,
) -> list[Recording]:
    """The recordings that match, by id; empty without the folder, so that parametrising works there too."""
    return [
        recording
        for recording in _all_recordings()
        if (providers is None or recording.provider in providers)
        and (endpoints is None or recording.endpoint in endpoints)
        and recording.features.issuperset(features)
        and (stream is None or recording.is_stream == stream)
    ]


def openai_dialect() -> list[Recording]:
    """What an OpenAI-dialect upstream said: all that issue 2's replay has to pass through unchanged."""
    return recordings(OPENAI_DIALECT_PROVIDERS, OPENAI_DIALECT_ENDPOINTS)


def client_requests() -> list[dict[str, Any]]:
    """Requests that real clients send to a gateway: client, method, path, headers, body."""
    path = wire_folder() / "client_requests.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@functools.cache
def _all_recordings() -> tuple[Recording, ...]:
    if not wire_available():
        return ()
    return tuple(_load(path) for path in sorted((wire_folder() / "recordings").glob("*.json")))


def _load(path: Path) -> Recording:
    document = json.loads(path.read_text())
    stream_text = document.get("response_sse")
    if stream_text is not None:
        body = stream_text.encode()
    else:
        body = json.dumps(document["response_body"], ensure_ascii=False, separators=(",", ":")).encode()
        # Only the number of whitespace bytes was recorded; OpenRouter sends lines of blanks.
        body = _whitespace(document.get("response_leading_whitespace") or 0) + body
    return Recording(
        id=document["id"],
        provider=document["provider"],
        endpoint=document["endpoint"],
        model=document["model"] or "",
        method=document["method"],
        path=document["path"],
        request_headers=document["request_headers"],
        request_body=document["request_body"],
        status=document["status"],
        headers={name.lower(): value for name, value in document["response_headers"].items()},
        body=body,
        is_stream=stream_text is not None,
        cuts=tuple(document.get("sse_network_chunk_bytes") or ()),
        features=frozenset(document["features"]),
        usage=document.get("usage"),
    )


def _whitespace(size: int) -> bytes:
    return (b"\n         " * (size // 10 + 1))[:size]


def replay(recording: Recording, cuts: Cuts | None = None) -> Behaviour:
    """The recording as a scripted answer; `cuts` instead of the recorded ones."""
    recorded_cuts = Cuts(recording.cuts) if recording.cuts else None
    chunked = recording.is_stream or "chunked" in recording.headers.get("transfer-encoding", "")
    return Behaviour(
        status=recording.status,
        headers={name: value for name, value in recording.headers.items() if name not in _FRAMING_HEADERS},
        body=recording.body,
        stream=recording.is_stream,
        usage=recording.tokens,
        framing="chunked" if chunked else "content-length",
        cuts=cuts or recorded_cuts,
    )


def replay_provider(recording: Recording, cuts: Cuts | None = None) -> FakeProvider:
    """A provider (to be used in a `with`) that answers everything with that recording."""
    provider = FakeProvider()
    provider.always("*", replay(recording, cuts))
    return provider
