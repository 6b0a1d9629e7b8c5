"""Several workers are one proxy: what one of them learns of a provider, the others know a moment later."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.raw_client import request_bytes
from tests.support.fake_provider import Behaviour, FakeProvider
from tests.support.processes import start_headgate
from tests.support.provider.presets import rate_limited

NAMES = ("tired", "rested", "slow", "quick")
# Longer than workers take to tell each other.
TOLD_SECONDS = 2.5


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with FakeProvider() as provider:
        manifest = {
            "providers": [
                {
                    "name": name,
                    "kind": "openai-compatible",
                    "keys": [f"pk-{name}"],
                    "base_url": provider.base_url,
                    "private_network": True,
                }
                for name in NAMES
            ],
            "models": [{"name": name, "provider": name} for name in NAMES],
            "routes": [
                {"name": "limited", "policy": {"fallback": ["tired", "rested"]}},
                {"name": "fastest-of", "policy": {"fastest": {"of": ["slow", "quick"]}}},
            ],
        }
        with start_headgate(tmp_path_factory.mktemp("workers"), manifest, "--workers", "2") as headgate:
            gateway = Gateway(headgate, provider)
            yield gateway
            gateway.close()


def test_a_key_that_one_worker_was_told_to_rest_rests_in_all(gateway: Gateway) -> None:
    gateway.provider.always("tired", rate_limited("60"))
    assert gateway.post(chat("limited")).header("x-headgate-model") == "rested/rested"
    time.sleep(TOLD_SECONDS)
    # Connections of their own: both workers get some of forty, but for one time in 10^12.
    for _ in range(40):
        assert gateway.post(chat("limited")).header("x-headgate-model") == "rested/rested"
    assert sum(attempt.model == "tired" for attempt in gateway.provider.attempts()) == 1


def test_a_model_is_measured_once_and_not_once_per_worker(gateway: Gateway) -> None:
    gateway.provider.always("slow", Behaviour(headers_delay_seconds=0.5))
    with gateway.connect() as client:  # one connection is one worker
        body = b'{"model": "fastest-of", "messages": [{"role": "user", "content": "hi"}]}'
        for _ in range(4):
            client.send(request_bytes(body, gateway.key))
            assert client.answer().status == 200
    time.sleep(TOLD_SECONDS)
    before = sum(attempt.model == "slow" for attempt in gateway.provider.attempts())
    for _ in range(40):
        assert gateway.post(chat("fastest-of")).status == 200
    after = sum(attempt.model == "slow" for attempt in gateway.provider.attempts())
    # The other worker did not have to try it. One in fifty calls goes to see whether it has become better.
    assert after - before <= 5
    assert before >= 1
