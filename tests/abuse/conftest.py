"""One `headgate up` and one fake provider for all attacks; each begins with a clean ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.abuse.scale import FULL
from tests.abuse.target import EXPIRED, manifest
from tests.integration.proxy.gateway import Gateway
from tests.support.fake_provider import FakeProvider
from tests.support.processes import start_headgate

# Hundreds of thousands of requests take longer than the suite's own limit.
FULL_TIMEOUT_SECONDS = 1_800


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FULL and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(FULL_TIMEOUT_SECONDS))


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("abuse")
    with FakeProvider() as provider, start_headgate(folder, manifest(provider.base_url)) as headgate:
        gateway = Gateway(headgate, provider)
        headgate.items("key", "revoke", "revoked")
        deadline = time.monotonic() + 10
        while gateway.get("/v1/models", key=EXPIRED).status != 401:
            assert time.monotonic() < deadline, "the key that lives for a second does not expire"
            time.sleep(0.05)
        yield gateway
        gateway.close()


@pytest.fixture
def gateway(shared_gateway: Gateway) -> Gateway:
    # An answer still under way would show in the next test's ledger.
    shared_gateway.provider.wait_done(0)
    shared_gateway.provider.reset()
    return shared_gateway
