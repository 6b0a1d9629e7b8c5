"""All smuggling forms at once (A4): one client request is one upstream request, and no answer goes astray.

Every request carries a mark of its own, so that the provider's ledger tells whose it was; an answer's id has
the number of the attempt that it came from.
"""

from __future__ import annotations

import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from tests.abuse.scale import times
from tests.abuse.target import VALID
from tests.integration.proxy.gateway import QUESTION, Gateway
from tests.integration.proxy.raw_client import Answer, Closed, request_bytes
from tests.integration.proxy.smuggling_forms import BODY, LAST, LENIENT, PLAIN, REFUSED

FORMS = {**REFUSED, **PLAIN, **LENIENT}
ROUNDS = times(1, 25)
AT_ONCE = 16
TEXT = QUESTION[0]["content"].encode()
_MARK = re.compile(rb"\d{6}-(?:outer|inner)")


@dataclass(frozen=True, slots=True)
class Sent:
    form: str
    number: int
    answers: list[Answer]
    # More was sent to a connection that had been closed, which may have cost the client its answer.
    reset: bool = False

    @property
    def good(self) -> list[Answer]:
        """Those that a provider gave; the list of models is ours."""
        return [one for one in self.answers if one.status == 200 and "choices" in one.document()]


def marked(data: bytes, number: int) -> bytes:
    """Its first request is the outer one, the next the inner one; lengths stay as they are."""
    for place in ("outer", "inner"):
        data = data.replace(TEXT, (b"%06d-%b" % (number, place.encode())).ljust(len(TEXT)), 1)
    return data


def test_there_are_enough_forms() -> None:
    assert len(FORMS) == len(REFUSED) + len(PLAIN) + len(LENIENT)
    assert len(set(FORMS.values())) >= 60


def attack(gateway: Gateway, form: str, number: int, pieces: int) -> Sent:
    data = marked((FORMS[form] + LAST).replace(b"KEY", VALID.encode()), number)
    cuts = sorted(random.Random(number).sample(range(1, len(data)), pieces - 1))
    answers: list[Answer] = []
    reset = False
    with gateway.connect() as client:
        try:
            for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
                client.send(data[begin:end])
                time.sleep(0.002 if pieces > 1 else 0)
        except (BrokenPipeError, ConnectionResetError):
            reset = True
        try:
            while True:
                answers.append(client.answer())
                if answers[-1].header("connection") == "close":
                    with suppress(OSError):  # the server may have reset it
                        client.socket.shutdown(socket.SHUT_WR)  # else it waits for what is on its way
        except Closed as closed:
            assert not closed.data, form
            reset = reset or not answers
    return Sent(form, number, answers, reset)


def bystander(gateway: Gateway, number: int) -> Sent:
    """An honest client on a connection that stays open, while all this goes on."""
    with gateway.connect() as client:
        answers = []
        for _ in range(5):
            client.send(request_bytes(marked(BODY, number), VALID))
            answers.append(client.answer())
    return Sent("bystander", number, answers)


def test_one_client_request_is_one_upstream_request_and_no_answer_goes_astray(gateway: Gateway) -> None:
    jobs: list[Callable[[], Sent]] = []
    for number, form in enumerate(form for _ in range(ROUNDS) for form in FORMS):
        pieces = 1 + number // len(FORMS) % 4
        jobs.append(partial(attack, gateway, form, number, pieces))
        if number % 5 == 0:
            jobs.append(partial(bystander, gateway, 900_000 + number))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        sent = [job.result() for job in [threads.submit(job) for job in jobs]]
    attempts = {attempt.number: attempt for attempt in gateway.provider.wait_done(0)}
    served = Counter(mark for attempt in attempts.values() for mark in _MARK.findall(attempt.body))
    assert served.total() == len(attempts)
    for one in sent:
        outer, inner = (b"%06d-%b" % (one.number, place) for place in (b"outer", b"inner"))
        own = served[outer] + served[inner]
        said = (one.form, own, [answer.status for answer in one.answers])
        assert len(one.good) <= own <= len(one.good) + one.reset, said
        if one.form == "bystander":
            assert served[outer] == 5
        elif one.form in PLAIN:
            assert (served[outer], served[inner]) == (1, 1), one.form
        elif one.form in REFUSED:
            assert own == 0, one.form
            assert len(one.answers) <= 1
        else:
            assert max(served[outer], served[inner]) <= 1, one.form
        for answer in one.good:
            number = int(answer.document()["id"].removeprefix("chatcmpl-fake"))
            assert b"%06d-" % one.number in attempts[number].body, one.form
    print(f"{len(sent)} clients, {len(attempts)} attempts, {len(FORMS)} forms × {ROUNDS}")
    assert len(attempts) - sum(len(one.good) for one in sent) <= sum(one.reset for one in sent)
