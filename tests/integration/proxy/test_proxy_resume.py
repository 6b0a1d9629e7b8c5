"""Streams that survive a cut: `resume: exact` goes on where one broke off, `hold: whole` starts over unseen.

Every client dialect, by what the client reads; what each attempt was worth, by the receipt.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proxy.gateway import QUESTION, Gateway, chat
from tests.integration.proxy.raw_client import Answer
from tests.support.fake_provider import Behaviour, FakeProvider
from tests.support.processes import start_headgate
from tests.support.provider import presets

NAMES = ("first", "second", "third")
TEXT = "The answer to life, the universe and everything is forty-two, as everybody knows by now."
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


def manifest(base_url: str) -> dict[str, Any]:
    providers = [
        {
            "name": name,
            "kind": "openai-compatible",
            "keys": [f"pk-{name}"],
            "base_url": base_url,
            "private_network": True,
            "circuit_failures": 0,
        }
        for name in NAMES
    ]
    models = [{"name": name, "provider": name, "price": {"input": 1, "output": 2}} for name in NAMES]
    everyone = {"policy": {"fallback": [*NAMES]}, "retry": {"attempts": 1}, "timeouts": {"idle": "600ms"}}
    return {
        "providers": providers,
        "models": models,
        "routes": [
            {"name": "resume", "resume": "exact", **everyone},
            {"name": "plain", **everyone},
            {"name": "hold", "hold": "whole", **everyone},
            {"name": "held-race", "hold": "whole", "policy": {"race": {"of": ["first", "second"]}}},
        ],
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("resume")
    with FakeProvider() as provider, start_headgate(folder, manifest(provider.base_url)) as headgate:
        gateway = Gateway(headgate, provider)
        yield gateway
        gateway.close()


@pytest.fixture
def script(gateway: Gateway) -> FakeProvider:
    gateway.provider.wait_done(0)
    gateway.provider.reset()
    for name in NAMES:
        gateway.provider.always(name, Behaviour(text=TEXT))
    return gateway.provider


def ask(gateway: Gateway, dialect: str, route: str, **headers: str) -> Answer:
    document: dict[str, Any] = {"model": route, "stream": True}
    if dialect == "responses":
        document["input"] = QUESTION
    else:
        document["messages"] = QUESTION
    if dialect == "messages":
        document["max_tokens"] = 100
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.post(document, PATHS[dialect], headers=named)


def text_of(dialect: str, answer: Answer) -> str:
    found = []
    for event in answer.events():
        if event == "[DONE]":
            continue
        if dialect == "chat":
            found += [choice["delta"].get("content") or "" for choice in event.get("choices", ())]
        elif dialect == "messages" and event["type"] == "content_block_delta":
            found.append(event["delta"].get("text", ""))
        elif dialect == "responses" and event["type"] == "response.output_text.delta":
            found.append(event["delta"])
    return "".join(found)


def ends_well(dialect: str, answer: Answer) -> bool:
    events = answer.events()
    if dialect == "chat":
        return bool(events[-1] == "[DONE]")
    return bool(events[-1]["type"] in ("message_stop", "response.completed"))


def outcomes(gateway: Gateway, answer: Answer) -> list[tuple[str, str, str | None]]:
    tried = gateway.tried(answer.request_id)
    return [(attempt["model"], attempt["outcome"], attempt["reason"]) for attempt in tried]


CUTS = {
    "reset": (presets.cut_after_events(6, text=TEXT), "connection_reset"),
    "closed": (presets.cut_mid_event(6, "close", text=TEXT), "connection_reset"),
    "stalled": (presets.stall_after_events(6, text=TEXT), "idle_timeout"),
    "no end": (presets.no_terminal_event(text=TEXT), "stream_cut"),
    "error event": (presets.error_in_stream(after_events=5, text=TEXT), "stream_error"),
}


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("cut", CUTS)
def test_after_a_cut_the_next_target_goes_on_without_a_seam(
    gateway: Gateway, script: FakeProvider, dialect: str, cut: str
) -> None:
    behaviour, reason = CUTS[cut]
    script.always("first", behaviour)
    script.always("second", Behaviour(text=TEXT, chunks=5))  # in other pieces
    answer = ask(gateway, dialect, "resume")
    assert text_of(dialect, answer) == TEXT
    assert ends_well(dialect, answer)
    assert not any(event != "[DONE]" and event.get("error") for event in answer.events())
    found = outcomes(gateway, answer)
    assert found[0][:2] == ("first", "timeout" if cut == "stalled" else "error")
    assert found[1] == ("second", "ok", None)
    receipt = gateway.receipt(answer.request_id)
    assert float(receipt["cost_usd"]) == pytest.approx(
        sum(float(attempt["cost_usd"]) for attempt in receipt["attempts"])
    )
    assert receipt["attempts"][0]["estimated"]
    assert float(receipt["attempts"][0]["cost_usd"]) > 0
    if cut not in ("error event", "closed"):
        assert found[0][2] == reason


def test_the_chunks_of_both_answers_look_like_one(gateway: Gateway, script: FakeProvider) -> None:
    script.always("first", presets.cut_after_events(6, text=TEXT))
    answer = ask(gateway, "chat", "resume")
    chunks = [event for event in answer.events() if event != "[DONE]"]
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    roles = [chunk for chunk in chunks if chunk["choices"] and chunk["choices"][0]["delta"].get("role")]
    assert len(roles) <= 1 or all(chunk["choices"][0]["delta"].get("content") for chunk in roles[1:])


def test_the_events_of_a_response_go_on_counting_under_the_same_names(
    gateway: Gateway, script: FakeProvider
) -> None:
    script.always("first", presets.cut_after_events(6, text=TEXT))
    events = ask(gateway, "responses", "resume").events()
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert len({event["item_id"] for event in events if "item_id" in event}) == 1
    responses = [event["response"] for event in events if "response" in event]
    assert len({response["id"] for response in responses}) == 1
    (message,) = responses[-1]["output"]
    assert message["content"][0]["text"] == TEXT
    assert message["id"] == next(event["item_id"] for event in events if "item_id" in event)


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("other", ["Something else altogether.", TEXT[:10]], ids=["different", "shorter"])
def test_an_answer_that_does_not_begin_with_what_was_delivered_is_not_used(
    gateway: Gateway, script: FakeProvider, dialect: str, other: str
) -> None:
    script.always("first", presets.cut_after_events(6, text=TEXT))
    script.always("second", Behaviour(text=other))
    answer = ask(gateway, dialect, "resume")
    assert text_of(dialect, answer) == TEXT
    assert ends_well(dialect, answer)
    assert outcomes(gateway, answer)[1:] == [("second", "error", "other_answer"), ("third", "ok", None)]


@pytest.mark.parametrize("dialect", PATHS)
def test_when_nobody_goes_on_the_client_gets_an_error_event(
    gateway: Gateway, script: FakeProvider, dialect: str
) -> None:
    script.always("first", presets.cut_after_events(6, text=TEXT))
    script.always("second", Behaviour(text="Something else."))
    script.always("third", presets.server_error())
    answer = ask(gateway, dialect, "resume")
    assert TEXT.startswith(text_of(dialect, answer))
    assert not ends_well(dialect, answer)
    last = answer.events()[-1]
    assert "error" in last or last["type"] == "response.failed"
    assert [found[0] for found in outcomes(gateway, answer)] == ["first", "second", "third"]


def test_a_second_cut_is_survived_as_well(gateway: Gateway, script: FakeProvider) -> None:
    script.always("first", presets.cut_after_events(4, text=TEXT))
    script.always("second", presets.cut_after_events(9, text=TEXT))
    answer = ask(gateway, "chat", "resume")
    assert text_of("chat", answer) == TEXT
    assert [found[1] for found in outcomes(gateway, answer)] == ["error", "error", "ok"]


def test_a_stream_that_called_a_tool_is_not_put_together(gateway: Gateway, script: FakeProvider) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    script.always("first", presets.cut_after_events(3, call_tools=1))
    answer = gateway.post(chat("resume", stream=True, tools=[tool]))
    assert "error" in answer.events()[-1]
    assert [found[0] for found in outcomes(gateway, answer)] == ["first"]


def test_a_route_that_does_not_ask_for_it_ends_in_an_error(gateway: Gateway, script: FakeProvider) -> None:
    script.always("first", presets.cut_after_events(6, text=TEXT))
    answer = ask(gateway, "chat", "plain")
    assert "error" in answer.events()[-1]
    assert len(gateway.attempts(1)) == 1


@pytest.mark.parametrize("dialect", PATHS)
def test_an_inline_receipt_tells_of_both_attempts(
    gateway: Gateway, script: FakeProvider, dialect: str
) -> None:
    script.always("first", presets.cut_after_events(6, text=TEXT))
    answer = ask(gateway, dialect, "resume", x_headgate_receipt="inline")
    assert text_of(dialect, answer) == TEXT
    assert ends_well(dialect, answer)
    receipts = [event["headgate"] for event in answer.events() if event != "[DONE]" and "headgate" in event]
    assert [attempt["model"] for attempt in receipts[0]["attempts"]] == ["first", "second"]


# hold: whole.


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("cut", CUTS)
def test_a_held_stream_that_is_cut_falls_back_unseen(
    gateway: Gateway, script: FakeProvider, dialect: str, cut: str
) -> None:
    script.always("first", CUTS[cut][0])
    script.always("second", Behaviour(text="Something else."))
    answer = ask(gateway, dialect, "hold")
    assert answer.status == 200
    assert answer.header("x-headgate-model") == "second/second"
    assert text_of(dialect, answer) == "Something else."
    assert ends_well(dialect, answer)
    assert [found[1] for found in outcomes(gateway, answer)][-1] == "ok"


def test_when_every_held_stream_is_cut_the_client_gets_a_real_status(
    gateway: Gateway, script: FakeProvider
) -> None:
    for name in NAMES:
        script.always(name, presets.cut_after_events(6, text=TEXT))
    answer = ask(gateway, "chat", "hold")
    assert answer.status == 502
    assert len(answer.error()["attempts"]) == 3


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("bad", [Behaviour(refusal="No."), Behaviour(text="")], ids=["refusal", "empty"])
def test_of_held_streams_that_race_the_whole_answer_decides(
    gateway: Gateway, script: FakeProvider, dialect: str, bad: Behaviour
) -> None:
    script.always("first", bad)
    script.always("second", Behaviour(text=TEXT, headers_delay_seconds=0.3))
    answer = ask(gateway, dialect, "held-race")
    assert answer.header("x-headgate-model") == "second/second"
    assert text_of(dialect, answer) == TEXT


def test_held_text_does_not_win_where_json_was_asked_for(gateway: Gateway, script: FakeProvider) -> None:
    script.always("second", Behaviour(text='{"a": 1}', headers_delay_seconds=0.3))
    answer = gateway.post(chat("held-race", stream=True, response_format={"type": "json_object"}))
    assert text_of("chat", answer) == '{"a": 1}'


def said(*pieces: str, finish: str | None = None, end: bytes = b"") -> Behaviour:
    """A stream of chunks as written here, the last with the finish reason, and then `end`."""
    events = b""
    for number, piece in enumerate(pieces, start=1):
        reason = finish if number == len(pieces) else None
        choice = {"index": 0, "delta": {"content": piece}, "finish_reason": reason}
        events += b"data: " + json.dumps({"id": pieces[0], "choices": [choice]}).encode() + b"\n\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    return Behaviour(raw=head + events + end)


# Until the records of the calls before are in the control plane.
SHIPPED_SECONDS = 1.0
DONE = b"data: [DONE]\n\n"
ERROR_AND_DONE = b'data: {"error":{"message":"overloaded","code":502}}\n\n' + DONE


@pytest.mark.parametrize("whole", ["six by sev", "six by seven"])
def test_a_last_piece_that_is_also_the_finish_keeps_its_finish(
    gateway: Gateway, script: FakeProvider, whole: str
) -> None:
    script.always("first", said("six ", "by sev"))
    script.always("second", said(whole, finish="stop", end=DONE))
    answer = ask(gateway, "chat", "resume")
    assert text_of("chat", answer) == whole
    finishes = [event["choices"][0]["finish_reason"] for event in answer.events() if event != "[DONE]"]
    assert [reason for reason in finishes if reason] == ["stop"]
    assert ends_well("chat", answer)


def test_done_after_an_error_is_not_the_end_of_a_stream_that_goes_on(
    gateway: Gateway, script: FakeProvider
) -> None:
    script.always("first", said("six "))
    script.always("second", said("six by ", end=ERROR_AND_DONE))
    script.always("third", said("six by seven", finish="stop", end=DONE))
    answer = ask(gateway, "chat", "resume")
    assert text_of("chat", answer) == "six by seven"
    assert answer.events().count("[DONE]") == 1
    assert [found[1] for found in outcomes(gateway, answer)] == ["error", "error", "ok"]


def test_a_call_that_went_on_after_error_and_done_counts_once(gateway: Gateway, script: FakeProvider) -> None:
    before = counted(gateway)
    script.always("first", said("six ", end=ERROR_AND_DONE))
    script.always("second", said("six by seven", finish="stop", end=DONE))
    answer = ask(gateway, "chat", "resume")
    assert text_of("chat", answer) == "six by seven"
    gateway.call(answer.request_id)  # its rows are there
    calls, attempts = counted(gateway)
    assert (calls - before[0], attempts - before[1]) == (1, 2)


def counted(gateway: Gateway) -> tuple[int, int]:
    """(calls, attempts) of the route so far."""
    time.sleep(SHIPPED_SECONDS)
    (row,) = [row for row in gateway.headgate.usage("--by", "route") if row["route"] == "resume"] or [{}]
    return row.get("calls", 0), row.get("attempts", 0)
