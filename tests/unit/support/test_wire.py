"""A replayed recording is, byte for byte and cut for cut, what the provider sent."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.fake_provider import Cuts, FakeProvider
from tests.support.wire import (
    OPENAI_DIALECT_PROVIDERS,
    Recording,
    client_requests,
    needs_wire,
    openai_dialect,
    recordings,
    replay,
)

pytestmark = needs_wire


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


def served(provider: FakeProvider, recording: Recording) -> tuple[bytes, list[bytes]]:
    """The head, and the body as the HTTP chunks it came in (one for a Content-Length body)."""
    body = json.dumps(recording.request_body).encode() if recording.request_body is not None else b""
    head = f"{recording.method} {recording.path} HTTP/1.1\r\n"
    head += f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    data = b""
    with closing(socket.create_connection(("127.0.0.1", provider.port), timeout=5.0)) as connection:
        connection.sendall(head.encode() + body)
        while piece := connection.recv(1 << 16):
            data += piece
    answer_head, _, rest = data.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in answer_head:
        return answer_head, [rest]
    chunks = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        chunks.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return answer_head, chunks[:-1]


def test_every_recording_of_the_openai_dialect_is_served_back_with_its_cuts(provider: FakeProvider) -> None:
    for recording in openai_dialect():
        provider.always("*", replay(recording))
        head, chunks = served(provider, recording)
        assert b"".join(chunks) == recording.body, recording.id
        assert head.startswith(f"HTTP/1.1 {recording.status} ".encode()), recording.id
        assert recording.headers["content-type"].encode() in head, recording.id
        if recording.cuts:
            assert [len(chunk) for chunk in chunks] == list(recording.cuts), recording.id


def test_other_cuts_can_be_asked_for(provider: FakeProvider) -> None:
    recording = recordings(providers=["groq"], stream=True)[0]
    provider.always("*", replay(recording, Cuts((7,), repeat=True)))
    _, chunks = served(provider, recording)
    assert {len(chunk) for chunk in chunks[:-1]} == {7}
    assert b"".join(chunks) == recording.body


def test_recordings_are_chosen_by_provider_endpoint_and_feature() -> None:
    found = recordings(providers=["openai"], endpoints=["embeddings"], features=["embeddings_base64"])
    assert found
    assert {(recording.provider, recording.endpoint) for recording in found} == {("openai", "embeddings")}
    assert {recording.provider for recording in openai_dialect()} <= set(OPENAI_DIALECT_PROVIDERS)
    assert len(recordings()) >= 600
    assert len(client_requests()) >= 70


def test_recorded_usage_is_read_by_class() -> None:
    with_cache = [recording for recording in openai_dialect() if "cached_tokens" in recording.features]
    assert any(
        recording.tokens is not None and recording.tokens.cached_tokens > 0 for recording in with_cache
    )
