"""One real PostgreSQL for all tests of this folder; each test has an empty, migrated database of its own.

Tests are coroutines. All run in one event loop: gRPC's asyncio part does not survive a second one.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from control_plane.db.embedded import EmbeddedPostgres
from control_plane.db.migrate import migrate
from headgate.rules.credentials import Secret
from tests.integration.control_plane.replica import database_url, start_postgres

# As the program does it. initdb is forked before there is a server, but the tests share one process.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

TEMPLATE = "headgate_template"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    _runner(pyfuncitem.config).run(pyfuncitem.obj(**arguments))
    return True


def _runner(config: Any) -> asyncio.Runner:
    runner = getattr(config, "_control_plane_runner", None)
    if runner is None:
        runner = config._control_plane_runner = asyncio.Runner()
        config.add_cleanup(runner.close)
    return runner


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Not below pytest's own folder: each new run of pytest closes that to others, and as root the
    server is another user."""
    folder = Path(tempfile.mkdtemp(prefix="headgate-tests-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture(scope="session")
def postgres() -> Iterator[tuple[EmbeddedPostgres, Secret]]:
    with open_folder() as path:
        embedded, url = start_postgres(path)
        with psycopg.connect(url.text, autocommit=True) as connection:
            # Databases come and go with every test; none of them has to survive a power cut.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
        migrate(database_url(url, TEMPLATE))
        yield embedded, url
        embedded.stop()


@pytest.fixture
def database(postgres: tuple[EmbeddedPostgres, Secret]) -> Iterator[Secret]:
    """The address of an empty, migrated database."""
    url = postgres[1]
    name = f"test_{os.urandom(6).hex()}"
    with psycopg.connect(url.text, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}".encode())
    yield database_url(url, name)
    with psycopg.connect(url.text, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def own_postgres(folder: Path) -> Iterator[tuple[EmbeddedPostgres, Secret]]:
    """A server that a test may crash."""
    embedded, url = start_postgres(folder)
    yield embedded, url
    embedded.stop()
