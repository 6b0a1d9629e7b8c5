"""Every recording as upstream of a running gateway, called by Messages clients with the official SDK.

All cases are played once, when the first test needs them; each test looks at one side of one provider's.
What counts as the same, and the reasons: tests/contract/conformance, docs/conformance.md.
"""

from __future__ import annotations

import pytest

from tests.contract.conformance.cases import Dialect, providers
from tests.contract.conformance.judging import Verdict, complaints, play_and_judge
from tests.contract.conformance.table import column, fingerprint, read_column
from tests.support.wire import needs_wire

pytestmark = [needs_wire, pytest.mark.wire]

CLIENT: Dialect = "messages"
each_provider = pytest.mark.parametrize("provider", providers())


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    return play_and_judge(CLIENT, tmp_path_factory.mktemp(CLIENT))


@each_provider
def test_the_provider_is_sent_what_was_recorded(provider: str, verdicts: list[Verdict]) -> None:
    found = complaints(verdicts, provider, "request")
    assert not found, found


@each_provider
def test_the_client_gets_what_the_provider_said(provider: str, verdicts: list[Verdict]) -> None:
    found = complaints(verdicts, provider, "answer")
    assert not found, found


@each_provider
def test_the_anthropic_sdk_parses_every_event_without_complaint(
    provider: str, verdicts: list[Verdict]
) -> None:
    found = complaints(verdicts, provider, "sdk")
    assert not found, found


@each_provider
def test_the_client_and_the_record_have_the_tokens_by_class(provider: str, verdicts: list[Verdict]) -> None:
    found = complaints(verdicts, provider, "usage")
    assert not found, found


@each_provider
def test_blocks_are_started_filled_and_stopped_once(provider: str, verdicts: list[Verdict]) -> None:
    found = complaints(verdicts, provider, "stream")
    assert not found, found


@each_provider
def test_an_error_keeps_its_status_and_words_in_the_client_s_shape(
    provider: str, verdicts: list[Verdict]
) -> None:
    found = complaints(verdicts, provider, "error")
    assert not found, found


def test_most_of_what_was_recorded_can_be_asked(verdicts: list[Verdict]) -> None:
    refused = [verdict for verdict in verdicts if verdict.outcome == "refused"]
    assert len(refused) < len(verdicts) / 5


def test_the_page_has_the_totals_of_today(verdicts: list[Verdict]) -> None:
    made_from, cells = read_column(CLIENT)
    if made_from != fingerprint():
        pytest.skip("docs/conformance.md is about another set of recordings")
    assert cells == column(verdicts), "run python -m tests.contract.conformance"
