"""How a native call ends: cut, left, without a body; what it was worth is in its record all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway, reason
from tests.integration.proxy.native_manifest import NATIVE, head
from tests.integration.proxy.raw_client import Closed, RawClient
from tests.support.fake_provider import Behaviour, Cut, FakeProvider
from tests.support.piecewise import PiecewiseProvider
from tests.support.provider.behaviour import CutKind

EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "model": "claude-3-5-haiku-latest",
            "usage": {"input_tokens": 1000, "cache_read_input_tokens": 0, "output_tokens": 1},
        },
    },
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "the last word"}},
]
STREAM = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS).encode()
# 1000 tokens of input and one of output, at 0.80 and 4 USD per million.
COST_USD = "0.000804"


def ask(client: RawClient, method: str, path: str, body: bytes = b"") -> None:
    lines = [f"content-length: {len(body)}"] if body else []
    client.send(head(method, f"/providers/{path}", *lines) + body)


@pytest.mark.parametrize(
    ("how", "said"), [("stall", "client_left"), ("reset", "connection_reset"), ("close", "connection_reset")]
)
def test_a_stream_that_ends_early_costs_what_it_had_told_by_then(
    native: Gateway, oai: FakeProvider, how: CutKind, said: str
) -> None:
    oai.always("*", Behaviour(body=STREAM + b" ", stream=True, cut=Cut("body_bytes", len(STREAM), how)))
    with native.connect() as client:
        ask(client, "POST", "ant/v1/messages", b'{"stream": true}')
        client.wait_for(b"the last word")
        if how != "stall":
            with pytest.raises(Closed):
                client.answer()
    row = native.row_of(native.attempts(1)[0])
    assert (reason(row), row.upstream_model) == (said, "claude-3-5-haiku-latest")
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (1000, 1, COST_USD)
    assert row.estimated, "nobody knows what it said after that"


@pytest.mark.parametrize("how", ["stall", "reset"])
@pytest.mark.parametrize(("method", "priced"), [("POST", False), ("GET", True), ("DELETE", True)])
def test_what_breaks_off_before_it_told_its_usage_is_unpriced_unless_it_makes_nothing(
    native: Gateway, oai: FakeProvider, how: CutKind, method: str, priced: bool
) -> None:
    oai.always("*", Behaviour(body={"data": []}, cut=Cut("body_bytes", 4, how)))
    with native.connect() as client:
        ask(client, method, "oai/v1/files/f", b"{}" if method == "POST" else b"")
        client.wait_for(b'{"da')
    row = native.row_of(native.attempts(1)[0])
    assert (row.HasField("cost_usd"), row.cost_usd) == (priced, "0" if priced else "")


def test_what_was_refused_costs_nothing(native: Gateway, oai: FakeProvider) -> None:
    oai.always("*", Behaviour(status=400, body={"error": {"message": "no"}}))
    answer = native.request("POST", "/providers/ant/v1/messages", b"{}", key=NATIVE)
    assert answer.status == 400
    assert native.call(answer.request_id).cost_usd == "0"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("length", [b"", b"content-length: 0\r\n"])
def test_an_answer_without_a_body_ends_with_its_head(
    native: Gateway, pieces: PiecewiseProvider, status: int, length: bytes
) -> None:
    with native.connect() as client:
        ask(client, "GET", "pieces/v1/files/f")
        with pieces.accept() as upstream:
            upstream.read_until(b"\r\n\r\n")
            upstream.send(b'HTTP/1.1 %d Nothing\r\netag: "1"\r\n%b\r\n' % (status, length))
            answer = client.answer()
            assert (answer.status, answer.header("etag")) == (status, '"1"')
            assert answer.header("transfer-encoding") is None
        # No byte of a body lies between the two.
        ask(client, "GET", "pieces/v1/files/g")
        with pieces.accept() as upstream:
            upstream.read_until(b"\r\n\r\n")
            upstream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            assert client.answer().body == b"{}"
