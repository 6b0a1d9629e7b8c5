"""The programs, installed once for all runs, and one system for each process that runs tests.

A machine without npm, or without a registry, skips the folder and says why.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.programs import install
from tests.programs.system import System, running

# The first use installs 1 GB.
INSTALL_TIMEOUT_SECONDS = 1500


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "programs":
            item.add_marker(pytest.mark.timeout(INSTALL_TIMEOUT_SECONDS))


@pytest.fixture(scope="session")
def programs() -> install.Programs:
    try:
        return install.install()
    except install.NotInstalled as reason:
        pytest.skip(f"the programs are not installed: {reason}")


@pytest.fixture(scope="session")
def shared_system(programs: install.Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("programs")) as system:
        yield system


@pytest.fixture
def system(shared_system: System) -> System:
    shared_system.remember()
    return shared_system
