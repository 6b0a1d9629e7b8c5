"""Requests that two parsers could read differently: one client request is at most one upstream request.

Each form carries a second request hidden in its framing. Whatever the proxy makes of the first, the hidden
one must not be called (its model would show in the provider's ledger), and every answer is JSON.
"""

from __future__ import annotations

import socket

import pytest

from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.raw_client import Answer
from tests.integration.proxy.smuggling_forms import LAST, LENIENT, PLAIN, REFUSED


def talk(gateway: Gateway, data: bytes) -> list[Answer]:
    """Every answer until the server closes: it refused, or came to the last request."""
    with gateway.connect() as client:
        client.send((data + LAST).replace(b"KEY", gateway.key.encode()))
        first = client.answer()
        if first.header("connection") == "close":
            client.socket.shutdown(socket.SHUT_WR)  # else the server waits for what is on its way
        return [first, *client.answers_until_close()]


def called(answers: list[Answer]) -> list[str]:
    """The models whose answers came, in their order."""
    documents = [answer.document() for answer in answers if answer.status == 200]
    return [document["model"] for document in documents if "choices" in document]


@pytest.mark.parametrize("form", REFUSED)
def test_an_ambiguous_request_is_refused_and_what_it_hides_is_not_called(gateway: Gateway, form: str) -> None:
    answers = talk(gateway, REFUSED[form])
    assert len(answers) == 1
    assert 400 <= answers[0].status < 500
    answers[0].error()
    assert answers[0].header("connection") == "close"
    assert gateway.provider.attempts() == []


@pytest.mark.parametrize("form", PLAIN)
def test_an_unambiguous_pair_is_two_requests_in_their_order(gateway: Gateway, form: str) -> None:
    answers = talk(gateway, PLAIN[form])
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert called(answers) == ["alpha-upstream", "beta-upstream"]
    assert [attempt.model for attempt in gateway.attempts(2)] == ["alpha-upstream", "beta-upstream"]


@pytest.mark.parametrize("form", LENIENT)
def test_a_tolerated_form_never_makes_more_of_it_than_was_sent(gateway: Gateway, form: str) -> None:
    answers = talk(gateway, LENIENT[form])
    assert 1 <= len(answers) <= 3
    for answer in answers:
        assert answer.status < 500
        if answer.status >= 400:
            answer.error()
    models = [attempt.model for attempt in gateway.provider.wait_done(0)]
    assert models in ([], ["alpha-upstream"], ["beta-upstream"], ["alpha-upstream", "beta-upstream"])
    assert models == called(answers)


def test_answers_never_cross_between_connections_after_a_refused_one(gateway: Gateway) -> None:
    for form in ("length and chunked", "a chunk longer than its size", "two lengths that differ"):
        talk(gateway, REFUSED[form])
        answer = gateway.post(chat("gamma"))
        assert answer.document()["model"] == "gamma-upstream"
    gateway.attempts(3)
