"""Bodies made to break a parser (A3): a 400 in the client's dialect at every door, and never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.abuse.scale import times
from tests.abuse.target import ASKED, VALID, error_of, ways_in
from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.raw_client import request_bytes
from tests.support.fake_provider import ANY, Behaviour

# Paths that take JSON, each with its good request.
DOORS: dict[str, dict[str, Any]] = {
    **ASKED,
    "/v1/messages/count_tokens": ASKED["/v1/messages"],
    "/v1/responses/input_tokens": ASKED["/v1/responses"],
    "/v1/responses/compact": ASKED["/v1/responses"],
}
FEEDBACK = "/headgate/v1/feedback"

MILLION = times(600_000, 1_000_000)
# Values that no JSON document may have, or none that is sent to a provider.
BOMBS: dict[str, bytes] = {
    "arrays 10,000 deep": b"[" * 10_000 + b"]" * 10_000,
    "objects 10,000 deep": b'{"a":' * 10_000 + b"0" + b"}" * 10_000,
    "arrays without an end": b"[" * MILLION,
    "a million keys": b"{" + b",".join(b'"k%d":0' % number for number in range(MILLION)) + b"}",
    "a million values": b"[" + b"0," * MILLION + b"0]",
    "a million arrays": b"[" + b"[]," * MILLION + b"0]",
    "an integer of 5,000 digits": b"9" * 5_000,
    "a negative one": b"-" + b"9" * 5_000,
    "an exponent": b"1e999",
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "minus Infinity": b"-Infinity",
    "a high surrogate": b'"\\ud83d"',
    "a low surrogate": b'"\\udc1f"',
    "surrogates the wrong way round": b'"\\udc1f\\ud83d"',
    "a surrogate as a name": b'{"\\ud83d":0}',
    "a surrogate in bytes": b'"\xed\xa0\xbd"',
    "bytes that are no UTF-8": b'"\xff\xfe"',
    "an overlong NUL": b'"\xc0\x80"',
    "half a character": b'"\xf0\x9f\x90"',
    "a control character": b'"\x07"',
}
# Depth at which the parser still lets it through; what comes after must not run out of stack.
DEEP = 1_000
NESTS: dict[str, tuple[str, str]] = {
    "arrays": ("[", "]"),
    "objects": ('{"a":', "}"),
    "schemas": ('{"properties":{"a":', "}}"),
    "alternatives": ('{"anyOf":[', "]}"),
    "parts": ('[{"type":"text","text":', "}]"),
}


def places(document: dict[str, Any], model_stays: bool = True) -> list[bytes]:
    """The request with `BOMB` as a further field, and in the place of every field it has."""
    names = [name for name in document if not (model_stays and name == "model")]
    return [json.dumps({**document, name: "BOMB"}).encode() for name in ("x", *names)]


def with_bomb(body: bytes, bomb: bytes) -> bytes:
    return body.replace(b'"BOMB"', bomb)


@pytest.mark.parametrize("path", DOORS)
def test_a_bomb_is_a_400_in_the_clients_dialect_wherever_it_lies(gateway: Gateway, path: str) -> None:
    with gateway.connect() as client:
        for name, bomb in BOMBS.items():
            bodies = places(DOORS[path], model_stays=False)
            # The large ones at one place in the reduced form.
            for body in bodies if len(bomb) < 100_000 else bodies[: times(1, len(bodies))]:
                client.send(request_bytes(with_bomb(body, bomb), VALID, path))
                answer = client.answer()
                assert answer.status == 400, (name, answer.body[:300])
                assert error_of(answer, path)["type"] == "invalid_request_error"
                assert len(answer.body) < 1_000
    assert gateway.provider.attempts() == []


def test_feedback_is_no_softer_door(gateway: Gateway) -> None:
    good = {"request_id": "0" * 32, "name": "thumb", "value": 1}
    for name, bomb in BOMBS.items():
        answer = gateway.post(with_bomb(json.dumps({**good, "x": "BOMB"}).encode(), bomb), FEEDBACK)
        assert 400 <= answer.status < 500, (name, answer.body[:300])
        answer.error()


@pytest.mark.parametrize("path", DOORS)
def test_a_body_truncated_anywhere_is_a_400(gateway: Gateway, path: str) -> None:
    whole = json.dumps(DOORS[path] | {"metadata": {"a": ["é", "\U0001f41f", -1.5e3, True, None]}}).encode()
    with gateway.connect() as client:
        for end in range(0, len(whole), times(7, 1)):
            client.send(request_bytes(whole[:end], VALID, path))
            answer = client.answer()
            assert answer.status == 400, whole[:end]
            assert error_of(answer, path)["type"] == "invalid_request_error"
    assert gateway.provider.attempts() == []


@pytest.mark.parametrize("nest", NESTS)
def test_what_is_just_not_too_deep_is_never_a_500(gateway: Gateway, nest: str) -> None:
    """Whatever is written anew for a provider of another dialect goes into the depth as well."""
    opening, closing = NESTS[nest]
    deep = DEEP if len(opening) < 6 else DEEP // 2
    bomb = (opening * deep + "0" + closing * deep).encode()
    refusal = {"error": {"message": "no", "type": "invalid_request_error"}}
    gateway.provider.always(ANY, Behaviour(status=400, body=refusal))
    with gateway.connect() as client:
        for path, document in ways_in():
            for body in (*places(document), *nested(document)):
                client.send(request_bytes(with_bomb(body, bomb), VALID, path))
                answer = client.answer()
                assert answer.status == 400, (path, body, answer.body[:300])
                error_of(answer, path)


def nested(document: dict[str, Any]) -> list[bytes]:
    """In the places that a translation looks into: schemas, tools, parts, tool results."""
    bomb = "BOMB"
    call = [{"type": "tool_use", "id": "a", "name": "f", "input": bomb}]
    result = [{"type": "tool_result", "tool_use_id": "a", "content": bomb}]
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": call}]
    documents = [
        {**document, "messages": [{"role": "user", "content": bomb}]},
        {**document, "messages": [*talk, {"role": "user", "content": result}]},
        {**document, "input": [{"type": "message", "role": "user", "content": bomb}]},
        {**document, "tools": [{"type": "function", "function": {"name": "f", "parameters": bomb}}]},
        {**document, "tools": [{"type": "function", "name": "f", "parameters": bomb}]},
        {**document, "tools": [{"name": "f", "input_schema": bomb}]},
        {
            **document,
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": bomb}},
        },
        {**document, "text": {"format": {"type": "json_schema", "name": "a", "schema": bomb}}},
        {**document, "system": [{"type": "text", "text": bomb}]},
    ]
    return [json.dumps(one).encode() for one in documents]
