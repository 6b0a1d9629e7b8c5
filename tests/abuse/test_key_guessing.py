"""Guessing keys (A7): nothing in an answer or in its time tells an unknown key from one that once was good.

Each connection comes from an address of its own and asks less often than the throttle for failed keys
permits; the kinds take turns in a shuffled order, so that whatever slows the machine slows all of them.
"""

from __future__ import annotations

import ipaddress
import itertools
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.abuse.scale import FULL, times
from tests.abuse.target import EXPIRED, REVOKED, UNKNOWN, VALID, WRONG_SECRET
from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.raw_client import RawClient, request_bytes

# Of one length: how long a guess is, its maker knows.
GUESSES = {"unknown": UNKNOWN, "wrong secret": WRONG_SECRET, "revoked": REVOKED, "expired": EXPIRED}
SAMPLES = times(200, 100_000)
# Of each kind on one connection: below the throttle's 100 an address.
ROUNDS_PER_CONNECTION = 20
# Both of all samples and of the faster 95 %: what the machine adds must not hide what a key does.
MAX_T = 4.5
FAST_SHARE = 0.95
FIRST_ADDRESS = ipaddress.IPv4Address("127.64.0.1")
BODY = b'{"model":"gpt-plain","messages":[]}'


@dataclass(slots=True)
class Guess:
    kind: str
    seconds: float
    answer: bytes


def guesses(url: str, samples: int) -> Iterator[Guess]:
    chance = random.Random(7)
    requests = [(kind, request_bytes(BODY, key)) for kind, key in GUESSES.items()]
    left = samples
    for number in itertools.count():
        with RawClient(url, source=str(FIRST_ADDRESS + number)) as client:
            for _ in range(min(ROUNDS_PER_CONNECTION, left)):
                chance.shuffle(requests)
                for kind, request in requests:
                    begun = time.perf_counter()
                    client.send(request)
                    answer = client.read_some()
                    yield Guess(kind, time.perf_counter() - begun, answer)
        left -= ROUNDS_PER_CONNECTION
        if left <= 0:
            return


def welch_t(one: list[float], other: list[float]) -> float:
    """Welch, B. L. (1947): The generalization of "Student's" problem when several variances are involved."""

    def mean_and_error(values: list[float]) -> tuple[float, float]:
        mean = math.fsum(values) / len(values)
        return mean, math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1) / len(values)

    (mean, error), (other_mean, other_error) = mean_and_error(one), mean_and_error(other)
    return (mean - other_mean) / math.sqrt(error + other_error)


def largest_t(seconds: dict[str, list[float]]) -> float:
    """Over all pairs of kinds."""
    found = {
        f"{one} – {other}": welch_t(seconds[one], seconds[other])
        for one, other in itertools.combinations(seconds, 2)
    }
    print({pair: round(t, 2) for pair, t in found.items()})
    return max(abs(t) for t in found.values())


def without_id(answer: bytes) -> bytes:
    lines = answer.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(b"x-request-id:"))


def test_no_answer_and_no_time_tells_one_bad_key_from_another(gateway: Gateway) -> None:
    seconds: dict[str, list[float]] = {kind: [] for kind in GUESSES}
    seen: set[bytes] = set()
    for guess in guesses(gateway.url, SAMPLES):
        seen.add(without_id(guess.answer))
        seconds[guess.kind].append(guess.seconds)
    assert {kind: len(found) for kind, found in seconds.items()} == dict.fromkeys(GUESSES, SAMPLES)
    [answer] = seen
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert gateway.provider.attempts() == []
    assert gateway.get("/v1/models", key=VALID).status == 200
    limit = sorted(itertools.chain.from_iterable(seconds.values()))[int(4 * SAMPLES * FAST_SHARE)]
    fast = {kind: [x for x in found if x < limit] for kind, found in seconds.items()}
    t_of_all, t_of_fast = largest_t(seconds), largest_t(fast)
    print(f"{SAMPLES} of each kind; |t| of all {t_of_all:.2f}, of the faster {t_of_fast:.2f}")
    if FULL:
        assert t_of_all < MAX_T
        assert t_of_fast < MAX_T


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/models", "/headgate/v1/feedback", "/providers/x/v1/y"])
def test_every_door_says_the_same_of_every_bad_key(gateway: Gateway, path: str) -> None:
    method = "GET" if path == "/v1/models" else "POST"
    seen = set()
    for key in (*GUESSES.values(), None):
        answer = gateway.request(method, path, BODY, key=key, source="127.63.0.1")
        assert answer.status == 401
        names = tuple(name for name, _ in answer.headers)
        seen.add((names, answer.body.replace(answer.request_id.encode(), b"")))
    assert len(seen) == 1


def test_a_slower_kind_would_be_found() -> None:
    """The test's own power: 2 % of a spread of 30 µs, at the full count."""
    chance = random.Random(1)
    one = [chance.gauss(100e-6, 30e-6) for _ in range(100_000)]
    assert abs(welch_t(one, [x + 2e-6 for x in one])) > MAX_T
    assert abs(welch_t(one, [chance.gauss(100e-6, 30e-6) for _ in one])) < MAX_T
