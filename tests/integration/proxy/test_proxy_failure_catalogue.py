"""When a provider fails: what the client sees, who is asked how often and when, and what is billed.

The table is in failure_catalogue.py; every row is tried with and without a spare, and every error told to a
client of OpenAI's and one of Anthropic's. Pauses have lower bounds alone: a slow machine makes nothing wrong.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.proxy.asking_across import ask, error_of, events, text_of
from tests.integration.proxy.failure_catalogue import (
    BACKOFF_SECONDS,
    CASES,
    PRIMARY_PRICE,
    SPARE_PRICE,
    TEXT,
    Case,
    Tried,
    chunk,
    manifest,
)
from tests.integration.proxy.gateway import Gateway, same_id
from tests.integration.proxy.raw_client import Answer
from tests.support.fake_provider import Attempt, Behaviour, Cut, FakeProvider
from tests.support.processes import start_headgate
from tests.support.provider import presets
from tests.support.saying import Said, stream_of
from tests.support.sockets import refused_port

PER_MILLION = Decimal(10**6)
# The loop's timers are good to a millisecond.
TIMER_SECONDS = 0.002
CLIENTS = pytest.mark.parametrize("client", ["chat", "messages"])
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
# Anthropic's word by status; of a stream's error event, by code.
# https://docs.anthropic.com/en/api/errors
ANTHROPIC_TYPES: dict[int | str, str] = {
    400: "invalid_request_error",
    429: "rate_limit_error",
    502: "api_error",
    504: "timeout_error",
    "upstream_error": "api_error",
    "upstream_timeout": "timeout_error",
}
ENDS = {"chat": b"[DONE]", "messages": b"message_stop"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with FakeProvider() as provider, refused_port() as nobody:
        document = manifest(provider.base_url, f"http://127.0.0.1:{nobody.getsockname()[1]}/v1")
        with start_headgate(tmp_path_factory.mktemp("failures"), document) as headgate:
            gateway = Gateway(headgate, provider)
            yield gateway
            gateway.close()


@pytest.fixture
def catalogue(shared: Gateway) -> Gateway:
    shared.provider.wait_done(0)
    shared.provider.reset()
    return shared


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_failure_is_told_and_tried_and_billed_as_the_catalogue_says(catalogue: Gateway, case: Case) -> None:
    if case.row.script:
        catalogue.provider.script(case.primary, *case.row.script[:-1])
        catalogue.provider.always(case.primary, case.row.script[-1])
    catalogue.provider.always(case.spare, case.row.spare)
    if any(tried.reason == "connection_reset" for _, tried in case.tries):
        catalogue.forget_connections()  # one that was used before would get a second chance
    answer = ask(catalogue, case.client, case.route, **case.fields)
    check_what_the_client_sees(case, answer)
    tried = catalogue.tried(answer.request_id)
    attempts = catalogue.provider.wait_done(0)
    check_who_was_asked_and_when(case, attempts)
    assert [(one["model"], one["outcome"], one["reason"], one["status"]) for one in tried] == [
        (model, expected.outcome, expected.reason, expected.status) for model, expected in case.tries
    ]
    for one, (_, expected) in zip(tried, case.tries, strict=True):
        check_what_is_billed(one, expected, case, attempts)
    total = sum(Decimal(one["cost_usd"]) for one in tried)
    assert Decimal(catalogue.receipt(answer.request_id)["cost_usd"]) == total
    if answer.header("content-type") == "application/json":
        assert Decimal(answer.header("x-headgate-cost-usd") or "") == total


def check_what_the_client_sees(case: Case, answer: Answer) -> None:
    status, code = case.told
    last = case.tries[-1][0]
    assert answer.status == status, answer.body
    assert answer.header("x-headgate-attempts") == str(len(case.tries))
    assert answer.header("x-headgate-model") == f"{last}/{last}"
    headers = [answer.header(name) for name in ("x-headgate-error", "x-should-retry", "retry-after")]
    if status != 200:
        assert headers == [code, "false", case.row.retry_after]
        error = error_of(case.client, answer)
        check_error(case, error, status, code)
        assert [(one["model"], one["reason"]) for one in error["attempts"]] == [
            (f"{model}/{model}", tried.reason) for model, tried in case.tries
        ]
        return
    assert headers == [None, None, None]
    if not code:
        assert "forty-two" in text_of(case.client, answer)
        assert (ENDS[case.client] in answer.body) == case.stream
        return
    *said, end = answer.events()
    assert text_of_events(case.client, said) == TEXT, "what was said before is the client's"
    assert ENDS[case.client] not in answer.body, "never a clean end"
    if case.client == "messages":
        assert end["type"] == "error"
        assert end["request_id"] == answer.request_id
    check_error(case, end["error"], code, code)


def check_error(case: Case, error: dict[str, Any], kind: int | str, code: str) -> None:
    assert error["code"] == code
    assert error["message"]
    if case.client == "messages":
        assert error["type"] == ANTHROPIC_TYPES[kind]
    elif code.startswith("upstream_"):
        assert error["type"] == "upstream_error"
    else:
        assert error["type"] in ("invalid_request_error", "rate_limit_error", "requests")


def text_of_events(client: str, said: list[Any]) -> str:
    if client == "messages":
        return "".join(event.get("delta", {}).get("text", "") for event in said)
    return "".join(choice["delta"].get("content") or "" for event in said for choice in event["choices"])


def check_who_was_asked_and_when(case: Case, attempts: Sequence[Attempt]) -> None:
    reached = [model for model, tried in case.tries if tried.reason != "connect_failed"]
    assert [attempt.model for attempt in attempts] == reached
    assert len({attempt.client_request_id for attempt in attempts}) == len(attempts)
    for before, after in itertools.pairwise(attempts):
        pause = after.received_at_seconds - before.received_at_seconds
        if before.model == after.model:
            wanted = case.row.pause_seconds if after.model == case.primary else BACKOFF_SECONDS
            assert pause >= wanted - TIMER_SECONDS


def check_what_is_billed(
    one: dict[str, Any], expected: Tried, case: Case, attempts: Sequence[Attempt]
) -> None:
    price = PRIMARY_PRICE if one["model"] == case.primary else SPARE_PRICE
    given, made = one["input_tokens"], one["output_tokens"]
    assert Decimal(one["cost_usd"]) == (given * price["input"] + made * price["output"]) / PER_MILLION
    if expected.billed == "nothing":
        assert (given, made, one["cost_usd"], one["estimated"]) == (0, 0, "0", False)
    elif expected.billed == "as reported":
        [attempt] = [found for found in attempts if same_id(found.client_request_id, one["id"])]
        assert (given, made) == (attempt.served.prompt_tokens, attempt.served.completion_tokens)
        assert given > 0
        assert not one["estimated"]
    else:
        assert (given, made) == (len(json.dumps(case.question)) // 4, expected.billed)
        assert one["estimated"]


# What a table has no room for.


@CLIENTS
@BOTH
def test_an_answer_that_a_filter_cut_short_is_an_answer_and_billed_as_one(
    catalogue: Gateway, client: str, stream: bool
) -> None:
    end = {"index": 0, "delta": {}, "message": {"role": "assistant", "content": "Well"}}
    last = {
        "choices": [{**end, "finish_reason": "content_filter"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    }
    body: Any = events(chunk(content="Well"), last, "[DONE]") if stream else last
    catalogue.provider.script("flapping", Behaviour(body=body, stream=stream))
    answer = ask(catalogue, client, "flapping-spared", stream=stream)
    assert answer.header("x-headgate-attempts") == "1"
    assert text_of(client, answer) == "Well"
    assert (b'"content_filter"' if client == "chat" else b'"refusal"') in answer.body
    [tried] = catalogue.tried(answer.request_id)
    assert (tried["outcome"], tried["input_tokens"], tried["output_tokens"]) == ("ok", 9, 4)
    catalogue.attempts(1)


def test_a_primary_that_fails_every_second_call_is_never_noticed_where_it_is_tried_twice(
    catalogue: Gateway,
) -> None:
    catalogue.provider.script("flapping", *[presets.server_error(500), Behaviour()] * 6)
    for _ in range(6):
        answer = ask(catalogue, "chat", "flapping-alone")
        assert (answer.status, answer.header("x-headgate-attempts")) == (200, "2")
        failed, answered = catalogue.tried(answer.request_id)
        assert (failed["cost_usd"], answered["cost_usd"]) == ("0", answer.header("x-headgate-cost-usd"))
    catalogue.attempts(12)


def test_a_primary_that_fails_every_second_call_is_asked_last_after_a_while(catalogue: Gateway) -> None:
    catalogue.provider.script("flapping", *[presets.server_error(500), Behaviour()] * 100)
    attempts_of_the_spares = []
    for _ in range(100):
        answer = ask(catalogue, "chat", "flapping-spared")
        assert answer.status == 200
        if answer.header("x-headgate-model") == "flapping-spare/flapping-spare":
            attempts_of_the_spares.append(answer.header("x-headgate-attempts"))
    assert attempts_of_the_spares[0] == "2", "first the primary failed"
    assert "1" in attempts_of_the_spares, "its circuit never opened"


def test_streams_that_break_off_in_a_row_open_a_circuit_like_other_failures(catalogue: Gateway) -> None:
    catalogue.provider.always("cutting", presets.cut_after_events(3, "close"))
    for _ in range(3):
        assert "error" in ask(catalogue, "chat", "cutting-spared", stream=True).events()[-1]
    # A second at most is open; on a slow machine the next call may be the one that is let through.
    models = [
        ask(catalogue, "chat", "cutting-spared", stream=True).header("x-headgate-model") for _ in range(3)
    ]
    assert "cutting-spare/cutting-spare" in models
    catalogue.provider.always("cutting", Behaviour())
    deadline = time.monotonic() + 15
    while (
        ask(catalogue, "chat", "cutting-spared", stream=True).header("x-headgate-model") != "cutting/cutting"
    ):
        assert time.monotonic() < deadline, "it never came back"
        time.sleep(0.1)


@CLIENTS
def test_a_cut_stream_of_anthropics_is_billed_for_what_was_said_and_not_for_what_was_announced(
    shared: Gateway, client: str
) -> None:
    """`message_start` has the input and one token of output; the rest stands in an end that never came."""
    said = Said(text=("word",) * 20, input_tokens=30, cached_tokens=10)
    body = stream_of("messages", said)
    cut = body.index(b"event: content_block_stop")
    shared.provider.script("claude", Behaviour(body=body, stream=True, cut=Cut("body_bytes", cut, "close")))
    answer = ask(shared, client, "claude", stream=True)
    assert answer.events()[-1]["error"]["code"] == "upstream_error"
    [tried] = shared.tried(answer.request_id)
    assert (tried["input_tokens"], tried["cache_read_tokens"]) == (30, 10)
    assert 20 <= tried["output_tokens"] <= 25
    assert tried["estimated"]
