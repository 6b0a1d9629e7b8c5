"""One system for all fault tests of a pytest worker: what a fault breaks must be whole again afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.system import System


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    running = System(tmp_path_factory.mktemp("system"))
    try:
        yield running
    finally:
        running.stop()
