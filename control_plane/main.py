"""Starts one control plane replica and stops it on SIGTERM or SIGINT.

PostgreSQL starts in a thread while the rest of the program is imported: both take about a second.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from control_plane.db.embedded import EmbeddedPostgres, EmbeddedPostgresError
from control_plane.logs import set_up_logs
from control_plane.ready import write_ready_file
from control_plane.settings import Settings, SettingsError, read_settings

if TYPE_CHECKING:
    from headgate.rules.credentials import Secret

log = logging.getLogger(__name__)

EXIT_USAGE = 2
EXIT_FAILED = 1


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 after a signal, 1 if it could not start, 2 for wrong usage."""
    set_up_logs()
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else arguments, os.environ)
    except SettingsError as error:
        print(f"control plane: {error}", file=sys.stderr)  # noqa: T201 - for whoever typed the command
        return EXIT_USAGE
    # They are in `settings` now; children (PostgreSQL) need not inherit them.
    for name in ("HEADGATE_KEK", "HEADGATE_DATABASE_URL"):
        os.environ.pop(name, None)
    # We fork only to start PostgreSQL, and gRPC would write to stderr about it.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    import uvloop

    try:
        uvloop.run(_main(settings))
    except (SettingsError, EmbeddedPostgresError) as error:
        print(f"control plane: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_FAILED
    return 0


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    embedded = EmbeddedPostgres(settings.embedded_postgres) if settings.embedded_postgres else None
    with ThreadPoolExecutor(1) as thread:
        starting = loop.run_in_executor(thread, _start_database, settings, embedded)
        await asyncio.to_thread(_import_everything)
        url = await starting
    try:
        await _serve(settings, url, embedded, stop)
    finally:
        if embedded is not None:
            await asyncio.to_thread(embedded.stop)


def _start_database(settings: Settings, embedded: EmbeddedPostgres | None) -> Secret:
    if embedded is not None:
        return embedded.start()
    if settings.database_url is None:
        raise SettingsError("no database")
    return settings.database_url


def _import_everything() -> None:
    import control_plane.compose
    import control_plane.ops.listener  # noqa: F401


async def _serve(
    settings: Settings, url: Secret, embedded: EmbeddedPostgres | None, stop: asyncio.Event
) -> None:
    from control_plane.compose import ControlPlane
    from control_plane.ops.listener import OpsListener

    control_plane = ControlPlane(settings, url)
    ops = OpsListener(control_plane.metrics, control_plane.not_ready_because)
    async with asyncio.TaskGroup() as tasks:
        watcher = tasks.create_task(embedded.watch()) if embedded is not None else None
        stopped = tasks.create_task(stop.wait())
        prepared = tasks.create_task(control_plane.prepare())
        await asyncio.wait({stopped, prepared}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if not stop.is_set():
                await prepared
                async with control_plane.running() as address:
                    document: dict[str, object] = {"grpc": str(address), "pid": os.getpid()}
                    if settings.proxies is not None and control_plane.identities.port:
                        document["proxies"] = f"{settings.proxies.host}:{control_plane.identities.port}"
                    if settings.ops is not None:
                        port = await ops.start(settings.ops)
                        document["ops"] = f"http://{settings.ops.host}:{port}"
                    if settings.ready_file is not None:
                        write_ready_file(settings.ready_file, document)
                    log.info("serving", extra={"data": document})
                    await stop.wait()
                    log.info("stopping")
        finally:
            await ops.stop()
            for task in (watcher, stopped, prepared):
                if task is not None:
                    task.cancel()
            control_plane.close()
