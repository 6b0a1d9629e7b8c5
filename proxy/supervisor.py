"""The supervisor of a proxy: identity, config stream, usage shipping, ops listener, workers.

With one worker it lives in this process; with more, each is a process of its own that shares the port
(SO_REUSEPORT) and is spoken to over a Unix socket. What a dead worker left in its spool is adopted.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import time
from typing import Any

from headgate.rules.credentials import Secret
from headgate.v1 import config_pb2
from proxy.config.holder import ConfigHolder
from proxy.config.last_good import LastGood
from proxy.config.model import Version
from proxy.config.stream import ConfigStream
from proxy.http.server import open_socket
from proxy.identity import Identity
from proxy.identity_folder import kept_key
from proxy.logs import Log
from proxy.ops import Health, Ops
from proxy.processes.channel import Channels
from proxy.processes.pool import WorkerPool
from proxy.settings import Settings
from proxy.usage.shipper import Shipper
from proxy.usage.spool import ALARM_SHARE
from proxy.worker import Worker

# After the drain: time for the spool to be acknowledged before we leave it to the next start.
FLUSH_SECONDS = 3.0
ALARM_CHECK_SECONDS = 5.0
# Between workers; to the control plane, and so to the region.
SHARE_SECONDS = 1.0
STANDINGS_SECONDS = 4.0
# Without the control plane for longer than this, an alarm is logged.
STALE_ALARM_SECONDS = 300.0
# What OpenTelemetry's exporters read. What is not built is said, never ignored.
_OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Supervisor:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = Log(calls=settings.log_calls)
        self._holder = ConfigHolder(settings.secrets_dir)
        self._identity: Identity | None = None
        if not settings.token:
            self._identity = Identity(
                settings.state / "identity",
                settings.name,
                settings.region,
                settings.join_token,
                self._log,
                random.random,
            )
            self._identity.load()
        self._last_good = LastGood(settings.state / "config", _seal_of(settings), settings.region)
        self._channels = Channels(settings.control_planes, settings.token, settings.ca_file, self._identity)
        self._shipper = Shipper(
            self._channels,
            self._log,
            proxy=settings.name,
            region=settings.region,
            unix_ms=lambda: time.time_ns() // 1_000_000,
            random=random.random,
        )
        self._config = ConfigStream(
            settings,
            self._channels,
            self._holder,
            self._log,
            status=self._status,
            applied=self._applied,
            learned=self._learned,
            random=random.random,
        )
        self._ops = Ops(self._health, self._dumps, lambda: self._standings)
        self._worker: Worker | None = None
        self._pool: WorkerPool | None = None
        self._stopping = asyncio.Event()
        self._saved: asyncio.Task[None] | None = None
        # Of what is on the disk, and why a newer one is not.
        self._saved_version: Version | None = None
        self._unsaved = ""
        # What all workers have learned.
        self._standings = config_pb2.Standings()
        self._standings_told_at = 0.0

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; a second signal ends the drain."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, task)
        if os.environ.get(_OTLP):
            self._log.event("not_supported", variable=_OTLP, mend="traces are not built yet: unset it")
        trouble = self._last_good.load(self._holder)
        self._saved_version = self._holder.version
        if trouble:
            self._log.event("last_good_config_passed_over", reason=trouble)
        self._adopt_old_spools()
        sock = open_socket(self._settings.http, shared=self._settings.workers > 1)
        sock.listen(0) if self._settings.workers == 1 else None
        http = _url("https" if self._settings.tls_cert else "http", sock)
        ops_port = await self._ops.listen(self._settings.ops)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self._stream()),
                tasks.create_task(self._watch_alarms()),
                tasks.create_task(self._share_standings()),
                await self._start_workers(tasks, sock),
            ]
            self._log.event(
                "listening", http=http, region=self._settings.region, workers=self._settings.workers
            )
            ready = tasks.create_task(self._announce(http, ops_port))
            await self._stopping.wait()
            ready.cancel()
            await self._shut_down()
            for item in background:
                item.cancel()
        await self._channels.close()
        self._ops.close()
        self._log.flush()

    async def _stream(self) -> None:
        """The streams to the control plane, once it knows who this is."""
        identity = self._identity
        if identity is not None:
            await identity.obtain(self._channels)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._config.run())
            tasks.create_task(self._shipper.run())
            if identity is not None:
                tasks.create_task(identity.renew_forever(self._channels))
                tasks.create_task(identity.mend_forever(self._channels, lambda: self._config.connected))

    def _stop(self, task: asyncio.Task[Any] | None) -> None:
        if self._stopping.is_set():
            os._exit(130)  # asked twice: at once
        self._stopping.set()

    async def _start_workers(self, tasks: asyncio.TaskGroup, sock: socket.socket) -> asyncio.Task[None]:
        settings = self._settings
        if settings.workers == 1:
            folder = settings.state / "spool" / f"{os.getpid()}-{time.time_ns()}"
            self._worker = Worker(settings, self._holder, folder, self._log)
            self._shipper.add(folder, writer_alive=True)
            await self._worker.listen(sock)
            return tasks.create_task(self._worker.run())
        self._pool = WorkerPool(settings, sock, self._holder, self._shipper, self._log)
        return tasks.create_task(self._pool.run())

    def _adopt_old_spools(self) -> None:
        """Folders of earlier lives: their writers are gone."""
        root = self._settings.state / "spool"
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in sorted(root.iterdir()):
            if folder.is_dir():
                try:
                    folder.rmdir()
                except OSError:  # not empty, or not to be read: then the shipper says so
                    self._shipper.add(folder, writer_alive=False)

    async def _share_standings(self) -> None:
        while True:
            await asyncio.sleep(SHARE_SECONDS)
            if self._worker is not None:
                self._standings = self._worker.standing.told()
            elif self._pool is not None:
                await self._pool.tell_contact(self._holder.lost_at)
                self._standings = await self._pool.share_standings()

    async def _learned(self, told: config_pb2.WatchResponse) -> None:
        """What other proxies have measured and spent."""
        if self._worker is not None:
            self._worker.learn(told)
        elif self._pool is not None:
            await self._pool.tell_region(told)

    async def _applied(self) -> None:
        """A new snapshot is served: workers get it too, and the disk in the background."""
        if self._pool is not None:
            await self._pool.send_config(self._holder.last_update)
        self._begin_saving()

    def _begin_saving(self) -> None:
        if self._saved is None or self._saved.done():
            self._saved = asyncio.create_task(self._save())

    async def _save(self) -> None:
        while self._saved_version != self._holder.version:
            version = self._holder.version
            try:
                await asyncio.to_thread(self._last_good.save, self._holder.serialized())
            except OSError as error:
                if str(error) != self._unsaved:
                    self._log.event("last_good_config_not_saved", reason=str(error))
                self._unsaved = str(error)
                return
            self._last_good.mark_contact(self._holder.staleness_seconds)
            self._saved_version, self._unsaved = version, ""

    async def _announce(self, http: str, ops_port: int) -> None:
        """Writes the ready file once a call would find a configuration."""
        while self._holder.snapshot is None or (self._pool is not None and not self._pool.ready):
            await asyncio.sleep(0.01)
        path = self._settings.ready_file
        if path is None:
            return
        host = self._settings.ops.host
        document = {"http": http, "ops": f"http://{host}:{ops_port}", "pid": os.getpid()}
        temporary = path.with_suffix(".tmp")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file)
        os.replace(temporary, path)

    async def _shut_down(self) -> None:
        seconds = self._settings.drain_seconds
        self._log.event("draining", seconds=seconds)
        if self._worker is not None:
            finished = await self._worker.drain(seconds)
            if not finished:
                self._log.event("drain_cut_calls_short")
            self._worker.close()
        if self._pool is not None:
            await self._pool.drain(seconds)
        for folder in (self._settings.state / "spool").iterdir():
            self._shipper.add(folder, writer_alive=False)
        if not await self._shipper.drain(FLUSH_SECONDS):
            self._log.event("usage_left_in_spool", bytes=self._shipper.spool_bytes)
        if self._saved is not None and not self._saved.done():
            await self._saved

    async def _watch_alarms(self) -> None:
        """Says once when the spool or the config needs somebody's eye, and when it is over."""
        raised: set[str] = set()
        while True:
            await asyncio.sleep(ALARM_CHECK_SECONDS)
            health = self._health()
            if self._saved_version != self._holder.version:
                self._begin_saving()  # what is on the disk is older: a restart must not take it for fresh
            elif self._config.connected:
                self._last_good.mark_contact()
            for name, bad in (
                ("spool_filling", self._is_filling(health)),
                ("spool_stuck", self._shipper.is_stuck),
                ("config_stale", health.config_staleness_seconds > STALE_ALARM_SECONDS),
                ("config_not_saved", bool(self._unsaved)),
            ):
                if bad and name not in raised:
                    raised.add(name)
                    self._log.event("alarm", alarm=name, spool_bytes=health.spool_bytes)
                elif not bad and name in raised:
                    raised.discard(name)
                    self._log.event("alarm_over", alarm=name)

    def _is_filling(self, health: Health) -> bool:
        """All of them together (they may share a disk), or one worker's, which then refuses calls alone."""
        together = health.spool_bytes > ALARM_SHARE * health.spool_limit_bytes
        return together or self._shipper.fullest_bytes > ALARM_SHARE * self._settings.spool_bytes

    def _status(self) -> config_pb2.ProxyStatus:
        status = config_pb2.ProxyStatus(
            spool_bytes=self._shipper.spool_bytes,
            usage_lag_seconds=self._shipper.lag_seconds,
            inflight=self._worker.metrics.inflight if self._worker is not None else 0,
        )
        now = time.monotonic()
        if now - self._standings_told_at >= STANDINGS_SECONDS:
            self._standings_told_at = now
            status.standings.CopyFrom(self._standings)
        return status

    def _spool_limit_bytes(self, spool_bytes: int) -> int:
        """What the spools may hold: the setting, or less where the disk has no room for so much."""
        disk = os.statvfs(self._settings.state)
        return min(
            self._settings.spool_bytes * self._settings.workers, spool_bytes + disk.f_bavail * disk.f_frsize
        )

    def _health(self) -> Health:
        version = self._holder.version
        spool_bytes = self._shipper.spool_bytes
        return Health(
            ready=version is not None and not self._stopping.is_set(),
            config_revision=version.revision if version is not None else 0,
            config_epoch=version.epoch if version is not None else 0,
            config_staleness_seconds=self._holder.staleness_seconds,
            spool_bytes=spool_bytes,
            spool_limit_bytes=self._spool_limit_bytes(spool_bytes),
            usage_lag_seconds=self._shipper.lag_seconds,
            damaged_frames=self._shipper.damaged_frames,
            workers=1 if self._pool is None else self._pool.alive,
        )

    async def _dumps(self) -> list[dict[str, Any]]:
        if self._pool is not None:
            return await self._pool.dumps()
        return [self._worker.metrics.dump()] if self._worker is not None else []


def _seal_of(settings: Settings) -> Secret:
    """What the last good config is sealed under: a secret that the disk does not hold, where there is one.

    A proxy that joined and is started again without its join token has only its key, which is on the disk.
    """
    given = settings.state_key or settings.token or settings.join_token
    return given or Secret(kept_key(settings.state / "identity"))


def _url(scheme: str, sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - a listening address
    return f"{scheme}://{host}:{port}"
