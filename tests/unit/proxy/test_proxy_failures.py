"""Every shape of error that providers send, and what follows from it.

Shapes as in the recordings; DeepInfra's and NVIDIA's are synthetic, from https://deepinfra.com/docs and
https://docs.api.nvidia.com/nim/reference.
"""

from __future__ import annotations

import email.utils
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.v1 import usage_pb2
from proxy.dialects.failures import (
    MAX_MESSAGE_LENGTH,
    MAX_RETRY_AFTER_SECONDS,
    error_object,
    failure_in_answer,
    failure_of,
    retry_after_seconds,
)
from proxy.upstream.failure import AttemptFailed


def failed(status: int, document: Any, **headers: str) -> AttemptFailed:
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return failure_of(status, sent, document if isinstance(document, bytes) else orjson.dumps(document))


SHAPES: dict[str, tuple[int, Any, str, int]] = {
    "openai": (
        404,
        {
            "error": {
                "message": "no such model",
                "type": "invalid_request_error",
                "param": None,
                "code": "model_not_found",
            }
        },
        "no such model",
        usage_pb2.REASON_MODEL_NOT_FOUND,
    ),
    "groq": (
        400,
        {
            "error": {
                "message": "no tool",
                "type": "invalid_request_error",
                "code": "tool_use_failed",
                "failed_generation": "x",
            }
        },
        "no tool",
        usage_pb2.REASON_INVALID_REQUEST,
    ),
    "xai": (
        400,
        {"code": "Client specified an invalid argument", "error": "no such parameter"},
        "no such parameter",
        usage_pb2.REASON_INVALID_REQUEST,
    ),
    "xai, a bad key": (
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***ai."},
        "Incorrect API key provided: xa***ai.",
        usage_pb2.REASON_KEY_REJECTED,
    ),
    "mistral": (401, {"detail": "Invalid API Key"}, "Invalid API Key", usage_pb2.REASON_KEY_REJECTED),
    "mistral, an object": (
        400,
        {
            "object": "error",
            "message": "Invalid model: x",
            "type": "invalid_model",
            "param": None,
            "code": "1500",
        },
        "Invalid model: x",
        usage_pb2.REASON_INVALID_REQUEST,
    ),
    "mistral, validation": (
        422,
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "x"], "msg": "Extra inputs"}]},
        '[{"type":"extra_forbidden","loc":["body","x"],"msg":"Extra inputs"}]',
        usage_pb2.REASON_INVALID_REQUEST,
    ),
    "openrouter": (
        400,
        {
            "error": {"code": 400, "message": "Provider returned error", "metadata": {"raw": "…"}},
            "user_id": "u",
        },
        "Provider returned error",
        usage_pb2.REASON_INVALID_REQUEST,
    ),
    "openrouter, no credits": (
        402,
        {"error": {"code": 402, "message": "Insufficient credits"}},
        "Insufficient credits",
        usage_pb2.REASON_KEY_REJECTED,
    ),
    "deepinfra (synthetic)": (
        429,
        {"detail": {"error": "Model busy, retry later"}},
        "Model busy, retry later",
        usage_pb2.REASON_RATE_LIMITED,
    ),
    "deepinfra, the model (synthetic)": (
        404,
        {"detail": {"error": "Model is not available"}},
        "Model is not available",
        usage_pb2.REASON_MODEL_NOT_FOUND,
    ),
    "nvidia (synthetic)": (
        403,
        {"status": 403, "title": "Forbidden", "detail": "Authorization failed"},
        "Authorization failed",
        usage_pb2.REASON_KEY_REJECTED,
    ),
    "nvidia, a title only (synthetic)": (
        429,
        {"status": 429, "title": "Too Many Requests"},
        "Too Many Requests",
        usage_pb2.REASON_RATE_LIMITED,
    ),
    "a load balancer": (
        502,
        b"<html>Bad Gateway</html>",
        "The provider answered with an error that is not JSON.",
        usage_pb2.REASON_UPSTREAM_ERROR,
    ),
    "nothing": (
        503,
        b"",
        "The provider answered with an error that is not JSON.",
        usage_pb2.REASON_OVERLOADED,
    ),
    "empty": (500, {}, "The provider answered with an error.", usage_pb2.REASON_UPSTREAM_ERROR),
}


@pytest.mark.parametrize(("status", "document", "message", "reason"), SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_becomes_an_openai_error(status: int, document: Any, message: str, reason: int) -> None:
    failure = failed(status, document)
    assert (failure.status, failure.message, failure.reason) == (status, message, reason)
    assert {"message", "type", "code", "param"} <= failure.error.keys()
    assert failure.key_rejected == (reason == usage_pb2.REASON_KEY_REJECTED)
    assert failure.retryable == (status == 429 or status >= 500)
    assert failure.fatal == (status in (400, 422) and not failure.key_rejected)


def test_a_provider_s_own_fields_are_kept() -> None:
    assert failed(*SHAPES["groq"][:2]).error["failed_generation"] == "x"
    assert failed(*SHAPES["openrouter"][:2]).error["metadata"] == {"raw": "…"}
    assert failed(*SHAPES["xai"][:2]).error["code"] == "Client specified an invalid argument"


@pytest.mark.parametrize(
    "message",
    [
        "Invalid schema for function 'rotate': parameter 'api_key' has no type",
        "messages[0]: 'give me the api key' is not allowed here",
    ],
)
def test_a_400_that_quotes_the_client_is_not_about_our_key(message: str) -> None:
    failure = failed(400, {"error": {"message": message, "code": "invalid_function_parameters"}})
    assert not failure.key_rejected
    assert failure.fatal


@pytest.mark.parametrize(
    "document",
    [
        {
            "code": "400",
            "error": "Incorrect API key provided: xx. You can obtain one at https://console.x.ai.",
        },
        {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}},
        {"error": {"code": "API_KEY_INVALID", "message": "denied"}},
        {"error": {"code": "invalid_api_key", "message": "denied"}},
        {"error": "No API key provided."},
    ],
)
def test_a_400_that_refuses_our_key_is_no_fault_of_the_client(document: dict[str, Any]) -> None:
    failure = failed(400, document)
    assert failure.key_rejected
    assert not failure.fatal


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"code": "context_length_exceeded", "message": "too long"}, usage_pb2.REASON_CONTEXT_LENGTH),
        ({"message": "This model's maximum context length is 8192 tokens."}, usage_pb2.REASON_CONTEXT_LENGTH),
        ({"code": "content_filter", "message": "no"}, usage_pb2.REASON_CONTENT_FILTER),
        ({"message": "no"}, usage_pb2.REASON_INVALID_REQUEST),
    ],
)
def test_the_reason_of_a_400_is_told_apart(error: dict[str, Any], reason: int) -> None:
    assert failed(400, {"error": error}).reason == reason


@pytest.mark.parametrize("status", [302, 304])
def test_a_redirect_is_not_followed_and_not_an_answer(status: int) -> None:
    assert failed(status, b"").reason == usage_pb2.REASON_PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("error", "status", "retryable"),
    [
        ({"code": 429, "message": "slow down"}, 429, True),
        ({"code": 502, "message": "upstream"}, 502, True),
        ({"code": "tool_use_failed", "status_code": 400, "message": "no"}, 400, False),
        ({"code": "rate_limit_exceeded", "message": "slow down"}, 429, True),
        ({"type": "invalid_request_error", "message": "no"}, 400, False),
        ({"message": "overloaded"}, 200, True),
        ("overloaded", 200, True),
        (["odd"], 200, True),
        ({"code": 9999, "message": "odd"}, 200, True),
    ],
)
def test_an_error_inside_a_200_is_read_by_its_code(error: Any, status: int, retryable: bool) -> None:
    failure = failure_in_answer(error)
    assert (failure.status, failure.retryable) == (status, retryable)


def test_a_refused_key_inside_a_200_is_a_refused_key() -> None:
    assert failure_in_answer({"code": 401, "message": "No auth credentials found"}).key_rejected


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after_ms": "250", "retry_after": "7"}, 0.25),
        ({"retry_after": "-3"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "99999999"}, MAX_RETRY_AFTER_SECONDS),
        ({"retry_after_ms": "nan"}, None),
        ({"retry_after_ms": "inf"}, MAX_RETRY_AFTER_SECONDS),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
    ],
)
def test_advice_to_wait_is_read_and_bounded(headers: dict[str, str], seconds: float | None) -> None:
    assert failed(429, {}, **headers).retry_after_seconds == seconds


def test_advice_to_wait_may_be_a_date() -> None:
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    waiting = retry_after_seconds({b"retry-after": date.encode()})
    assert waiting is not None
    assert 28 <= waiting <= 30


@given(
    st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=5)),
            lambda inner: (
                st.dictionaries(
                    st.sampled_from(["error", "message", "detail", "code", "type", "title", "status"]),
                    inner,
                    max_size=3,
                )
                | st.lists(inner, max_size=2)
            ),
            max_leaves=6,
        ).map(orjson.dumps),
    ),
    st.integers(300, 599),
)
def test_whatever_a_provider_sends_is_a_failure_with_a_text(body: bytes, status: int) -> None:
    error = error_object(body)
    assert isinstance(error["message"], str)
    assert error["message"]
    assert failure_of(status, {}, body).status == status


def test_a_long_message_is_cut() -> None:
    assert (
        len(str(error_object(orjson.dumps({"error": {"message": "x" * 10_000}}))["message"]))
        == MAX_MESSAGE_LENGTH
    )
