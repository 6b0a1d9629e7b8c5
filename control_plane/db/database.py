"""Transactions: the one door to PostgreSQL for everything but usage ingest.

Work is a function of a Session that runs as one transaction in a thread of its own pool: admin work
has few rows, and SQLAlchemy's asyncio mode needs greenlet, a C extension that we otherwise do not.
Every way in which the database can be away becomes DatabaseAway, here and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal, TypeVar

import psycopg
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session

from control_plane.db import roles
from control_plane.errors import DatabaseAway, QueryTooLong
from headgate.rules.credentials import Secret

T = TypeVar("T")
Work = Callable[[Session], T]

log = logging.getLogger(__name__)

# Threads and connections: admin work is rare, and PostgreSQL's connections are dear.
MAX_CONNECTIONS = 8
CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 10
# A transaction that lost a race (deadlock, serialisation) is tried again so many times in all.
ATTEMPTS = 3

# Sent by every connection. A peer that is gone without a word is noticed within half a minute.
CONNECTION_OPTIONS: dict[str, str | int] = {
    "application_name": "headgate",
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def allow_seconds(session: Session, seconds: int) -> None:
    """Longer than usual, for a job of the background: the statements of this transaction."""
    session.connection().execute(text(f"SET LOCAL statement_timeout = '{seconds}s'"))


def role_option(has_roles: bool) -> str:
    """For `options` of a connection."""
    return f" -c role={roles.APP}" if has_roles else ""


class Database:
    def __init__(self, url: Secret) -> None:
        self.url = url
        # Set before the first transaction: whether PostgreSQL's roles are there to be taken.
        self.has_roles = False
        self._engine = self._make_engine()
        self._threads = ThreadPoolExecutor(MAX_CONNECTIONS, thread_name_prefix="database")

    async def run(self, work: Work[T]) -> T:
        """`work` as one transaction: committed when it returns, rolled back when it raises.

        A cancelled caller does not undo a transaction that is under way.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self.run_here, work, "READ COMMITTED", roles.current_scope()
        )

    async def read(self, work: Work[T]) -> T:
        """`work` against one consistent state of the database; it cannot write."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, self.run_here, work, "REPEATABLE READ READ ONLY", roles.current_scope()
        )

    def run_here(
        self,
        work: Work[T],
        mode: Literal["READ COMMITTED", "REPEATABLE READ READ ONLY"] = "READ COMMITTED",
        tenant: str | None = None,
    ) -> T:
        """The same in the caller's thread. `tenant`: whose rows it may see and write; None: all."""
        attempt = 1
        while True:
            try:
                with (
                    _translated_errors(),
                    Session(self._engine, expire_on_commit=False) as session,
                    session.begin(),
                ):
                    if mode != "READ COMMITTED":
                        session.connection().execute(text(f"SET TRANSACTION ISOLATION LEVEL {mode}"))
                    if tenant is not None and self.has_roles:
                        roles.take_tenant(session, tenant)
                    return work(session)
            except _LostRace:
                if attempt == ATTEMPTS:
                    raise DatabaseAway("the transaction kept losing against others") from None
                attempt += 1
                time.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311 - jitter, not a secret

    def _make_engine(self) -> Engine:
        def connect() -> psycopg.Connection[tuple[object, ...]]:
            options = f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s -c lock_timeout=5s -c timezone=UTC"
            options += " -c idle_in_transaction_session_timeout=30s" + role_option(self.has_roles)
            return psycopg.connect(self.url.text, options=options, **CONNECTION_OPTIONS)  # type: ignore[arg-type]

        return create_engine(
            "postgresql+psycopg://",
            creator=connect,
            pool_size=MAX_CONNECTIONS,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            pool_pre_ping=True,
            # Parameters may be secrets: they must not show in exceptions.
            hide_parameters=True,
        )

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._engine.dispose()


class _LostRace(Exception):
    pass


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except PoolTimeout:
        raise DatabaseAway("all connections are busy") from None
    except DBAPIError as error:
        raise translate(error.orig, error) from None
    except psycopg.Error as error:
        raise translate(error, error) from None


def translate(cause: BaseException | None, error: Exception) -> Exception:
    """A driver's error in the words of this program; what is a bug of ours stays what it is."""
    if isinstance(cause, psycopg.errors.QueryCanceled):
        return QueryTooLong(STATEMENT_TIMEOUT_SECONDS)
    if isinstance(cause, (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)):
        return _LostRace()
    away = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
    if isinstance(cause, away) or isinstance(error, (OperationalError, InterfaceError, InternalError)):
        return DatabaseAway(type(cause).__name__)
    return error
