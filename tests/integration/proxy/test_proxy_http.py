"""HTTP as such: methods and paths, versions, connections, pipelines, heads that are too large."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.raw_client import request_bytes
from tests.support.fake_provider import Behaviour

# An address of its own, so that the throttle for failed keys does not fall on other tests.
STRANGER = "127.0.0.9"
FEEDBACK = "/headgate/v1/feedback"
CHUNKED = {"content-length": "", "transfer-encoding": "chunked"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("POST", "/", 404),
        ("GET", "/v1/chat/completions", 405),
        ("HEAD", "/v1/chat/completions", 405),
        ("OPTIONS", "/v1/chat/completions", 405),
        ("PUT", "/v1/chat/completions", 405),
        ("DELETE", "/v1/embeddings", 405),
        ("TRACE", "/v1/completions", 405),
        ("PATCH", "/v1/models", 405),
        ("POST", "/v1/models", 405),
        ("HEAD", "/v1/models", 200),
        ("DELETE", "/v1/models/chat", 405),
        ("POST", "/headgate/v1/receipts/1", 405),
        ("OPTIONS", "*", 404),
        ("GET", "/nowhere", 404),
        ("HEAD", "/nowhere", 404),
        ("OPTIONS", "/nowhere", 404),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "//v1/chat/completions", 404),
        ("POST", "/V1/chat/completions", 404),
        ("POST", "/v1/../v1/chat/completions", 404),
        ("POST", "/v1/chat%2Fcompletions", 404),
        ("POST", "/v1/chat/completions;x", 404),
        ("POST", "/v1/chat/completions%00", 404),
        ("POST", "/" + "x" * 10_000, 404),
        ("GET", "/headgate/v1/receipts/", 404),
        ("GET", "/headgate/v1/receipts/../../v1/models", 404),
        ("GET", "/headgate/v1/receipts/" + "0" * 32, 404),
        ("GET", "/headgate/v1/receipts/" + "z" * 32, 404),
        ("GET", "/metrics", 404),
        ("GET", "/livez", 404),
        ("CONNECT", "example.com:443", 404),
    ],
)
def test_any_other_method_or_path_is_answered_in_json(
    gateway: Gateway, method: str, path: str, status: int
) -> None:
    answer = gateway.request(method, path)
    assert answer.status == status
    if method == "HEAD":
        assert answer.header("content-type") == "application/json"
        assert int(answer.header("content-length") or 0) > 0
    elif status >= 400:
        answer.error()
    if status == 405:
        assert answer.header("allow") in ("GET", "POST")
    assert gateway.provider.attempts() == []


def test_a_query_does_not_matter(gateway: Gateway) -> None:
    assert gateway.post(chat(), "/v1/chat/completions?api-version=2024&a=%00").status == 200
    assert gateway.attempts(1)[0].path == "/v1/chat/completions"


def test_a_method_that_does_not_exist_is_a_400(gateway: Gateway) -> None:
    answer = gateway.request("BREW", "/v1/chat/completions")
    assert answer.status in (400, 405)
    answer.error()


def test_http_1_0_gets_whole_and_streamed_answers_and_a_closed_connection(gateway: Gateway) -> None:
    for stream in (False, True):
        body = json.dumps(chat(stream=stream)).encode()
        head = request_bytes(body, gateway.key, headers={"host": ""}).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        with gateway.connect() as client:
            client.send(head)
            [answer] = client.answers_until_close()
        assert answer.status == 200
        assert answer.header("transfer-encoding") is None
        assert answer.header("connection") == "close"
        if stream:
            assert answer.events()[-1] == "[DONE]"
        else:
            assert answer.document()["choices"]
    gateway.attempts(2)


def test_http_1_0_may_ask_to_keep_the_connection(gateway: Gateway) -> None:
    body = json.dumps(chat()).encode()
    data = request_bytes(body, gateway.key, headers={"connection": "keep-alive"})
    with gateway.connect() as client:
        for _ in range(2):
            client.send(data.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
            answer = client.answer()
            assert (answer.status, answer.header("connection")) == (200, "keep-alive")
    gateway.attempts(2)


def test_a_client_that_asks_to_close_is_closed_after_its_answer(gateway: Gateway) -> None:
    for stream in (False, True):
        with gateway.connect() as client:
            body = json.dumps(chat(stream=stream)).encode()
            client.send(request_bytes(body, gateway.key, headers={"connection": "close"}))
            [answer] = client.answers_until_close()
        assert answer.status == 200


def test_pipelined_requests_are_answered_each_once_and_in_order(gateway: Gateway) -> None:
    def ask(number: int) -> bytes:
        wanted: Any = {"type": "json_schema", "json_schema": {"schema": {"const": number}}}
        return request_bytes(
            json.dumps(chat(response_format=wanted, stream=number % 2 == 1)).encode(), gateway.key
        )

    with gateway.connect() as client:
        client.send(b"".join(ask(number) for number in range(30)))
        answers = [client.answer() for _ in range(30)]
    said = []
    for number, answer in enumerate(answers):
        if number % 2:
            deltas = [event["choices"][0]["delta"] for event in answer.events()[:-1]]
            said.append("".join(delta.get("content") or "" for delta in deltas))
        else:
            said.append(answer.document()["choices"][0]["message"]["content"])
    assert said == [str(number) for number in range(30)]
    gateway.attempts(30)


def test_a_good_request_before_a_bad_one_is_answered(gateway: Gateway) -> None:
    good = request_bytes(json.dumps(chat()).encode(), gateway.key)
    with gateway.connect() as client:
        client.send(good + b"\x00garbage\r\n\r\n" + good)
        answers = client.answers_until_close()
    assert answers[0].status == 200
    assert [answer.status for answer in answers[1:]] in ([], [400])
    gateway.attempts(1)


def test_expect_100_continue_is_answered_before_the_body(gateway: Gateway) -> None:
    body = json.dumps(chat()).encode()
    data = request_bytes(body, gateway.key, headers={"expect": "100-continue"})
    with gateway.connect() as client:
        client.send(data[: -len(body)])
        assert client.read_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(body)
        assert client.answer().status == 200
    with gateway.connect(STRANGER) as client:
        client.send(request_bytes(body, "hg-nobody", headers={"expect": "100-continue"})[: -len(body)])
        assert client.answer().status == 401
    gateway.attempts(1)


def test_an_expectation_in_the_pipeline_does_not_break_into_the_answer_before_it(gateway: Gateway) -> None:
    stream = request_bytes(json.dumps(chat(stream=True)).encode(), gateway.key)
    body = json.dumps(chat()).encode()
    expecting = request_bytes(body, gateway.key, headers={"expect": "100-continue"})
    gateway.provider.script("alpha-upstream", Behaviour(tokens_per_second=100))
    with gateway.connect() as client:
        client.send(stream)
        client.wait_for(b"data:")
        client.send(expecting)
        streamed = client.answer()  # breaks off at whatever is no chunk
        assert streamed.events()[-1] == "[DONE]"
        assert b"100 Continue" not in streamed.body
        assert client.answer().status == 200
    gateway.attempts(2)


def test_an_upgrade_is_ignored_and_the_request_answered(gateway: Gateway) -> None:
    body = json.dumps(chat()).encode()
    for upgrade in ("websocket", "h2c"):
        with gateway.connect() as client:
            headers = {"connection": "Upgrade, HTTP2-Settings", "upgrade": upgrade}
            client.send(request_bytes(body, gateway.key, headers=headers))
            assert client.answer().status == 200
            client.send(request_bytes(body, gateway.key))
            assert client.answer().status == 200
    gateway.attempts(4)


@pytest.mark.parametrize(
    "head",
    [
        b"x-long: " + b"x" * 40_000 + b"\r\n",
        b"".join(b"x-%d: 1\r\n" % number for number in range(150)),
        b"x" * 40_000 + b": 1\r\n",
        b"cookie: " + b"a=b; " * 10_000 + b"\r\n",
    ],
    ids=["value", "count", "name", "cookies"],
)
def test_a_head_that_is_too_large_is_a_431(gateway: Gateway, head: bytes) -> None:
    body = json.dumps(chat()).encode()
    data = request_bytes(body, gateway.key)
    line_end = data.index(b"\r\n") + 2
    with gateway.connect() as client:
        client.send(data[:line_end])
        time.sleep(0.05)
        client.send(head[:20_000])
        time.sleep(0.05)
        client.send(head[20_000:] + data[line_end:])
        answer = client.answer()
    assert answer.status == 431
    answer.error()
    assert gateway.provider.attempts() == []


def test_a_request_byte_by_byte_is_a_request(gateway: Gateway) -> None:
    data = request_bytes(json.dumps(chat()).encode(), gateway.key)
    with gateway.connect() as client:
        client.socket.setsockopt(6, 1, 1)  # TCP_NODELAY
        for byte in data:
            client.send(bytes((byte,)))
        assert client.answer().status == 200
    gateway.attempts(1)


@pytest.mark.parametrize(
    "headers", [{}, CHUNKED, {"expect": "100-continue"}], ids=["plain", "chunked", "expect"]
)
def test_feedback_is_taken_however_it_is_sent(gateway: Gateway, headers: dict[str, str]) -> None:
    body = json.dumps({"request_id": gateway.post(chat()).request_id, "score": 1}).encode()
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if headers == CHUNKED else body
    answer = gateway.post(sent, FEEDBACK, headers=headers)
    assert (answer.status, answer.document()) == (200, {"accepted": True})
    refused = gateway.post(sent, FEEDBACK, key=None, headers=headers, source=STRANGER)
    assert (refused.status, refused.error()["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(("days", "status"), [(-101, 400), (-99, 200), (0, 200), (1, 400)])
def test_feedback_is_of_a_call_within_what_can_be(gateway: Gateway, days: int, status: int) -> None:
    then_ms = int(time.time() * 1000) + days * 86_400_000
    request_id = f"{then_ms:012x}7000800000000000{days & 0xFFFF:04x}"
    answer = gateway.post({"request_id": request_id, "score": 1}, FEEDBACK)
    assert answer.status == status
    if status == 400:
        assert answer.error()["param"] == "request_id"
        assert "100 days" in answer.error()["message"]


@pytest.mark.parametrize("size", [5_000, 100_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_feedback_beyond_its_limit_is_a_413_that_names_it(gateway: Gateway, size: int, chunked: bool) -> None:
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b" " * size) if chunked else b" " * size
    answer = gateway.post(body, FEEDBACK, headers=CHUNKED if chunked else {})
    assert (answer.status, answer.error()["code"]) == (413, "request_too_large")
    assert "4 KiB" in answer.error()["message"]
