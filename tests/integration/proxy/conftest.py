"""One `headgate up` and one fake provider for the whole folder; every test begins with a clean script.

The provider's ledger file keeps everything for the last test, which compares it with the usage rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.gateway_manifest import EXPIRED, manifest
from tests.integration.proxy.native_manifest import manifest as native_manifest
from tests.integration.proxy.translating_manifest import manifest as translating_manifest
from tests.support.fake_provider import FakeProvider
from tests.support.piecewise import PiecewiseProvider
from tests.support.processes import start_headgate
from tests.support.sockets import refused_port

LAST = "test_proxy_ledgers.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The comparison of the ledgers comes after all the calls it compares."""
    items.sort(key=lambda item: item.path.name == LAST)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="session")
def shared_gateway(folder: Path) -> Iterator[Gateway]:
    with FakeProvider(folder / "ledger.jsonl") as provider, refused_port() as nobody:
        dead_url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        with start_headgate(folder, manifest(provider.base_url, dead_url)) as headgate:
            gateway = Gateway(headgate, provider)
            # Its second may not be over yet.
            deadline = time.monotonic() + 10
            while gateway.get("/v1/models", key=EXPIRED).status != 401:
                assert time.monotonic() < deadline, "the key that lives for a second does not expire"
                time.sleep(0.05)
            yield gateway
            gateway.close()


@pytest.fixture
def gateway(shared_gateway: Gateway) -> Gateway:
    # An answer still under way would show in the next test's ledger; one that never ends is a leak.
    shared_gateway.provider.wait_done(0)
    shared_gateway.provider.reset()
    return shared_gateway


@pytest.fixture(scope="session")
def shared_translating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One for the tests across dialects: its provider answers in dialects that the ledgers do not compare."""
    folder = tmp_path_factory.mktemp("translating")
    with (
        FakeProvider() as provider,
        start_headgate(folder, translating_manifest(provider.base_url)) as headgate,
    ):
        gateway = Gateway(headgate, provider)
        yield gateway
        gateway.close()


@pytest.fixture
def translating(shared_translating: Gateway) -> Gateway:
    shared_translating.provider.wait_done(0)
    shared_translating.provider.reset()
    return shared_translating


@pytest.fixture(scope="session")
def pieces() -> Iterator[PiecewiseProvider]:
    with PiecewiseProvider() as provider:
        yield provider


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory, pieces: PiecewiseProvider) -> Iterator[Gateway]:
    """One for the tests of providers' own APIs."""
    folder = tmp_path_factory.mktemp("native")
    with (
        FakeProvider() as provider,
        start_headgate(folder, native_manifest(provider.base_url, pieces.base_url)) as headgate,
    ):
        gateway = Gateway(headgate, provider)
        yield gateway
        gateway.close()


@pytest.fixture
def oai(native: Gateway) -> FakeProvider:
    native.provider.reset()
    return native.provider


@pytest.fixture
def provider(gateway: Gateway) -> FakeProvider:
    return gateway.provider


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    """Without its own retries, so that one call is one request."""
    with openai.OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0, timeout=15) as client:
        yield client
