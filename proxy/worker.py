"""One worker: everything that answers calls, put together. Owns its spool folder and its listener.

Runs inside the supervisor's process when it is the only one, else in a process of its own without gRPC.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate.policy.estimates import Estimates
from headgate.v1 import config_pb2
from proxy.attempts import Attempts
from proxy.auth import Authenticator
from proxy.call import Calls
from proxy.config.holder import ConfigHolder
from proxy.config.model import Snapshot
from proxy.http.routes import FindReceipt, Routes
from proxy.http.server import Server, server_tls
from proxy.ids import Ids
from proxy.judging.aside import Aside, Onlooker
from proxy.judging.background import Background
from proxy.judging.budget import Budget
from proxy.judging.feedback import Feedback
from proxy.logs import Log
from proxy.metrics import Metrics
from proxy.passthrough import PassthroughCalls
from proxy.policy.health import Health
from proxy.read_on import ReadOn
from proxy.receipts import Receipts
from proxy.settings import Settings
from proxy.settle import Settlement
from proxy.standing import Standing
from proxy.upstream.deadlines import Deadlines
from proxy.upstream.hooks import Hooks
from proxy.upstream.pool import Pools
from proxy.upstream.requests import UpstreamRequests
from proxy.upstream.sandbox import Sandbox
from proxy.usage.account import Accounts
from proxy.usage.record import Recorder
from proxy.usage.spool import Spool, sync

if TYPE_CHECKING:
    from proxy.judging.judging import Judging

SYNC_SECONDS = 0.1
# Of a drain: for judges that are at it when the last call has ended.
BACKGROUND_SECONDS = 5.0
# After the drain: for calls that were cut short to notice it.
CUT_SECONDS = 1.0
# Certificates that changed on disk are served within this time.
CERTIFICATE_SECONDS = 30.0
# Files of `--secrets-dir` likewise.
FILES_SECONDS = 2.0


class Worker:
    def __init__(self, settings: Settings, holder: ConfigHolder, spool_folder: Path, log: Log) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        self.holder = holder
        self.log = log
        self.metrics = Metrics()
        self.receipts = Receipts(time.monotonic)
        self.spool = Spool(spool_folder, settings.spool_bytes)
        # Asks the other workers too, where there are others.
        self.find_receipt: FindReceipt = self._own_receipt
        self._deadlines = Deadlines()
        self._pools = Pools()
        self._requests = UpstreamRequests(self._pools, lambda: Sandbox(loop))
        self._accounts = Accounts(self.metrics, settings.region)
        ids = Ids()
        estimates = Estimates(time.monotonic)
        health = Health(time.monotonic, random.random)
        self.standing = Standing(estimates, health, holder.current)
        recorder = Recorder(self.spool)
        settlement = Settlement(
            recorder=recorder,
            accounts=self._accounts,
            spool=self.spool,
            receipts=self.receipts,
            log=log,
            estimates=estimates,
        )
        attempts = Attempts(
            requests=self._requests,
            deadlines=self._deadlines,
            settlement=settlement,
            ids=ids,
            random=random.random,
            health=health,
            estimates=estimates,
        )
        self._budget = Budget()
        aside = Aside(
            attempts=Attempts(
                requests=self._requests,
                deadlines=self._deadlines,
                settlement=settlement,
                ids=ids,
                random=random.random,
                health=Onlooker(health),
                estimates=estimates,
            ),
            settlement=settlement,
            estimates=estimates,
            budget=self._budget,
            ids=ids,
            random=random.random,
        )
        hooks = Hooks(self._pools, self._deadlines)

        def make_judging() -> Judging:
            from proxy.judging.judging import Judging

            return Judging(aside=aside, recorder=recorder, metrics=self.metrics, hooks=hooks, ids=ids)

        self._background = Background(make_judging, self.metrics, log)
        self._read_on = ReadOn(settings.read_on_seconds, settlement.abandon, attempts.ended)
        calls = Calls(
            snapshot=holder.current,
            authenticator=Authenticator(staleness=lambda: holder.staleness_seconds),
            attempts=attempts,
            settlement=settlement,
            metrics=self.metrics,
            log=log,
            ids=ids,
            random=random.random,
            estimates=estimates,
            region=settings.region,
            background=self._background,
            read_on=self._read_on,
        )
        passthrough = PassthroughCalls(
            authenticate=calls.authenticate,
            attempts=attempts,
            settlement=settlement,
            metrics=self.metrics,
        )
        feedback = Feedback(calls.authenticate, recorder, ids)
        self._routes = Routes(calls, passthrough, feedback, self._find_receipt, ids)
        self._server = Server(
            self._routes.handle,
            self._routes.check_early,
            self._routes.streams,
            max_per_address=settings.connections_per_address,
            refused=self.metrics.refuse,
        )
        self._listening = False
        self._tls: ssl.SSLContext | None = None
        holder.listeners.append(self._new_snapshot)

    def _new_snapshot(self, snapshot: Snapshot) -> None:
        self._requests.forget()
        self._accounts.forget()

    def learn(self, told: config_pb2.WatchResponse) -> None:
        """What other proxies have measured and spent."""
        if told.HasField("standings"):
            self.standing.adopt_measured(told.standings)
        if told.HasField("spending"):
            self._budget.adopt(told.spending)

    async def _find_receipt(self, request_id: bytes, tenant: str, key: str) -> dict[str, Any] | None:
        return await self.find_receipt(request_id, tenant, key)

    async def _own_receipt(self, request_id: bytes, tenant: str, key: str) -> dict[str, Any] | None:
        return self.receipts.get(request_id, tenant, key)

    @property
    def listening(self) -> bool:
        return self._listening

    async def listen(self, sock: socket.socket) -> None:
        self._listening = True
        settings = self.settings
        if settings.tls_cert is not None and settings.tls_key is not None:
            self._tls = server_tls(settings.tls_cert, settings.tls_key)
        await self._server.listen(sock, self._tls)

    async def run(self) -> None:
        """The worker's housekeeping; runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._deadlines.run())
            tasks.create_task(self._server.watch_deadlines())
            tasks.create_task(self._pools.prune_forever())
            tasks.create_task(self.log.flush_forever())
            tasks.create_task(self._sync_forever())
            tasks.create_task(self._background.run())
            tasks.create_task(self._look_at_files())
            if self._tls is not None:
                tasks.create_task(self._reload_certificates(self._tls))

    async def _sync_forever(self) -> None:
        """What cannot be synced is said once; records are in the kernel's hands meanwhile."""
        loop = asyncio.get_running_loop()
        said = False
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            try:
                if descriptors := self.spool.take_unsynced():
                    await loop.run_in_executor(None, sync, descriptors)
                    said = False
            except OSError as error:
                if not said:
                    self.log.event("spool_not_synced", reason=str(error))
                said = True

    async def _look_at_files(self) -> None:
        """Provider keys and CAs by file: what was changed is taken up, what is missing said once."""
        said: list[str] = []
        while True:
            await asyncio.sleep(FILES_SECONDS)
            if self.holder.look_at_files():
                self.log.event("secret_files_read_again")
            if self.holder.problems != said:
                said = self.holder.problems
                for problem in said:
                    self.log.event("provider_unusable", reason=problem)

    async def _reload_certificates(self, tls: ssl.SSLContext) -> None:
        cert, key = self.settings.tls_cert, self.settings.tls_key
        if cert is None or key is None:
            return
        seen = cert.stat().st_mtime_ns
        while True:
            await asyncio.sleep(CERTIFICATE_SECONDS)
            try:
                now = cert.stat().st_mtime_ns
                if now != seen:
                    tls.load_cert_chain(cert, key)
                    seen = now
                    self.log.event("certificate_reloaded", path=str(cert))
            except (OSError, ssl.SSLError) as error:
                self.log.event("certificate_not_reloaded", path=str(cert), reason=str(error))

    async def drain(self, seconds: float) -> bool:
        """Stops accepting, lets calls finish; True if all did."""
        self._server.stop_accepting()
        end = time.monotonic() + seconds
        # A call is over before its client has taken all of the answer.
        while (self.metrics.inflight or self._server.owes) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        finished = not self.metrics.inflight
        self._read_on.end_all()
        await self._background.drain(max(0.0, min(BACKGROUND_SECONDS, end - time.monotonic())))
        self._server.abort()
        # What was cut short is recorded while there is a spool.
        end = time.monotonic() + CUT_SECONDS
        while self.metrics.inflight and time.monotonic() < end:
            await asyncio.sleep(0.01)
        self._read_on.end_all()
        return finished

    def close(self) -> None:
        self._pools.close()
        self.spool.close()
        self.log.flush()
