"""A provider's own API below /providers/NAME: who may, what travels, bodies both ways, what is recorded.

How such answers end is in `test_proxy_native_endings.py`.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.native_manifest import CHAT_ONLY, NATIVE, head
from tests.integration.proxy.raw_client import Closed, RawClient, request_bytes
from tests.support.fake_provider import Behaviour, FakeProvider
from tests.support.piecewise import PiecewiseProvider

MEGABYTE = 2**20
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"

# What travels.


def test_path_query_and_body_go_to_the_provider_with_its_key_and_nothing_of_ours(
    native: Gateway, oai: FakeProvider
) -> None:
    oai.always("*", Behaviour(body={"id": "file-1"}))
    answer = native.request(
        "POST",
        "/providers/oai/v1/files?purpose=batch&limit=2",
        b'{"a": 1}',
        key=NATIVE,
        headers={
            "content-type": "application/json",
            "openai-beta": "assistants=v2",
            "x-api-key": NATIVE,
            "cookie": "session=1",
            "x-secret": "mine",
        },
    )
    assert answer.status == 200
    assert answer.document() == {"id": "file-1"}
    [attempt] = native.attempts(1)
    assert (attempt.method, attempt.path) == ("POST", "/v1/files?purpose=batch&limit=2")
    assert attempt.body == b'{"a": 1}'
    assert attempt.header("authorization") == "Bearer pk-oai"
    assert attempt.header("openai-beta") == "assistants=v2"
    assert attempt.header("x-client-request-id")
    names = {name.lower() for name, _ in attempt.headers}
    assert names.isdisjoint({"cookie", "x-secret", "x-api-key"})
    assert NATIVE not in str(attempt.headers)


def test_each_kind_of_provider_gets_its_own_header_for_the_key(native: Gateway, oai: FakeProvider) -> None:
    oai.always("*", Behaviour(body={"ok": True}))
    headers = {"anthropic-version": "2023-06-01"}
    native.request("POST", "/providers/ant/v1/messages/batches", b"{}", key=NATIVE, headers=headers)
    [attempt] = native.attempts(1)
    assert attempt.header("x-api-key") == "pk-ant"
    assert attempt.header("authorization") is None
    assert attempt.header("anthropic-version") == "2023-06-01"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_call_without_a_body_has_none_upstream(native: Gateway, oai: FakeProvider, method: str) -> None:
    oai.always("*", Behaviour(body={"data": []}))
    headers = {"content-length": ""}
    assert native.request(method, "/providers/oai/v1/files/f", key=NATIVE, headers=headers).status == 200
    [attempt] = native.attempts(1)
    assert attempt.method == method
    assert attempt.header("content-length") is None
    assert attempt.header("transfer-encoding") is None


# Who may.


@pytest.mark.parametrize(
    ("key", "method", "path"),
    [
        (CHAT_ONLY, "GET", "/providers/oai/v1/files"),
        (NATIVE, "GET", "/providers/oai/v1/models"),
        (NATIVE, "GET", "/providers/oai/v1/chat/completions"),
        (NATIVE, "GET", "/providers/ant/v1/files"),
        (NATIVE, "GET", "/providers/nobody/v1/files"),
        (NATIVE, "GET", "/providers/oai"),
    ],
)
def test_what_the_key_does_not_name_is_refused(
    native: Gateway, oai: FakeProvider, key: str, method: str, path: str
) -> None:
    answer = native.request(method, path, key=key, headers={"content-length": ""})
    assert answer.status in (400, 403)
    if answer.status == 403:
        assert answer.error()["code"] == "model_not_allowed"
    assert native.provider.attempts() == []


def test_without_a_key_nothing_is_read(native: Gateway, pieces: PiecewiseProvider) -> None:
    with RawClient(native.url) as client:
        client.send(head("POST", "/providers/pieces/v1/files", "content-length: 1000000000", key="hg-none"))
        assert client.answer().status == 401
    assert pieces.nobody_came()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/../models",
        "/v1/files/%2e%2e/models",
        "/v1/files/..%2fmodels",
        "/v1//files",
        "/v1/files/./x",
        "/v1/files\\..\\models",
        "/v1/files/%00",
        "/v1/files#x",
        "/v1/files?key=abc",
        "/v1/files?limit=1&API_KEY=abc",
        "/v1/files?access_token=abc",
        "/v1/files?%6Bey=abc",
        "/v1/files?limit=1&%41pi%5fkey=abc",
        "/v1/files" + "x" * 5000,
    ],
)
def test_a_path_that_could_be_another_is_refused(native: Gateway, oai: FakeProvider, path: str) -> None:
    with RawClient(native.url) as client:
        client.send(head("GET", f"/providers/oai{path}"))
        answer = client.answer()
    assert answer.status == 400, (path, answer.body)
    assert native.provider.attempts() == []


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE"])
def test_methods_without_a_meaning_here_are_refused(native: Gateway, oai: FakeProvider, method: str) -> None:
    with RawClient(native.url) as client:
        client.send(head(method, "/providers/oai/v1/files"))
        answer = client.answer(head_only=method == "HEAD")
    assert answer.status == 405
    assert "GET" in (answer.header("allow") or "")


# Bodies both ways.


def test_an_upload_reaches_the_provider_before_its_end(native: Gateway, pieces: PiecewiseProvider) -> None:
    with RawClient(native.url) as client:
        client.send(head("POST", "/providers/pieces/v1/files", f"content-length: {2 * MEGABYTE}"))
        client.send(b"a" * MEGABYTE)
        with pieces.accept() as upstream:
            upstream.read_bytes(MEGABYTE)
            client.send(b"b" * MEGABYTE)
            upstream.read_bytes(2 * MEGABYTE)
            assert upstream.body == b"a" * MEGABYTE + b"b" * MEGABYTE
            assert upstream.header("content-length") == [str(2 * MEGABYTE)]
            upstream.send(OK)
            answer = client.answer()
    assert (answer.status, answer.body) == (200, b"{}")


def test_a_chunked_upload_arrives_whole_and_chunked(native: Gateway, pieces: PiecewiseProvider) -> None:
    with RawClient(native.url) as client:
        client.send(head("POST", "/providers/pieces/v1/files", "transfer-encoding: chunked"))
        client.send(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        with pieces.accept() as upstream:
            upstream.read_until(b"0\r\n\r\n")
            assert b"hello" in upstream.body
            assert b" world" in upstream.body
            assert upstream.header("transfer-encoding") == ["chunked"]
            upstream.send(OK)
            assert client.answer().status == 200


def test_a_download_reaches_the_client_before_its_end(native: Gateway, pieces: PiecewiseProvider) -> None:
    with RawClient(native.url) as client:
        client.send(head("GET", "/providers/pieces/v1/files/f/content"))
        with pieces.accept() as upstream:
            upstream.read_until(b"\r\n\r\n")
            upstream.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n")
            upstream.send(b"content-length: 10\r\ncontent-disposition: attachment\r\n\r\nfirst")
            client.wait_for(b"first")
            upstream.send(b"later")
            answer = client.answer()
    assert answer.body == b"firstlater"
    assert answer.header("content-disposition") == "attachment"


def test_the_proxy_holds_a_window_of_an_upload_and_no_more(
    native: Gateway, pieces: PiecewiseProvider
) -> None:
    processes = [psutil.Process(pid) for pid in native.headgate.pids("proxy")]
    before = sum(process.memory_info().rss for process in processes)
    with RawClient(native.url, timeout_seconds=3) as client:
        client.send(head("POST", "/providers/pieces/v1/files", f"content-length: {200 * MEGABYTE}"))
        with pieces.accept() as upstream:
            upstream.read_until(b"\r\n\r\n")
            with pytest.raises(TimeoutError):  # the provider reads nothing: the client is made to wait
                client.send(b"x" * (200 * MEGABYTE))
            grown = sum(process.memory_info().rss for process in processes) - before
            upstream.reset()
    assert grown < 16 * MEGABYTE


def test_a_connection_whose_answer_ended_before_a_slow_client_had_it_serves_the_next_call(
    native: Gateway, pieces: PiecewiseProvider
) -> None:
    """Reading is paused for the client; a paused connection in the pool would hang whoever takes it next."""
    size = 8 * MEGABYTE
    path = "/providers/pieces/v1/files/f/content"
    with (
        RawClient(native.url, timeout_seconds=5) as slow,
        RawClient(native.url, timeout_seconds=5) as next_one,
    ):
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        slow.send(head("GET", path))
        with pieces.accept() as upstream:
            upstream.read_until(b"\r\n\r\n")
            threading.Thread(
                target=upstream.send,
                args=(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size,),
                daemon=True,
            ).start()
            taken = 0
            while taken < size:
                taken += len(slow.read_some())
                time.sleep(0.002)
            upstream.received = b""
            next_one.send(request_bytes(json.dumps(chat("pieced")).encode(), CHAT_ONLY))
            upstream.read_until(b"\r\n\r\n")
            upstream.send(OK)
            next_one.answer()


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_that_asks_to_upgrade_arrives_whole_and_leaves_the_connection_in_step(
    native: Gateway, pieces: PiecewiseProvider, upgrade: str, chunked: bool
) -> None:
    path, body = "/providers/pieces/v1/files", b'{"a": 1}'
    asked = ("connection: Upgrade, HTTP2-Settings", f"upgrade: {upgrade}")
    framing = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    with RawClient(native.url, timeout_seconds=5) as client:
        client.send(head("POST", path, *asked, framing) + sent)
        with pieces.accept() as upstream:
            upstream.read_bytes(len(sent))
            assert upstream.body == sent
            assert upstream.header("upgrade") == []
            upstream.send(OK)
            assert client.answer().status == 200
        client.send(head("POST", path, "content-length: 5") + b"again")
        with pieces.accept() as upstream:
            upstream.read_bytes(5)
            assert upstream.body == b"again"
            upstream.send(OK)
            assert client.answer().status == 200


def test_an_answer_before_the_end_of_the_upload_is_given_and_the_connection_closed(
    native: Gateway, pieces: PiecewiseProvider
) -> None:
    with RawClient(native.url) as client:
        client.send(head("POST", "/providers/pieces/v1/files", "content-length: 1000000"))
        client.send(b"x" * 1000)
        with pieces.accept() as upstream:
            upstream.read_bytes(1000)
            upstream.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}")
            answer = client.answer()
            assert answer.status == 413
            assert answer.header("connection") == "close"
            assert upstream.is_gone()


def test_a_download_that_breaks_off_is_not_ended_cleanly(native: Gateway, pieces: PiecewiseProvider) -> None:
    with RawClient(native.url) as client:
        client.send(head("GET", "/providers/pieces/v1/files/f/content"))
        with pieces.accept() as upstream:
            upstream.read_until(b"\r\n\r\n")
            upstream.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            client.wait_for(b"first")
            upstream.reset()
            with pytest.raises((Closed, ConnectionError)):
                client.answer()


def test_a_client_that_leaves_during_its_upload_frees_the_provider(
    native: Gateway, pieces: PiecewiseProvider
) -> None:
    with RawClient(native.url) as client:
        client.send(head("POST", "/providers/pieces/v1/files", "content-length: 1000000"))
        client.send(b"x" * 1000)
        upstream = pieces.accept()
        upstream.read_bytes(1000)
    with upstream:
        assert upstream.is_gone()


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(
    native: Gateway, pieces: PiecewiseProvider
) -> None:
    with RawClient(native.url) as client:
        path = "/providers/pieces/v1/files"
        client.send(head("POST", path, "content-length: 5", "expect: 100-continue"))
        client.wait_for(b"100 Continue\r\n\r\n")
        client.send(b"hello")
        with pieces.accept() as upstream:
            upstream.read_bytes(5)
            upstream.send(OK)
            assert client.answer().status == 200


def test_what_follows_a_streamed_body_is_the_next_request(native: Gateway, oai: FakeProvider) -> None:
    oai.always("*", Behaviour(body={"id": "f"}))
    inner = head("GET", "/providers/oai/v1/files/smuggled")
    with RawClient(native.url) as client:
        client.send(head("POST", "/providers/oai/v1/files", f"content-length: {len(inner)}") + inner)
        client.send(head("GET", "/providers/oai/v1/files/second"))
        assert client.answer().status == 200
        assert client.answer().status == 200
    attempts = native.attempts(2)
    assert [attempt.path for attempt in attempts] == ["/v1/files", "/v1/files/second"]
    assert attempts[0].body == inner


# What is recorded.


def test_usage_in_a_whole_answer_is_recorded_and_priced_by_the_model_it_names(
    native: Gateway, oai: FakeProvider
) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
    oai.always("*", Behaviour(body={"model": "gpt-4o-mini", "choices": [], "usage": usage}))
    path = "/providers/oai/v1/chat/completions"
    answer = native.request("POST", path, b'{"model": "gpt-4o-mini"}', key=NATIVE)
    [row] = native.call(answer.request_id).attempt_list
    assert (row.provider, row.upstream_model, row.model) == ("oai", "gpt-4o-mini", "")
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (1000, 500, "0.00045")


def test_usage_in_a_stream_is_recorded(native: Gateway, oai: FakeProvider) -> None:
    events: list[dict[str, Any]] = [
        {
            "type": "message_start",
            "message": {
                "model": "claude-3-5-haiku-latest",
                "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1},
            },
        },
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 40}},
        {"type": "message_stop"},
    ]
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
    oai.always("*", Behaviour(body=body, stream=True))
    answer = native.request("POST", "/providers/ant/v1/messages", b'{"stream": true}', key=NATIVE)
    assert answer.body == body
    [row] = native.call(answer.request_id).attempt_list
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens) == (100, 90, 40)
    assert row.upstream_model == "claude-3-5-haiku-latest"


def test_what_changes_nothing_is_free_and_what_nobody_priced_is_unpriced(
    native: Gateway, oai: FakeProvider
) -> None:
    oai.always("*", Behaviour(body={"data": []}))
    listed = native.request("GET", "/providers/oai/v1/files", key=NATIVE, headers={"content-length": ""})
    stored = native.request("POST", "/providers/oai/v1/files", b"{}", key=NATIVE)
    assert native.call(listed.request_id).cost_usd == "0"
    assert not native.call(stored.request_id).HasField("cost_usd")


def test_a_provider_s_refusal_passes_and_is_recorded_as_one(native: Gateway, oai: FakeProvider) -> None:
    oai.always("*", Behaviour(status=404, body={"error": {"message": "No such File"}}))
    answer = native.request("GET", "/providers/oai/v1/files/x", key=NATIVE, headers={"content-length": ""})
    assert answer.status == 404
    assert answer.document() == {"error": {"message": "No such File"}}
    call = native.call(answer.request_id)
    assert (call.status, call.attempt_list[0].status) == (404, 404)


def test_a_refusal_of_our_key_is_ours_and_not_the_client_s(native: Gateway, oai: FakeProvider) -> None:
    oai.always("*", Behaviour(status=401, body={"error": {"message": "Incorrect API key pk-oai"}}))
    answer = native.request("GET", "/providers/oai/v1/files/x", key=NATIVE, headers={"content-length": ""})
    assert answer.status == 502
    assert answer.error()["code"] == "provider_key_rejected"
    assert b"pk-oai" not in answer.body
