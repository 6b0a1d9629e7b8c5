"""Bodies that make no sense: a 400 in OpenAI form that names the field, and nothing goes upstream."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.raw_client import Answer, Closed, request_bytes
from tests.support.fake_provider import FakeProvider

GOOD = json.dumps(
    {
        "model": "chat",
        "messages": [{"role": "user", "content": 'Ünï "quoted" \\ ☕ \ud83d\udc1f'}],
        "temperature": 0.5,
        "stream": False,
        "stop": None,
        "metadata": {"a": [1, 2.5e-3, -7]},
    },
    ensure_ascii=True,
).encode()
MIB = 2**20


def refused(
    gateway: Gateway, body: bytes | dict[str, Any], path: str = "/v1/chat/completions"
) -> dict[str, Any]:
    answer = gateway.post(body, path)
    assert answer.status == 400, (answer.status, answer.body[:300])
    error = answer.error()
    assert error["type"] == "invalid_request_error"
    assert answer.header("x-headgate-error") == error["code"]
    assert answer.request_id
    assert gateway.provider.attempts() == []
    return error


def test_json_that_ends_anywhere_is_a_400_on_one_connection(gateway: Gateway) -> None:
    assert gateway.post(GOOD).status == 200
    gateway.provider.reset()
    with gateway.connect() as client:
        for end in range(len(GOOD)):
            client.send(request_bytes(GOOD[:end], gateway.key))
            answer = client.answer()
            assert answer.status == 400, (GOOD[:end], answer.body)
            assert answer.error()["code"] == "invalid_request_error"
    assert gateway.provider.attempts() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"true",
        b"7",
        b'"chat"',
        b"[]",
        b'[{"model":"chat","messages":[]}]',
        b"model=chat&messages=hi",
        b"<xml/>",
        b"\x00",
        b"\xef\xbb\xbf" + GOOD,
        GOOD.decode().encode("utf-16"),
        GOOD.decode().encode("utf-32"),
        GOOD + b"x",
        GOOD + GOOD,
        GOOD + b"\x00",
        GOOD.replace(b'"', b"'"),
        GOOD.replace(b"0.5", b".5"),
        GOOD.replace(b"0.5", b"0x5"),
        GOOD.replace(b"0.5", b"NaN"),
        GOOD.replace(b"0.5", b"Infinity"),
        GOOD.replace(b"0.5", b"-Infinity"),
        GOOD.replace(b"0.5", b"1e999"),
        GOOD.replace(b"0.5", b"9" * 5000),
        GOOD.replace(b"0.5", b"0.5,"),
        GOOD.replace(b"null", b"None"),
        GOOD.replace(b"\\ud83d\\udc1f", b"\\ud83d"),
        GOOD.replace(b"\\ud83d\\udc1f", b"\\udc1f"),
        GOOD.replace(b"\\ud83d\\udc1f", b"\\udc1f\\ud83d"),
        GOOD.replace(b"\\ud83d\\udc1f", b"\xed\xa0\xbd"),
        GOOD.replace(b"\\ud83d\\udc1f", b"\xff\xfe"),
        GOOD.replace(b"\\ud83d\\udc1f", b"\xc0\x80"),
        GOOD.replace(b"\\ud83d\\udc1f", b"\n"),
        GOOD.replace(b"\\ud83d\\udc1f", b"\x07"),
        GOOD.replace(b"\\ud83d\\udc1f", b"\\x41"),
    ],
    ids=lambda body: repr(body[:20]) + f"…{len(body)}",
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/completions"])
def test_what_is_not_a_json_object_is_a_400(gateway: Gateway, body: bytes, path: str) -> None:
    assert refused(gateway, body, path)["code"] == "invalid_request_error"


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_ten_thousand_levels_are_a_400(gateway: Gateway, opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    deep = opening * 10_000 + b"0" + closing * 10_000
    refused(gateway, b'{"model":"chat","messages":[],"x":' + deep + b"}")
    refused(gateway, b'{"model":"chat","messages":[{"role":"user","content":' + deep + b"}]}")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"chat","messages":[],"x":[' + b"0," * 2_100_000 + b"0]}",
        b'{"model":"chat","messages":[],"x":[' + b"[]," * 1_100_000 + b"0]}",
        b"[" * 3_000_000,
        b"{" * 3_000_000,
        b'{"model":"chat","messages":[' + b"{}," * 1_500_000 + b"{}]}",
    ],
    ids=["numbers", "arrays", "openings", "braces", "messages"],
)
def test_millions_of_values_are_a_400_before_they_are_parsed(gateway: Gateway, body: bytes) -> None:
    begun = time.monotonic()
    refused(gateway, body)
    assert time.monotonic() - begun < 2.0


def test_a_million_values_or_keys_are_never_a_500_and_cost_one_attempt_at_most(gateway: Gateway) -> None:
    values = b"0," * 1_000_000 + b"0"
    keys = b",".join(b'"k%d":0' % number for number in range(1_000_000))
    for body in (b'{"model":"chat","messages":[],"x":[%b]}' % values, b"{%b}" % keys):
        answer = gateway.post(body)
        assert answer.status in (200, 400)
        if answer.status == 400:
            answer.error()
    assert len(gateway.provider.attempts()) <= 1


def test_a_million_keys_beside_a_good_request_are_a_400(gateway: Gateway) -> None:
    keys = b",".join(b'"k%d":0' % number for number in range(1_000_000))
    assert gateway.post(b'{"model":"chat","messages":[],"x":{%b}}' % keys).status == 400


@pytest.mark.parametrize("twice", [b'"n":1,"n":9', b'"user":"a","user":"b"'])
def test_any_other_name_given_twice_is_a_400(gateway: Gateway, twice: bytes) -> None:
    assert gateway.post(b'{"model":"chat","messages":[],%b}' % twice).status == 400


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"model": ["chat"]}, "model"),
        ({"model": {"name": "chat"}}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [None]}, "messages[0]"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [[]]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": "a"}, {}]}, "messages[1]"),
        ({"messages": [{"role": 7, "content": "a"}]}, "messages[0]"),
        ({"stream": "true"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": True}, "stream_options"),
        ({"stream_options": []}, "stream_options"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": []}, "max_completion_tokens"),
        ({"n": "2"}, "n"),
        ({"n": -1}, "n"),
        ({"user": 7}, "user"),
        ({"user": ["me"]}, "user"),
    ],
    ids=repr,
)
def test_a_wrong_type_is_a_400_that_names_the_field(
    gateway: Gateway, fields: dict[str, Any], param: str
) -> None:
    assert refused(gateway, chat(**{"model": "chat", **fields}))["param"] == param


@pytest.mark.parametrize("name", ["model", "messages"])
def test_a_missing_field_is_a_400_that_names_it(gateway: Gateway, name: str) -> None:
    document = chat()
    del document[name]
    error = refused(gateway, document)
    assert error["param"] == name
    assert "missing" in error["message"]


def test_embeddings_without_input_or_with_a_wrong_one_are_a_400(gateway: Gateway) -> None:
    for document in ({"model": "chat"}, {"model": "chat", "input": 7}, {"model": "chat", "input": {}}):
        assert refused(gateway, document, "/v1/embeddings")["param"] == "input"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"chat","model":"beta","messages":[]}',
        b'{"model":"chat","messages":[],"model":"chat"}',
        b'{"model":"chat","mode\\u006c":"beta","messages":[]}',
        b'{"mode\\u006C":"chat","messages":[],"model":"beta"}',
        b'{"\\u006d\\u006f\\u0064\\u0065\\u006c":"beta","model":"chat","messages":[]}',
        b'{"model" \n:"chat",\t"model"\r:"beta","messages":[]}',
        b'{"messages":[{"role":"user","content":"\\"model\\""}],"model":"chat","model":"beta"}',
        b'{"messages":[],"model":"chat","messages":[]}',
        b'{"messages":[],"model":"chat","message\\u0073":[]}',
        b'{"metadata":{"model":"x"},"messages":[],"model":"chat","model":"beta"}',
    ],
)
def test_a_name_given_twice_is_a_400_however_it_is_spelled(gateway: Gateway, body: bytes) -> None:
    error = refused(gateway, body)
    assert error["param"] in ("model", "messages")
    assert "twice" in error["message"]


def test_a_model_named_elsewhere_in_the_body_is_no_duplicate(gateway: Gateway) -> None:
    body = (
        b'{"metadata":{"model":"beta","messages":"no"},"messages":[{"role":"user",'
        b'"content":"\\"model\\":\\"beta\\" \\u006d"}],"mode\\u006c"  : "chat" }'
    )
    assert gateway.post(body).status == 200
    [attempt] = gateway.attempts(1)
    assert attempt.body == body.replace(b'"chat"', b'"alpha-upstream"')


def test_the_body_goes_upstream_as_it_came_but_for_the_models_name(gateway: Gateway) -> None:
    body = b' {\n "unknown_field" : [1.0, 1e5, "\\u00e4"],"model"\t:\t"chat" ,"messages":[ ] }\n'
    assert gateway.post(body).status == 200
    assert gateway.attempts(1)[0].body == body.replace(b'"chat"', b'"alpha-upstream"')


# What a proxy could be talked into by fields of the body (A9).
@pytest.mark.parametrize(
    "name",
    ["api_base", "base_url", "api_key", "headers", "extra_headers", "extra_body", "organization", "proxy"],
)
def test_no_field_of_the_body_changes_address_or_credential(gateway: Gateway, name: str) -> None:
    values: list[Any] = ["http://127.0.0.1:1/", {"authorization": "Bearer stolen"}]
    for value in values:
        assert gateway.post({**chat(), name: value}).status == 200
    for attempt in gateway.attempts(2):
        assert attempt.header("authorization") == "Bearer pk-fake"
        assert b"stolen" not in repr(attempt.headers).encode()


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "x",
    ],
)
def test_another_content_type_is_a_400(gateway: Gateway, content_type: str) -> None:
    answer = gateway.post(chat(), headers={"content-type": content_type})
    assert answer.status == 400
    assert answer.error()["param"] == "content-type"
    assert gateway.provider.attempts() == []


@pytest.mark.parametrize("content_type", ["", "application/json; charset=utf-8", "Application/JSON"])
def test_json_and_no_content_type_at_all_are_accepted(gateway: Gateway, content_type: str) -> None:
    assert gateway.post(chat(), headers={"content-type": content_type}).status == 200
    gateway.attempts(1)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate", "gzip, identity", "chunked"])
def test_a_compressed_body_is_refused_unread(gateway: Gateway, encoding: str) -> None:
    answer = gateway.post(b"\x1f\x8b" + b"\0" * 100, headers={"content-encoding": encoding})
    assert answer.status == 415
    answer.error()
    assert gateway.provider.attempts() == []


def send_head(gateway: Gateway, key: str | None, length: str, path: str = "/v1/chat/completions") -> Answer:
    with gateway.connect() as client:
        client.send(request_bytes(b"", key, path, headers={"content-length": length}))
        begun = time.monotonic()
        answer = client.answer()
        assert time.monotonic() - begun < 1.0
        assert answer.header("connection") == "close"
    return answer


@pytest.mark.parametrize("length", [32 * MIB + 1, 2**30, 2**40, 2**63 - 1])
def test_a_body_over_32_mib_is_refused_unread_and_at_once(gateway: Gateway, length: int) -> None:
    answer = send_head(gateway, gateway.key, str(length))
    assert answer.status == 413
    assert answer.error()["code"] == "request_too_large"


def test_a_refused_body_ends_the_connection(gateway: Gateway) -> None:
    with gateway.connect() as client:
        client.send(request_bytes(b"", gateway.key, headers={"content-length": str(2**30)}))
        assert client.answer().status == 413
        assert client.closes_within(3.0)


def test_a_body_of_just_32_mib_is_read_and_passed_on(gateway: Gateway) -> None:
    frame = b'{"model":"chat","messages":[{"role":"user","content":"%b"}]}'
    body = frame % (b"x" * (32 * MIB - len(frame) + 2))
    assert len(body) == 32 * MIB
    assert gateway.post(body).status == 200
    assert len(gateway.attempts(1)[0].body) > 32 * MIB  # the upstream's name is longer
    gateway.provider.reset()


@pytest.mark.parametrize("length", [65 * 1024, 31 * MIB])
def test_a_large_body_of_a_stranger_is_not_read(gateway: Gateway, length: int) -> None:
    assert send_head(gateway, None, str(length)).error()["code"] == "invalid_api_key"
    assert send_head(gateway, gateway.key, str(length), "/v1/nowhere").status == 404


def test_an_endless_chunked_body_is_cut_off_at_32_mib(gateway: Gateway) -> None:
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with gateway.connect() as client:
        client.send(
            request_bytes(b"", gateway.key, headers={"content-length": "", "transfer-encoding": "chunked"})
        )
        begun = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - begun < 8:
                client.send(piece)
        assert time.monotonic() - begun < 4
    assert gateway.provider.attempts() == []
    assert gateway.post(chat()).status == 200


def test_an_endless_chunked_body_gets_its_413_to_a_client_that_listens(gateway: Gateway) -> None:
    with gateway.connect() as client:
        client.send(
            request_bytes(b"", gateway.key, headers={"content-length": "", "transfer-encoding": "chunked"})
        )
        client.send(b"%x\r\n" % (33 * MIB))
        for _ in range(33):
            client.send(b" " * MIB)
        answer = client.answer()
    assert answer.status == 413
    assert answer.error()["code"] == "request_too_large"


def test_a_chunked_body_is_read_like_any_other_also_in_single_bytes(gateway: Gateway) -> None:
    body = json.dumps(chat(user="x" * 5000)).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    with gateway.connect() as client:
        client.send(
            request_bytes(chunks, gateway.key, headers={"content-length": "", "transfer-encoding": "chunked"})
        )
        assert client.answer().status == 200
    sent = gateway.attempts(1)[0].document()
    assert sent["user"] == "x" * 5000
    assert sent["messages"] == chat()["messages"]


def test_a_body_that_stops_coming_reaches_nobody(gateway: Gateway) -> None:
    body = json.dumps(chat()).encode()
    with gateway.connect() as client:
        client.send(request_bytes(body, gateway.key)[:-5])
        client.socket.settimeout(0.3)
        with pytest.raises((TimeoutError, Closed)):
            client.answer()
    assert gateway.provider.attempts() == []


@pytest.mark.parametrize("user", ["u" * 100_000, "u" * 5_000_000, "a\0b\tc\nd", "\U0001f41f" * 600])
def test_whatever_the_user_field_holds_the_call_is_recorded(
    gateway: Gateway, provider: FakeProvider, user: str
) -> None:
    answer = gateway.post(chat(user=user))
    assert answer.status == 200
    assert provider.wait_done(1)[0].document()["user"] == user
    recorded = gateway.call(answer.request_id).user
    assert 1 <= len(recorded) <= 256
    assert recorded == user[:256].replace("\0", "")
