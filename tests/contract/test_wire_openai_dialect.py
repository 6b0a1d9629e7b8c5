"""Every OpenAI-dialect recording through a running gateway: the client gets what the provider sent, the
provider gets what the client asked, and the usage record says what it was worth (issue 2).

All recordings are played once, when the first test needs them; each test then looks at one side of one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from headgate.v1 import usage_pb2
from tests.contract.recorded_worth import (
    Worth,
    calculated_usd,
    picousd,
    recorded_tokens,
    stated_usd,
)
from tests.contract.replayed import (
    PROVIDERS,
    Play,
    Played,
    manifest,
    play_all,
    played_recordings,
    plays,
    route_name,
)
from tests.support.fake_provider import FakeProvider
from tests.support.processes import Headgate, start_headgate
from tests.support.wire import Recording, needs_wire

pytestmark = [needs_wire, pytest.mark.wire]

# Kinds that are asked for usage in streams; Mistral sends it unasked and refuses unknown fields.
ASKED_FOR_USAGE = frozenset(PROVIDERS) - {"mistral"}
# Streams that are an error before their first real event: a status, not a stream.
BEGAN_WITH_AN_ERROR = {"groq-chat_completions-s-rql-008": 400}
# Whose last word is an error, after something was said. The second also finished before (`length`).
ENDED_WITH_AN_ERROR = {"groq-chat_completions-s-pai-002", "openrouter-chat_completions-s-pai-002"}
PLAYS = plays()
AS_RECORDED = [play for play in PLAYS if play.way == "as recorded"]


def each(chosen: list[Play]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("play", [pytest.param(play, id=play.id) for play in chosen])


def answered(play: Play) -> bool:
    return play.recording.status == 200 and play.recording.id not in BEGAN_WITH_AN_ERROR


WHOLE = [play for play in PLAYS if answered(play) and not play.recording.is_stream]
STREAMS = [play for play in PLAYS if answered(play) and play.recording.is_stream]
REFUSED = [play for play in PLAYS if not answered(play)]
ANSWERED = [*WHOLE, *STREAMS]


@pytest.fixture(scope="module")
def gateway_and_played(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Headgate, dict[str, Played]]]:
    folder = tmp_path_factory.mktemp("wire")
    with FakeProvider() as provider, start_headgate(folder, manifest(provider.base_url)) as gateway:
        yield gateway, play_all(gateway, provider, PLAYS)


@pytest.fixture(scope="module")
def gateway(gateway_and_played: tuple[Headgate, dict[str, Played]]) -> Headgate:
    return gateway_and_played[0]


@pytest.fixture(scope="module")
def played(gateway_and_played: tuple[Headgate, dict[str, Played]]) -> dict[str, Played]:
    return gateway_and_played[1]


def test_every_kind_of_recording_is_here() -> None:
    assert {play.recording.provider for play in STREAMS} == set(PROVIDERS)
    assert {play.recording.endpoint for play in ANSWERED} == {"chat.completions", "completions", "embeddings"}
    assert len(played_recordings()) >= 300
    assert {play.way for play in PLAYS} == {"as recorded", "usage not asked for", "byte by byte"}


# What the client gets.


@each(WHOLE)
def test_a_whole_answer_is_what_the_provider_sent(play: Play, played: dict[str, Played]) -> None:
    got = played[play.id]
    assert got.status == 200
    assert got.body == play.recording.body
    assert got.headers["content-type"] == play.recording.headers["content-type"]


@each(STREAMS)
def test_a_stream_is_what_the_provider_sent(play: Play, played: dict[str, Played]) -> None:
    got = played[play.id]
    assert got.status == 200
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.body == visible(play)


def visible(play: Play) -> bytes:
    """The recorded bytes; without the usage-only chunk where the client did not ask for it."""
    asked = (play.asked.get("stream_options") or {}).get("include_usage")
    if asked:
        return play.recording.body
    events = re.findall(rb".*?(?:\n\n|\Z)", play.recording.body, re.DOTALL)
    return b"".join(event for event in events if not usage_only(event))


def usage_only(event: bytes) -> bool:
    if not event.startswith(b"data: {"):
        return False
    document = json.loads(event.removeprefix(b"data: "))
    return bool(document.get("usage")) and not document.get("choices") and "error" not in document


def test_some_usage_chunks_are_hidden_and_some_are_shown() -> None:
    hidden = [play for play in STREAMS if visible(play) != play.recording.body]
    assert {play.recording.provider for play in hidden} >= {"openai", "groq", "xai"}
    shown = [play for play in STREAMS if visible(play) == play.recording.body]
    assert any("usage_only_chunk" in play.recording.features for play in shown)


def test_an_error_inside_a_stream_reaches_the_client_once(played: dict[str, Played]) -> None:
    found = [play for play in STREAMS if play.recording.id in ENDED_WITH_AN_ERROR]
    assert found
    for play in found:
        events = [line for line in played[play.id].body.splitlines() if line.startswith(b'data: {"')]
        assert sum("error" in json.loads(line[6:]) for line in events) == 1, play.id


# What the client gets when the provider refuses.


def expected_status(recording: Recording) -> int:
    if recording.id in BEGAN_WITH_AN_ERROR:
        return BEGAN_WITH_AN_ERROR[recording.id]
    return 502 if recording.status in (401, 402, 403) else recording.status


def recorded_error(recording: Recording) -> dict[str, Any]:
    """The provider's error object, whatever its shape, as the fields a client should find."""
    if recording.is_stream:
        line = next(line for line in recording.body.splitlines() if line.startswith(b"data: "))
        error: dict[str, Any] = json.loads(line[6:])["error"]
        return error
    document = recording.document
    if isinstance(document.get("error"), dict):
        found: dict[str, Any] = document["error"]
        return found
    return {"message": document["error"], "code": document["code"]}  # xAI


@each(REFUSED)
def test_a_refusal_has_its_status_and_the_client_s_dialect(play: Play, played: dict[str, Played]) -> None:
    got = played[play.id]
    assert got.status == expected_status(play.recording)
    assert got.headers["content-type"] == "application/json"
    assert {"message", "type", "code", "param", "attempts"} <= got.error.keys()
    assert isinstance(got.error["message"], str)
    assert got.error["message"]
    assert got.headers["x-should-retry"] == "false"
    assert got.headers["x-headgate-attempts"] == "1"
    assert [attempt["model"] for attempt in got.error["attempts"]] == [got.headers["x-headgate-model"]]


@each([play for play in REFUSED if expected_status(play.recording) < 500])
def test_a_provider_s_own_words_and_fields_are_kept(play: Play, played: dict[str, Played]) -> None:
    got = played[play.id].error
    for name, value in recorded_error(play.recording).items():
        assert got[name] == value, name


@each([play for play in REFUSED if expected_status(play.recording) == 502])
def test_a_rejected_provider_key_is_ours_to_mend_and_not_the_client_s(
    play: Play, played: dict[str, Played]
) -> None:
    got = played[play.id]
    assert got.headers["x-headgate-error"] == got.error["code"] == "provider_key_rejected"
    assert got.error["attempts"][0]["status"] == play.recording.status
    assert got.error["attempts"][0]["reason"] == "key_rejected"


# What the provider is sent.


@each(PLAYS)
def test_the_provider_is_sent_the_client_s_bytes_apart_from_the_model_and_usage(
    play: Play, played: dict[str, Played]
) -> None:
    got = played[play.id]
    assert len(got.upstream) == 1
    assert got.upstream[0] == expected_upstream(play)
    assert got.upstream_paths == [f"/v1/{play.recording.endpoint.replace('.', '/')}"]


def expected_upstream(play: Play) -> bytes:
    name, model = json.dumps(route_name(play.recording)).encode(), json.dumps(play.recording.model).encode()
    assert play.sent.count(name) == 1
    body = play.sent.replace(name, model)
    asked = play.asked
    if asked.get("stream") and "stream_options" not in asked and play.recording.provider in ASKED_FOR_USAGE:
        return b'{"stream_options":{"include_usage":true},' + body[1:]
    return body


@each(PLAYS)
def test_what_the_provider_is_sent_means_what_was_recorded(play: Play, played: dict[str, Played]) -> None:
    sent = json.loads(played[play.id].upstream[0])
    recorded = dict(play.recording.request_body or {})
    for document in (sent, recorded):
        document.pop("stream_options", None)
    assert sent == recorded


# What is recorded.


@each(PLAYS)
def test_a_call_is_recorded_once(play: Play, played: dict[str, Played]) -> None:
    got = played[play.id]
    call = got.call
    assert call.request_id.replace("-", "") == got.request_id
    assert call.route == route_name(play.recording)
    assert call.status == got.status
    assert call.attempts == 1


@each([play for play in PLAYS if play.recording.id not in ENDED_WITH_AN_ERROR])
def test_a_call_is_recorded_with_its_outcome(play: Play, played: dict[str, Played]) -> None:
    expected = usage_pb2.OUTCOME_OK if answered(play) else usage_pb2.OUTCOME_ERROR
    assert played[play.id].call.outcome == expected


@each([play for play in STREAMS if play.recording.id in ENDED_WITH_AN_ERROR])
def test_a_stream_that_ends_with_an_error_is_recorded_as_one(play: Play, played: dict[str, Played]) -> None:
    assert played[play.id].call.outcome == usage_pb2.OUTCOME_ERROR


@each([play for play in ANSWERED if play.recording.usage is not None])
def test_the_record_has_the_recorded_tokens_by_class(play: Play, played: dict[str, Played]) -> None:
    call = played[play.id].call
    worth = recorded_tokens(play.recording)
    assert worth is not None
    assert call.input_tokens == worth.input
    assert call.cache_read_tokens == worth.cache_read
    assert call.cache_write_tokens == worth.cache_write
    assert call.output_tokens == worth.output
    assert call.reasoning_tokens == worth.reasoning


@each([play for play in ANSWERED if play.recording.usage is not None])
def test_the_cost_is_right_by_an_independent_calculation(play: Play, played: dict[str, Played]) -> None:
    got = played[play.id]
    cost = expected_cost(play.recording)
    assert (got.call.cost_usd or None) == (None if cost is None else plain(cost))
    if not play.recording.is_stream:
        assert got.headers["x-headgate-cost-usd"] == ("unpriced" if cost is None else plain(cost))


def expected_cost(recording: Recording) -> int | None:
    """Pico-dollars: as the provider states them; else by the catalogue; else unpriced."""
    stated = stated_usd(recording)
    worth = recorded_tokens(recording) or Worth()
    usd = calculated_usd(recording, worth) if stated is None else stated
    return None if usd is None else picousd(usd)


def plain(pico: int) -> str:
    """An exact decimal without exponent or needless zeros."""
    text = f"{Decimal(pico) / 10**12:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def test_prices_are_mostly_known() -> None:
    costs = [expected_cost(play.recording) for play in ANSWERED]
    assert sum(cost is not None for cost in costs) > 0.9 * len(costs)


@each([play for play in AS_RECORDED if answered(play) and stated_usd(play.recording) is not None])
def test_counting_agrees_with_what_a_provider_without_fees_states(play: Play) -> None:
    """OpenRouter adds search fees and other hosts' prices; xAI charges tokens alone."""
    calculated = calculated_usd(play.recording, recorded_tokens(play.recording) or Worth())
    stated = stated_usd(play.recording)
    if calculated is not None and stated is not None and play.recording.provider == "xai":
        assert calculated == stated


@each([play for play in REFUSED if play.recording.usage is None])
def test_a_refusal_costs_nothing(play: Play, played: dict[str, Played]) -> None:
    call = played[play.id].call
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (0, 0, "0")


@each([play for play in STREAMS if play.recording.usage is None])
def test_usage_that_nobody_sent_is_estimated_and_flagged(
    play: Play, played: dict[str, Played], gateway: Headgate
) -> None:
    attempt = gateway.call(played[play.id].request_id)["attempts"][0]
    assert attempt["estimated"] is True
    assert attempt["input_tokens"] > 0
    assert attempt["output_tokens"] > 0


def test_calls_show_tells_one_call_with_its_attempt(played: dict[str, Played], gateway: Headgate) -> None:
    play = next(play for play in WHOLE if play.recording.provider == "openai")
    shown = gateway.call(played[play.id].request_id)
    worth = recorded_tokens(play.recording)
    assert worth is not None
    assert shown["cost_usd"] == played[play.id].headers["x-headgate-cost-usd"]
    assert shown["attempts"][0]["upstream_model"] == play.recording.model
    assert shown["attempts"][0]["input_tokens"] == worth.input
    assert shown["attempts"][0]["estimated"] is False
